// The page: filters on top, the grid, and an asset's page by the address.

const FIRST_ORDER = "-date";
const SWIPE_PX = 50;

const SIZE_KEY = "kling-mirror: tile size";

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
  const scrubber = new Scrubber(part("#scrubber"), grid);
  grid.onMove = () => scrubber.refresh();
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
    const counts = library.types(library.select({ sort, ...filters, type: "" }));
    for (const label of tools.querySelectorAll("[data-type]")) {
      const shown = label.querySelector("small");
      if (shown) shown.textContent = numbers.format(counts.get(label.dataset.type) ?? 0);
    }
    const bytes = selected.reduce((sum, one) => sum + one.total, 0);
    const all = library.assets.length;
    part("#count").textContent = isFiltered
      ? `${numbers.format(selected.length)} of ${numbers.format(all)} · ${sizeWords(bytes)}`
      : `${counted(all, "asset")} · ${sizeWords(bytes)}${library.missing ? ` · ${counted(library.missing, "file")} not fetched: run kling-mirror sync` : ""}`;
    part("#clear").hidden = !isFiltered;
    for (const choice of tools.querySelectorAll(".choice:not(.sort) select")) {
      choice.classList.toggle("chosen", choice.value !== "");
    }
    grid.show(selected, WAYMARKS[sort.replace("-", "")], { byMonth: sort.endsWith("date") });
    if (selected.length) showMessage();
    else if (all) showMessage("No asset matches", "Try fewer words, or clear the filters.", { clear: true });
    else showMessage("Nothing here yet", "Assets appear here after kling-mirror sync.");
  }

  /** The filters and the order as an address, such as #type=video&sort=-size; "" for none. */
  function asHash() {
    const words = new URLSearchParams();
    for (const [name, value] of Object.entries(chosen())) {
      if (value && !(name === "sort" && value === FIRST_ORDER)) words.set(name, value === true ? "yes" : value);
    }
    return words.size ? `#${words}` : "";
  }

  /** Set the filters as an address has them; what it does not name, or nobody knows, is left out. */
  function apply(hash) {
    const words = new URLSearchParams(hash.slice(1));
    tools.reset();
    for (const [name, value] of words) {
      const control = tools.elements[name];
      if (name === "favored") control.checked = value === "yes";
      else if (["text", "type", "account", "state", "sort"].includes(name)) control.value = value;
    }
    for (const choice of tools.querySelectorAll("select")) {
      if (choice.selectedIndex < 0) choice.selectedIndex = 0;
    }
  }

  /** Show what the address names: an asset's page, or the grid. */
  function follow() {
    const one = library.byKey.get(keyIn(location.hash));
    if (!one && location.hash !== asHash()) {
      apply(location.hash);
      select();
    }
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
    else replaceHash(asHash());
  }

  function replaceHash(hash) {
    history.replaceState(null, "", location.pathname + location.search + hash);
    follow();
  }

  function goTo(one) {
    if (one) replaceHash(`#${encodeURIComponent(one.key)}`);
  }

  const size = tools.elements.size;
  size.max = TILE_SIZES.length - 1;
  size.defaultValue = kept(SIZE_KEY) ?? USUAL_SIZE; // and so no reset of the form changes it
  grid.size = Number(size.value);
  size.addEventListener("input", (event) => {
    event.stopPropagation(); // it is no filter
    size.defaultValue = size.value;
    keepFor(SIZE_KEY, size.value);
    grid.resizeTiles(Number(size.value));
  });

  const keep = () => history.replaceState(null, "", location.pathname + location.search + asHash());
  tools.addEventListener("input", () => {
    select();
    keep();
    scrollTo({ top: 0, behavior: "instant" });
  });
  tools.addEventListener("reset", (event) => event.isTrusted && setTimeout(() => (select(), keep())));
  tools.addEventListener("submit", (event) => event.preventDefault());
  part("#message button").addEventListener("click", () => {
    tools.reset();
    select();
    keep();
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
      const media = event.target.closest?.("video, audio");
      if (media && (isInControls(media) || !event.key.startsWith("Arrow"))) return; // the player's own keys
      if ((event.key === " " && !event.target.closest?.("button, a, summary")) || event.key === "k") {
        detail.toggle();
        event.preventDefault();
        return;
      }
      if (event.key === "ArrowLeft") goTo(detail.previous);
      else if (event.key === "ArrowRight") goTo(detail.next);
      else return;
      event.preventDefault();
    } else if (event.key === "/" && !event.target.closest?.("input, select, textarea")) {
      event.preventDefault();
      tools.elements.text.focus();
    }
  });

  let touched = null; // where a finger came down on an asset's page
  const stage = part("#detail .stage");
  stage.addEventListener("touchstart", ({ touches }) => {
    touched = touches.length === 1 ? { x: touches[0].clientX, y: touches[0].clientY } : null;
  }, { passive: true });
  stage.addEventListener("touchend", ({ changedTouches, target }) => {
    if (!touched || target.closest("video, audio") || (visualViewport?.scale ?? 1) > 1.01) return;
    if (target.closest(".whole")) return;
    const [dx, dy] = [changedTouches[0].clientX - touched.x, changedTouches[0].clientY - touched.y];
    if (Math.abs(dx) > SWIPE_PX && Math.abs(dx) > 2 * Math.abs(dy)) goTo(dx < 0 ? detail.next : detail.previous);
  }, { passive: true });

  history.scrollRestoration = "manual";
  prepare();
  select();
  follow();
}

/** What this browser keeps under a name; null for nothing, also where it may keep nothing. */
function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Keep a text under a name, if the browser lets a page do that. */
function keepFor(name, text) {
  try {
    localStorage.setItem(name, text);
  } catch {
    // it holds until the page is closed
  }
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
