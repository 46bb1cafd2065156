// One asset's page: a dialog over the grid. The address names the asset, so Back closes it.

class Detail {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {Library} library
   */
  constructor(dialog, library) {
    this.dialog = dialog;
    this.library = library;
    this.asset = null;
    this.part = (selector) => dialog.querySelector(selector);
    // The wheel over a picture is not meant for the grid behind it.
    const still = (event) => {
      if (event.ctrlKey || event.target.closest(".panel, .whole")) return; // ctrlKey: a pinch
      if (dialog.scrollHeight <= dialog.clientHeight) event.preventDefault();
    };
    dialog.addEventListener("wheel", still, { passive: false });
  }

  /** Show an asset, and its place among the assets of the grid. */
  show(one, assets) {
    this.asset = one;
    const at = assets.indexOf(one);
    this.previous = at < 0 ? undefined : assets[at - 1];
    this.next = at < 0 ? undefined : assets[at + 1];
    this.part(".back").disabled = !this.previous;
    this.part(".on").disabled = !this.next;
    this.part(".position").textContent =
      at < 0 ? "" : `${numbers.format(at + 1)} of ${numbers.format(assets.length)}`;
    this.part("h2").textContent = one.title;
    this.stage(one);
    this.note(one);
    this.facts(one);
    this.versions(one);
    this.more(one);
    this.part(".panel").scrollTop = 0;
    if (!this.dialog.open) this.dialog.showModal();
    this.part("h2").focus({ preventScroll: true });
  }

  /** Close it, and release the file that it showed. */
  close() {
    this.asset = null;
    this.clear();
    this.dialog.close();
  }

  /** Play what is shown, or pause it. */
  toggle() {
    const media = this.part(".shown video, .shown audio");
    if (media?.paused) media.play().catch(() => {});
    else media?.pause();
  }

  clear() {
    this.part(".shown").classList.remove("whole");
    this.part(".shown").querySelectorAll("video, audio").forEach(silence);
    this.part(".shown").replaceChildren();
  }

  stage(one) {
    this.clear();
    const place = this.part(".shown");
    const open = this.part(".open");
    place.dataset.kind = one.kind || "none";
    place.style.setProperty("--hue", one.hue);
    open.hidden = false;
    open.href = fileUrl(one.path);
    const cannot = (words) => {
      open.hidden = true; // in a tab of its own, too, a browser shows only pictures, videos and sounds
      const message = element("div", "cannot");
      message.append(icon(one.type), element("p", "", words));
      place.replaceChildren(message);
    };
    if (!one.path) return cannot(`This file was never fetched. Run kling-mirror sync to try again. ${one.error}`.trim());
    if (!one.kind) return cannot("A browser cannot show this kind of file. You find its path in the details.");
    const shown = element(one.kind === "image" ? "img" : one.kind);
    if (one.kind === "image") {
      shown.alt = one.title;
      shown.addEventListener("dblclick", (event) => magnify(place, shown, event));
    } else {
      shown.controls = true;
      shown.preload = "metadata";
      shown.setAttribute("aria-label", one.label);
      if (one.kind === "video" && one.cover) shown.poster = fileUrl(one.cover);
    }
    shown.addEventListener("error", () => {
      if (this.asset === one) {
        cannot("This file is missing or damaged, or this browser cannot show it. Run kling-mirror verify to see which; with --repair it restores the file.");
      }
    });
    shown.src = fileUrl(one.path);
    if (one.kind === "audio") {
      const art = element("div", "art");
      if (one.cover) {
        const cover = element("img");
        cover.alt = "";
        cover.src = fileUrl(one.cover);
        art.append(cover);
      } else {
        art.append(icon("audio"));
      }
      place.append(art);
    }
    place.append(shown);
  }

  note(one) {
    const note = this.part(".note");
    note.hidden = one.state === "current" && !one.error;
    note.className = `note ${one.state}`;
    const since = one.gone ? timeWords(days, one.gone) : "–";
    note.textContent = {
      current: one.error && `Not all of it could be fetched: ${one.error}. Run kling-mirror sync to try again.`,
      missing: "Kling lists it, but its file was never fetched. kling-mirror status lists all that failed.",
      gone: `Exists only here: Kling no longer lists it${since === "–" ? "" : ` (since ${since})`}.`,
      superseded: "Superseded: Kling has a newer version. This one is kept in history.",
    }[one.state];
  }

  facts(one) {
    const [plain, files] = [this.part(".panel > dl"), this.part(".files dl")];
    plain.replaceChildren();
    files.replaceChildren();
    const add = (term, words, { copied = "", wide = false, list = wide ? files : plain } = {}) => {
      if (!words) return;
      const row = element("div", wide ? "wide" : "");
      const value = element("dd");
      const text = element("span", wide ? "code" : "", words);
      text.dir = "auto";
      value.append(text);
      if (copied && navigator.clipboard) value.append(copyButton(term, copied));
      row.append(element("dt", "", term), value);
      list.append(row);
    };
    const sent = one.sentType && one.type === "other" ? ` (${one.sentType.slice(0, 100)})` : "";
    add("Type", TYPE_WORDS[one.type] + sent);
    add("Favourite", one.favored ? "Yes" : "");
    add("Duration", one.duration ? durationWords(one.duration) : "");
    add("Dimensions", one.width > 1 && one.height > 1 ? `${one.width} × ${one.height}` : "");
    add("Size", one.path ? `${sizeWords(one.size)}${one.size < 1000 ? "" : ` (${numbers.format(one.size)} bytes)`}` : "");
    add("Uploaded", one.created ? timeWords(moments, one.created) : "");
    add("Updated", timeWords(moments, one.updated));
    add("Mirrored", one.fetched ? timeWords(moments, one.fetched) : "");
    add("Account", one.account);
    add("Id", one.id, { copied: one.id, wide: true, list: plain });
    add("Path", one.path, { copied: one.path, wide: true });
    add("SHA-256", one.sha, { copied: one.sha, wide: true });
    add("Cover", one.cover, { copied: one.cover, wide: true });
    add("Cover’s SHA-256", one.coverSha, { copied: one.coverSha, wide: true });
  }

  versions(one) {
    const found = this.library.versions(one.id);
    this.part(".versions").hidden = found.length < 2;
    this.part(".versions ul").replaceChildren(
      ...found.map((other) => {
        const item = element("li");
        const link = element("a");
        link.href = `#${encodeURIComponent(other.key)}`;
        if (other === one) link.setAttribute("aria-current", "true");
        link.append(
          icon(other.type),
          element("span", "", timeWords(moments, other.updated)),
          element("span", "quiet", `${STATE_WORDS[other.state]}, ${sizeWords(other.size)}`),
        );
        item.append(link);
        return item;
      }),
    );
  }

  more(one) {
    this.part(".more").hidden = !one.more.length;
    this.part(".more dl").replaceChildren(
      ...one.more.map(([field, value]) => {
        const row = element("div", "wide");
        const words = element("dd");
        const text = element("span", "code", value);
        text.dir = "auto";
        words.append(text);
        const term = element("dt", "", field);
        term.dir = "auto";
        row.append(term, words);
        return row;
      }),
    );
  }
}

/** Show a picture pixel by pixel around the point that was meant, or fit it in again. */
function magnify(place, shown, { offsetX, offsetY }) {
  const [across, down] = [shown.clientWidth, shown.clientHeight];
  const fit = Math.min(across / shown.naturalWidth, down / shown.naturalHeight);
  if (!place.classList.toggle("whole")) return;
  const margin = { x: (across - fit * shown.naturalWidth) / 2, y: (down - fit * shown.naturalHeight) / 2 };
  place.scrollTo((offsetX - margin.x) / fit - across / 2, (offsetY - margin.y) / fit - down / 2);
}

/** A button that copies a text, and confirms it. */
function copyButton(term, text) {
  const button = element("button", "copy", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy ${term === "SHA-256" ? term : term.toLowerCase()}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
  return button;
}
