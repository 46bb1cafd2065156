// The grid: it is as tall as all assets are, but only the rows in sight are in the document.

const CAPTION_REM = 3.15;
const HEADING_REM = 3;
const TILE_SIZES = [0.5, 0.72, 1, 1.35, 1.8]; // times the usual height
const USUAL_SIZE = 2;
const ROWS_BEYOND = 2; // above and below what is in sight
const PICTURE_DELAY_MS = 90; // a row that only passes by loads no picture
const PREVIEW_DELAY_MS = 350; // a mouse that only passes by starts no film
const WAYMARK_MS = 900; // how long the waymark stays after the last scrolling

class Grid {
  /** @param {HTMLUListElement} list @param {HTMLTemplateElement} template @param {HTMLElement} waymark */
  constructor(list, template, waymark) {
    this.list = list;
    this.template = template;
    this.waymark = waymark;
    this.assets = [];
    this.layout = new Layout([], 0, { height: 1, caption: 0 });
    this.tiles = new Map(); // by the asset's place in `assets`
    this.headings = new Map(); // by the month's number
    this.size = USUAL_SIZE;
    this.onMove = () => {}; // called after scrolling and laying out
    this.spare = new Map(); // tiles of what was shown before, by asset
    this.active = 0; // the one tile that Tab reaches
    this.player = null;
    this.scrolledAt = 0;
    const later = () => {
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.render();
      });
    };
    addEventListener("scroll", () => {
      this.scrolledAt = performance.now();
      later();
      this.mark();
    }, { passive: true });
    new ResizeObserver(() => this.resize()).observe(list);
    addEventListener("resize", later);
    list.addEventListener("keydown", (event) => this.onKey(event));
    list.addEventListener("focusin", (event) => this.onFocus(event));
    list.addEventListener("pointerover", (event) => this.onPointer(event));
    list.addEventListener("pointerout", (event) => {
      const tile = event.target.closest(".tile");
      if (tile && !tile.contains(event.relatedTarget)) this.endPreview();
    });
    list.addEventListener("click", (event) => {
      const button = event.target.closest(".play");
      if (button) this.play(Number(button.closest(".tile").dataset.at));
    });
  }

  /** Show other assets, from the top; `words` gives the waymark's text for an asset. */
  show(assets, words, { byMonth }) {
    this.stop();
    this.words = words;
    this.byMonth = byMonth;
    this.spare = new Map([...this.tiles].map(([at, tile]) => [this.assets[at], tile]));
    this.list.replaceChildren();
    this.tiles.clear();
    this.headings.clear();
    this.assets = assets;
    this.active = 0;
    this.lay();
    this.spare.forEach(release);
    this.spare.clear();
  }

  /** Measure again, and put everything into its place. */
  lay() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const usual = Math.min(270, 130 + innerWidth * 0.0625);
    const wanted = {
      height: usual * TILE_SIZES[this.size],
      caption: Math.round(CAPTION_REM * rem),
      heading: this.byMonth ? Math.round(HEADING_REM * rem) : 0,
    };
    this.laidWidth = this.list.clientWidth;
    this.layout = new Layout(this.assets, Math.max(100, this.laidWidth), wanted);
    this.list.style.height = `${this.layout.height}px`;
    for (const [at, tile] of this.tiles) this.put(tile, at);
    this.headings.forEach((heading) => heading.remove());
    this.headings.clear();
    this.render();
    this.onMove();
  }

  /** If the width changed, lay the list out again. */
  resize() {
    if (this.list.clientWidth !== this.laidWidth) this.layAround();
  }

  /** Make the tiles larger or smaller; 0 is the smallest of `TILE_SIZES`. */
  resizeTiles(size) {
    this.size = size;
    this.layAround();
  }

  /** Lay the list out again; what was in sight stays in sight. */
  layAround() {
    const { top, layout } = { top: this.top(), layout: this.layout };
    const seen = layout.rows[layout.rowAt(top)];
    this.lay();
    if (seen && top > 0) scrollBy({ top: this.rowOf(seen.first).top - seen.top, behavior: "instant" });
  }

  /** How far the list's upper edge is above the window's. */
  top() {
    return -this.list.getBoundingClientRect().top;
  }

  /** How much of the window's top the page's header covers. */
  covered() {
    const head = document.getElementById("top");
    return getComputedStyle(head).position === "sticky" ? head.getBoundingClientRect().height : 0;
  }

  rowOf(at) {
    return this.layout.rows[this.layout.rowOf[at]];
  }

  /** Show for a moment where in the order the reader is: a month, a size, a letter. */
  mark() {
    const row = this.layout.rows[this.layout.rowAt(this.top() + innerHeight / 3)];
    this.waymark.textContent = row ? this.words(this.assets[row.first]) : "";
    this.waymark.classList.toggle("visible", this.layout.height > 3 * innerHeight);
    clearTimeout(this.waymarkTimer);
    this.waymarkTimer = setTimeout(() => this.waymark.classList.remove("visible"), WAYMARK_MS);
    this.onMove();
  }

  /** Put the rows in sight into the document, and take the others out. */
  render() {
    const { rows } = this.layout;
    const top = this.top();
    const firstRow = Math.max(0, this.layout.rowAt(top) - ROWS_BEYOND);
    const lastRow = Math.min(rows.length - 1, this.layout.rowAt(top + innerHeight) + ROWS_BEYOND);
    const wanted = new Set();
    for (let at = rows[firstRow]?.first ?? 0; at < (rows[lastRow]?.end ?? 0); at += 1) wanted.add(at);
    for (const [at, tile] of this.tiles) {
      if (tile.contains(document.activeElement) || tile.contains(this.player)) wanted.add(at);
      else if (!wanted.has(at)) {
        this.tiles.delete(at);
        release(tile);
      }
    }
    const months = new Set(rows.slice(firstRow, lastRow + 1).filter((row) => row.opens).map((row) => row.month));
    for (const [number, heading] of this.headings) {
      if (!months.has(number)) {
        this.headings.delete(number);
        heading.remove();
      }
    }
    // All stands in the document in its order: Tab and a screen reader follow it.
    let next = this.list.firstElementChild;
    const place = (there, make) => {
      if (there) next = there.nextElementSibling;
      else this.list.insertBefore(make(), next);
    };
    for (const at of [...wanted].sort((a, b) => a - b)) {
      const { month, opens, first } = this.rowOf(at);
      if (opens && at === first && months.has(month)) place(this.headings.get(month), () => this.addHeading(month));
      place(this.tiles.get(at), () => this.add(at));
    }
    this.reachable();
  }

  /** The heading of a month, at its place. */
  addHeading(number) {
    const { first, end, top } = this.layout.months[number];
    const item = element("li", "month");
    item.setAttribute("role", "presentation");
    const heading = element("span", "", monthWords(this.assets[first]));
    heading.setAttribute("role", "heading");
    heading.setAttribute("aria-level", "2");
    item.append(heading, element("small", "", counted(end - first, "asset")));
    item.style.transform = `translate(0, ${top}px)`;
    item.style.height = `${this.layout.heading}px`;
    this.headings.set(number, item);
    return item;
  }

  /** The tile of an asset, at its place. */
  add(at) {
    const one = this.assets[at];
    const isStill = performance.now() - this.scrolledAt > 150;
    const tile = this.spare.get(one) ?? makeTile(this.template, one, isStill ? 0 : PICTURE_DELAY_MS);
    this.spare.delete(one);
    tile.dataset.at = at;
    tile.setAttribute("aria-setsize", this.assets.length);
    tile.setAttribute("aria-posinset", at + 1);
    this.tiles.set(at, tile);
    this.put(tile, at);
    return tile;
  }

  put(tile, at) {
    const { top, picture } = this.rowOf(at);
    tile.style.transform = `translate(${this.layout.left[at]}px, ${top}px)`;
    tile.style.width = `${this.layout.width[at]}px`;
    tile.style.height = `${picture + this.layout.caption}px`;
    tile.style.setProperty("--picture-height", `${picture}px`);
  }

  /** Play an asset in its tile; what played before stops. */
  play(at) {
    this.stop();
    this.endPreview();
    const [one, tile] = [this.assets[at], this.tiles.get(at)];
    const media = document.createElement(one.kind);
    media.className = "player";
    media.controls = true;
    media.src = fileUrl(one.path);
    media.setAttribute("aria-label", one.label);
    media.addEventListener("error", () => {
      if (this.player !== media) return;
      this.stop();
      tile.classList.add("unplayable");
    });
    this.player = media;
    tile.classList.add("playing");
    tile.append(media);
    media.focus({ preventScroll: true });
    media.play().catch(() => {}); // the error event follows, and the controls are there
  }

  /** A film under the mouse plays without sound, after a moment. */
  onPointer(event) {
    const tile = event.target.closest(".tile");
    const one = tile && this.assets[Number(tile.dataset.at)];
    const isWished = event.pointerType === "mouse" && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!isWished || !one?.path || one.kind !== "video" || tile === this.previewed || tile.contains(this.player)) return;
    this.endPreview();
    this.previewed = tile;
    this.previewTimer = setTimeout(() => {
      const film = element("video", "preview");
      film.muted = true;
      film.loop = true;
      film.tabIndex = -1;
      film.setAttribute("aria-hidden", "true");
      film.addEventListener("playing", () => film.classList.add("seen"));
      film.src = fileUrl(one.path);
      tile.querySelector(".picture").append(film);
      film.play().catch(() => {});
    }, PREVIEW_DELAY_MS);
  }

  endPreview() {
    clearTimeout(this.previewTimer);
    const film = this.previewed?.querySelector(".preview");
    if (film) {
      silence(film);
      film.remove();
    }
    this.previewed = null;
  }

  /** Stop what plays in a tile. */
  stop() {
    const media = this.player;
    if (!media) return;
    const tile = media.closest(".tile");
    const hadFocus = tile?.contains(document.activeElement);
    this.player = null;
    silence(media);
    media.remove();
    tile?.classList.remove("playing");
    if (hadFocus) tile.querySelector("a").focus({ preventScroll: true });
  }

  /** Bring an asset into sight, and the keyboard to it. */
  focus(at) {
    if (at < 0 || at >= this.assets.length) return;
    this.active = at;
    const covered = this.covered();
    const { top, picture } = this.rowOf(at);
    const above = top - this.top() - covered - GAP;
    const below = top - this.top() + picture + this.layout.caption + GAP - innerHeight;
    if (above < 0) scrollBy({ top: above, behavior: "instant" });
    else if (below > 0) scrollBy({ top: below, behavior: "instant" });
    this.render();
    this.tiles.get(at)?.querySelector("a").focus({ preventScroll: true });
  }

  onKey(event) {
    const tile = event.target.closest(".tile");
    if (event.key === "Escape" && this.player) {
      this.stop();
      return;
    }
    const isSeeking = event.target === this.player && isInControls(this.player);
    if (!tile || isSeeking || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = this.beside(Number(tile.dataset.at), event.key);
    if (to === undefined) return;
    event.preventDefault();
    this.focus(to);
  }

  /** Where a key leads from an asset. */
  beside(at, key) {
    const { layout } = this;
    const last = layout.rows.length - 1;
    const row = layout.rowOf[at];
    const page = Math.max(1, layout.rowAt(layout.rows[row].top + innerHeight) - row - 1);
    const inRow = (wanted) => {
      const there = Math.min(last, Math.max(0, wanted));
      return there === row ? at : layout.nearest(there, at);
    };
    switch (key) {
      case "ArrowLeft": return Math.max(0, at - 1);
      case "ArrowRight": return Math.min(this.assets.length - 1, at + 1);
      case "ArrowUp": return inRow(row - 1);
      case "ArrowDown": return inRow(row + 1);
      case "PageUp": return inRow(row - page);
      case "PageDown": return inRow(row + page);
      case "Home": return 0;
      case "End": return this.assets.length - 1;
      default: return undefined;
    }
  }

  onFocus(event) {
    const tile = event.target.closest(".tile");
    if (tile) this.active = Number(tile.dataset.at);
    this.reachable();
  }

  /** Tab reaches one tile, or the first in sight where that one is not in the document. */
  reachable() {
    const active = this.tiles.has(this.active) ? this.active : Number(this.list.querySelector(".tile")?.dataset.at);
    for (const [at, tile] of this.tiles) {
      const index = at === active ? 0 : -1;
      tile.querySelector("a").tabIndex = index;
      tile.querySelector(".play").tabIndex = index;
    }
  }
}
