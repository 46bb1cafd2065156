// The page: filters on top, the grid, and an asset's page by the address.

const part = (selector) => document.querySelector(selector);

/** Show a message in place of the grid: what is wrong, and what to do. */
function showMessage(title = "", hint = "", { clear = false } = {}) {
  const message = part("#message");
  message.hidden = !title;
  message.querySelector(".title").textContent = title;
  message.querySelector(".hint").textContent = hint;
  message.querySelector("button").hidden = !clear;
}

function start(library) {
  const tools = part("#tools");
  const grid = new Grid(part("#grid"), part("#tile"), part("#waymark"));
  const detail = new Detail(part("#detail"), library);
  let selected = [];
  let cameByLink = false; // whether Back leads from an asset's page to the grid

  function prepare() {
    part("#mirror").textContent = library.name;
    const counts = library.types();
    for (const label of tools.querySelectorAll("[data-type]")) {
      const { type } = label.dataset;
      label.hidden = type ? !counts.has(type) : false;
      if (type && counts.has(type)) label.querySelector("span").append(element("small", "", numbers.format(counts.get(type))));
    }
    tools.querySelector(".types").hidden = counts.size < 2;
    part("#accounts").hidden = library.accounts.length < 2;
    for (const account of library.accounts) {
      const option = element("option", "", account || "No account");
      option.value = `=${account}`;
      tools.elements.account.append(option);
    }
    tools.hidden = library.assets.length === 0;
  }

  function chosen() {
    const form = new FormData(tools);
    const value = (name) => form.get(name) ?? "";
    return {
      text: value("text"),
      type: value("type"),
      account: value("account"),
      state: value("state"),
      favored: form.has("favored"),
      sort: value("sort"),
    };
  }

  function select() {
    const { sort, ...filters } = chosen();
    const isFiltered = Object.values(filters).some(Boolean);
    selected = library.select({ sort, ...filters });
    const bytes = selected.reduce((sum, one) => sum + one.total, 0);
    const all = library.assets.length;
    part("#count").textContent = isFiltered
      ? `${numbers.format(selected.length)} of ${numbers.format(all)} · ${sizeWords(bytes)}`
      : `${counted(all, "asset")} · ${sizeWords(bytes)}`;
    part("#clear").hidden = !isFiltered;
    for (const choice of tools.querySelectorAll(".choice:not(.sort) select")) {
      choice.classList.toggle("chosen", choice.value !== "");
    }
    grid.show(selected, WAYMARKS[sort.replace("-", "")]);
    if (selected.length) showMessage();
    else if (all) showMessage("No asset matches", "Try fewer words, or clear the filters.", { clear: true });
    else showMessage("Nothing here yet", "Assets appear here after kling-mirror sync.");
  }

  /** Show what the address names: an asset's page, or the grid. */
  function follow() {
    const one = library.byKey.get(keyIn(location.hash));
    if (one) {
      grid.stop();
      detail.show(one, selected);
      document.title = `${one.title.slice(0, 80)} – ${library.name}`;
    } else if (detail.asset) {
      const at = selected.indexOf(detail.asset);
      detail.close();
      grid.focus(at);
    }
    if (!one) document.title = `${library.name} – gallery`;
  }

  /** Leave the asset's page: by Back, unless that leads elsewhere. */
  function leave() {
    if (cameByLink) history.back();
    else replaceHash("");
  }

  function replaceHash(hash) {
    history.replaceState(null, "", location.pathname + location.search + hash);
    follow();
  }

  function goTo(one) {
    if (one) replaceHash(`#${encodeURIComponent(one.key)}`);
  }

  tools.addEventListener("input", () => {
    select();
    scrollTo({ top: 0, behavior: "instant" });
  });
  tools.addEventListener("reset", () => setTimeout(select));
  tools.addEventListener("submit", (event) => event.preventDefault());
  part("#message button").addEventListener("click", () => {
    tools.reset();
    tools.elements.text.focus();
  });

  addEventListener("hashchange", () => {
    cameByLink = library.byKey.has(keyIn(location.hash)) && !detail.asset;
    follow();
  });
  detail.dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  detail.dialog.addEventListener("close", () => detail.asset && leave()); // the browser closed it
  detail.dialog.addEventListener("click", (event) => {
    if (event.target.closest(".close") || event.target === detail.dialog) leave();
    else if (event.target.closest(".step")) goTo(event.target.closest(".back") ? detail.previous : detail.next);
    const link = event.target.closest(".versions a");
    if (link) {
      event.preventDefault();
      goTo(library.byKey.get(keyIn(link.hash)));
    }
  });
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (detail.asset) {
      if (event.target.closest?.("video, audio")) return; // the player's own keys
      if (event.key === "ArrowLeft") goTo(detail.previous);
      else if (event.key === "ArrowRight") goTo(detail.next);
      else return;
      event.preventDefault();
    } else if (event.key === "/" && !event.target.closest?.("input, select, textarea")) {
      event.preventDefault();
      tools.elements.text.focus();
    }
  });

  history.scrollRestoration = "manual";
  prepare();
  select();
  follow();
}

/** The key in an address such as #id@time; "" if it cannot be read. */
function keyIn(hash) {
  try {
    return decodeURIComponent(hash.slice(1));
  } catch {
    return "";
  }
}

const data = globalThis.klingMirror;
if (!data) {
  showMessage("The data is missing", "data.js must be beside this page. Run kling-mirror gallery to write both again.");
} else if (String(data.format) !== document.documentElement.dataset.format) {
  showMessage("Page and data do not match", "Run kling-mirror gallery to write both again.");
} else {
  start(new Library(data));
}
