// The grid: as tall as all assets, but only the rows in sight are in the document.

const GAP = 14;
const ROWS_BEYOND = 2; // above and below what is in sight
const CAPTION_REM = 3.9;
const PICTURE_RATIO = 3 / 4;
const PICTURE_DELAY_MS = 90; // a row that flies past asks for no picture

class Grid {
  /** @param {HTMLUListElement} list @param {HTMLTemplateElement} template */
  constructor(list, template) {
    this.list = list;
    this.template = template;
    this.assets = [];
    this.tiles = new Map(); // by the asset's place in `assets`
    this.active = 0; // the one tile that Tab reaches
    this.player = null;
    this.scrolledAt = 0;
    const later = () => {
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.render();
      });
    };
    addEventListener("scroll", () => { this.scrolledAt = performance.now(); later(); }, { passive: true });
    new ResizeObserver(() => this.lay()).observe(list);
    addEventListener("resize", later);
    list.addEventListener("keydown", (event) => this.onKey(event));
    list.addEventListener("focusin", (event) => this.onFocus(event));
    list.addEventListener("click", (event) => {
      const button = event.target.closest(".play");
      if (button) this.play(Number(button.closest(".tile").dataset.at));
    });
  }

  /** Show other assets, from the top. */
  show(assets) {
    this.stop();
    this.assets = assets;
    this.active = 0;
    for (const at of [...this.tiles.keys()]) this.drop(at);
    this.lay();
  }

  /** Take the measures anew: columns, and a row's height. */
  lay() {
    const width = this.list.clientWidth;
    const wished = Math.min(300, Math.max(150, innerWidth * 0.14));
    this.columns = Math.max(1, Math.floor((width + GAP) / (wished + GAP)));
    this.tileWidth = (width - GAP * (this.columns - 1)) / this.columns;
    this.pictureHeight = Math.round(this.tileWidth * PICTURE_RATIO);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.tileHeight = this.pictureHeight + Math.round(CAPTION_REM * rem);
    this.rowHeight = this.tileHeight + GAP;
    const rows = Math.ceil(this.assets.length / this.columns);
    this.list.style.height = `${Math.max(0, rows * this.rowHeight - GAP)}px`;
    this.list.style.setProperty("--picture-height", `${this.pictureHeight}px`);
    for (const [at, tile] of this.tiles) this.put(tile, at);
    this.render();
  }

  /** Put the rows in sight into the document, and take the others out. */
  render() {
    const top = -this.list.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / this.rowHeight) - ROWS_BEYOND);
    const last = Math.ceil((top + innerHeight) / this.rowHeight) + ROWS_BEYOND;
    const end = Math.min(this.assets.length, last * this.columns);
    const wanted = new Set();
    for (let at = first * this.columns; at < end; at += 1) wanted.add(at);
    for (const [at, tile] of this.tiles) {
      if (tile.contains(document.activeElement) || tile.contains(this.player)) wanted.add(at);
    }
    for (const at of [...this.tiles.keys()]) if (!wanted.has(at)) this.drop(at);
    // Tiles stand in the document in their order: Tab and a screen reader follow it.
    let next = this.list.firstElementChild;
    for (const at of [...wanted].sort((a, b) => a - b)) {
      const tile = this.tiles.get(at);
      if (tile) next = tile.nextElementSibling;
      else this.list.insertBefore(this.make(at), next);
    }
    this.reachable();
  }

  make(at) {
    const one = this.assets[at];
    const tile = this.template.content.firstElementChild.cloneNode(true);
    const link = tile.querySelector("a");
    const facts = [timeWords(days, one.date), sizeWords(one.size)];
    if (one.duration) facts.unshift(durationWords(one.duration));
    tile.dataset.at = at;
    tile.classList.toggle("old", one.state === "superseded");
    tile.setAttribute("aria-setsize", this.assets.length);
    tile.setAttribute("aria-posinset", at + 1);
    link.href = `#${encodeURIComponent(one.key)}`;
    link.title = one.title.slice(0, 300);
    tile.querySelector(".name").textContent = one.title.slice(0, 300);
    tile.querySelector(".facts").textContent = facts.join(" · ");
    tile.querySelector(".picture").replaceChildren(icon(one.type));
    const badges = tile.querySelector(".badges");
    if (one.favored) badges.append(badge("favored", "Favourite", icon("star")));
    if (one.state !== "current") badges.append(badge(one.state, STATE_WORDS[one.state]));
    const play = tile.querySelector(".play");
    play.hidden = one.kind !== "video" && one.kind !== "audio";
    play.setAttribute("aria-label", `Play ${one.title.slice(0, 300)}`);
    this.tiles.set(at, tile);
    this.put(tile, at);
    const isStill = performance.now() - this.scrolledAt > 150;
    setTimeout(() => tile.isConnected && picture(tile, one), isStill ? 0 : PICTURE_DELAY_MS);
    return tile;
  }

  put(tile, at) {
    const x = (at % this.columns) * (this.tileWidth + GAP);
    const y = Math.floor(at / this.columns) * this.rowHeight;
    tile.style.transform = `translate(${x}px, ${y}px)`;
    tile.style.width = `${this.tileWidth}px`;
    tile.style.height = `${this.tileHeight}px`;
  }

  drop(at) {
    const tile = this.tiles.get(at);
    tile.querySelectorAll("video, audio").forEach(silence);
    tile.querySelector("img")?.removeAttribute("src");
    tile.remove();
    this.tiles.delete(at);
  }

  /** Play an asset in its tile; what played before stops. */
  play(at) {
    this.stop();
    const [one, tile] = [this.assets[at], this.tiles.get(at)];
    const media = document.createElement(one.kind);
    media.className = "player";
    media.controls = true;
    media.src = fileUrl(one.path);
    media.setAttribute("aria-label", one.title.slice(0, 300));
    media.addEventListener("error", () => {
      if (this.player !== media) return;
      this.stop();
      tile.classList.add("unplayable");
    });
    this.player = media;
    tile.classList.add("playing");
    tile.append(media);
    media.focus({ preventScroll: true });
    media.play().catch(() => {}); // the error event tells, and its controls are there
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
    const head = document.getElementById("top").getBoundingClientRect();
    const covered = getComputedStyle(document.getElementById("top")).position === "sticky" ? head.height : 0;
    const top = this.list.getBoundingClientRect().top + Math.floor(at / this.columns) * this.rowHeight;
    const below = top + this.tileHeight - innerHeight;
    if (top < covered + GAP) scrollBy({ top: top - covered - GAP, behavior: "instant" });
    else if (below > -GAP) scrollBy({ top: below + GAP, behavior: "instant" });
    this.render();
    this.tiles.get(at)?.querySelector("a").focus({ preventScroll: true });
  }

  onKey(event) {
    const tile = event.target.closest(".tile");
    if (event.key === "Escape" && this.player) {
      this.stop();
      return;
    }
    if (!tile || event.target === this.player || event.altKey || event.ctrlKey || event.metaKey) return;
    const at = Number(tile.dataset.at);
    const page = this.columns * Math.max(1, Math.floor(innerHeight / this.rowHeight) - 1);
    const last = this.assets.length - 1;
    const to = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at - this.columns,
      ArrowDown: Math.min(at + this.columns, Math.max(at, last)),
      PageUp: Math.max(at - page, at % this.columns),
      PageDown: Math.min(at + page, last),
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to >= 0 && to <= last) this.focus(to);
  }

  onFocus(event) {
    const tile = event.target.closest(".tile");
    if (tile) this.active = Number(tile.dataset.at);
    this.reachable();
  }

  /** Tab reaches one tile, or the first in sight where that one is not in the document. */
  reachable() {
    const active = this.tiles.has(this.active) ? this.active : Number(this.list.firstElementChild?.dataset.at);
    for (const [at, tile] of this.tiles) {
      const index = at === active ? 0 : -1;
      tile.querySelector("a").tabIndex = index;
      tile.querySelector(".play").tabIndex = index;
    }
  }
}

/** A small mark on a tile's picture. */
function badge(name, words, shown = null) {
  const made = element("span", `badge ${name}`);
  if (shown) made.append(shown, element("span", "unseen", words));
  else made.textContent = words;
  return made;
}

/** Give a tile its picture: the cover, the image itself, or a video's first frame. */
function picture(tile, one) {
  const place = tile.querySelector(".picture");
  const path = one.cover || (one.kind === "image" ? one.path : "");
  let shown = null;
  if (path) {
    shown = element("img");
    shown.decoding = "async";
    shown.alt = "";
    shown.draggable = false;
    shown.addEventListener("load", () => tile.classList.add("seen"));
  } else if (one.kind === "video") {
    shown = element("video");
    shown.muted = true;
    shown.preload = "metadata";
    shown.tabIndex = -1;
    shown.setAttribute("aria-hidden", "true");
    shown.addEventListener("loadeddata", () => tile.classList.add("seen"));
  } else {
    return;
  }
  shown.addEventListener("error", () => shown.remove());
  shown.src = path ? fileUrl(path) : `${fileUrl(one.path)}#t=0.1`;
  place.append(shown);
}
