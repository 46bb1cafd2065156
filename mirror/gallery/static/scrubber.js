// The date scrubber: a rail beside the grid, with the years on it; it leads to a month at once.

const FEWEST_ASSETS = 60; // fewer are on a few screens
const YEAR_GAP_PX = 22;

class Scrubber {
  /** @param {HTMLElement} rail @param {Grid} grid */
  constructor(rail, grid) {
    this.rail = rail;
    this.grid = grid;
    this.thumb = rail.querySelector(".thumb");
    this.years = rail.querySelector(".years");
    rail.addEventListener("keydown", (event) => this.onKey(event));
    rail.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      rail.setPointerCapture(event.pointerId);
      rail.classList.add("held");
      this.drag(event);
    });
    rail.addEventListener("pointermove", (event) => rail.hasPointerCapture(event.pointerId) && this.drag(event));
    rail.addEventListener("lostpointercapture", () => rail.classList.remove("held"));
  }

  /** Follow the grid: after another selection, a scroll, a change of size. */
  refresh() {
    const { layout, assets } = this.grid;
    const isUseful = layout.months.length > 1 && assets.length >= FEWEST_ASSETS;
    this.rail.hidden = !isUseful;
    document.body.classList.toggle("scrubbed", isUseful);
    if (!isUseful) return;
    this.rail.style.top = `${this.grid.covered()}px`;
    if (this.laid !== layout || this.laidHeight !== innerHeight) this.lay(layout);
    const now = this.now();
    this.thumb.style.top = `${100 * this.share(this.above())}%`;
    this.rail.setAttribute("aria-valuemax", layout.months.length - 1);
    this.rail.setAttribute("aria-valuenow", now);
    this.rail.setAttribute("aria-valuetext", monthWords(assets[layout.months[now].first]));
    this.grid.waymark.style.top = `${this.thumb.getBoundingClientRect().top}px`;
  }

  /** Put the years on the rail, as many as have room. */
  lay(layout) {
    this.laid = layout;
    this.laidHeight = innerHeight;
    const room = this.rail.clientHeight;
    const shown = [];
    let [year, last] = [null, -YEAR_GAP_PX];
    for (const { month, top } of layout.months) {
      if (Math.floor(month / 12) === year || month < 0) continue;
      year = Math.floor(month / 12);
      const at = this.share(top) * room;
      if (at - last < YEAR_GAP_PX || at > room - YEAR_GAP_PX) continue;
      last = at;
      const label = element("span", "", String(year));
      label.style.top = `${at}px`;
      shown.push(label);
    }
    this.years.replaceChildren(...shown);
  }

  /** How far the grid is scrolled, its part below the page's header. */
  above() {
    return this.grid.top() + this.grid.covered();
  }

  /** The number of the month in sight. */
  now() {
    return Math.max(0, this.grid.layout.monthAt(this.above() + GAP));
  }

  /** A height of the grid as a part of the way from its top to its end. */
  share(y) {
    const way = this.grid.layout.height + this.grid.covered() - innerHeight;
    return Math.min(1, Math.max(0, y / Math.max(1, way)));
  }

  scrollTo(y) {
    scrollBy({ top: y - this.above(), behavior: "instant" });
  }

  drag({ clientY }) {
    const { top, height } = this.rail.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (clientY - top) / height));
    this.scrollTo(share * (this.grid.layout.height + this.grid.covered() - innerHeight));
  }

  onKey(event) {
    const { months } = this.grid.layout;
    const [now, last] = [this.now(), months.length - 1];
    const year = ({ month }) => Math.floor(month / 12);
    const steps = {
      ArrowUp: () => now - 1,
      ArrowLeft: () => now - 1,
      ArrowDown: () => now + 1,
      ArrowRight: () => now + 1,
      PageUp: () => months.findLastIndex((one, at) => at < now && year(one) !== year(months[now])),
      PageDown: () => months.findIndex((one, at) => at > now && year(one) !== year(months[now])),
      Home: () => 0,
      End: () => last,
    };
    if (!Object.hasOwn(steps, event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const to = steps[event.key]();
    if (to < 0 && event.key === "PageDown") this.scrollTo(months[last].top);
    else this.scrollTo(months[Math.min(last, Math.max(0, to))].top);
  }
}
