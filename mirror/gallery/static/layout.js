// Where everything stands, in pixels: rows that fill the width, each picture in its own proportions,
// under a heading for each month where the order is by date. No DOM.

const GAP = 14;
const NARROWEST_PX = 128; // a picture that would be narrower or wider is cropped
const WIDEST = 2.4; // times its height

class Layout {
  /**
   * @param {object[]} assets
   * @param {number} width
   * @param {{height: number, caption: number, heading: number}} wanted heading: 0 for no months
   */
  constructor(assets, width, { height, caption, heading }) {
    const narrowest = Math.min(1, NARROWEST_PX / height);
    this.assets = assets;
    this.heading = heading;
    this.months = []; // each with its heading's top
    this.proportions = assets.map((one) => Math.min(WIDEST, Math.max(narrowest, one.proportion)));
    this.caption = caption;
    this.rows = [];
    this.rowOf = new Uint32Array(assets.length);
    this.left = new Uint32Array(assets.length);
    this.width = new Uint32Array(assets.length);
    this.height = 0;
    let first = 0;
    let sum = 0; // of the proportions in the row so far
    const filling = (end) => (width - GAP * (end - first - 1)) / sum; // the height that fills the width
    for (let at = 0; at < assets.length; at += 1) {
      if (heading && at > first && assets[at].month !== assets[first].month) {
        this.addRow(first, at, Math.min(height, filling(at)));
        first = at;
        sum = 0;
      }
      const without = filling(at);
      sum += this.proportions[at];
      const withIt = filling(at + 1);
      if (withIt > height) continue;
      const isTooMuch = at > first && without - height < height - withIt;
      const end = isTooMuch ? at : at + 1;
      this.addRow(first, end, isTooMuch ? without : withIt);
      first = end;
      sum = isTooMuch ? this.proportions[at] : 0;
    }
    if (first < assets.length) this.addRow(first, assets.length, Math.min(height, filling(assets.length)));
  }

  /** The next row down: these assets, side by side, at this height. */
  addRow(first, end, height) {
    let edge = 0;
    for (let at = first; at < end; at += 1) {
      const right = edge + this.proportions[at] * height;
      this.rowOf[at] = this.rows.length;
      this.left[at] = Math.round(edge);
      this.width[at] = Math.round(right) - this.left[at];
      edge = right + GAP;
    }
    let top = this.rows.length ? this.height + GAP : 0;
    const before = this.months.at(-1);
    const opens = this.heading > 0 && before?.month !== this.assets[first].month;
    if (opens) {
      if (before) before.end = first;
      this.months.push({ month: this.assets[first].month, first, end: this.assets.length, top });
      top += this.heading;
    }
    const month = this.months.length - 1;
    this.rows.push({ first, end, top, picture: Math.round(height), month, opens });
    this.height = top + Math.round(height) + this.caption;
  }

  /** The number of the row at a height, or of the nearest one. */
  rowAt(y) {
    let [low, high] = [0, this.rows.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.rows[middle].top <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The number of the month that is at a height; -1 without months. */
  monthAt(y) {
    return this.rows[this.rowAt(y + this.heading)]?.month ?? -1;
  }

  /** The asset of a row that is right above or below another asset. */
  nearest(row, other) {
    const middle = (at) => this.left[at] + this.width[at] / 2;
    let best = this.rows[row].first;
    for (let at = best; at < this.rows[row].end; at += 1) {
      if (Math.abs(middle(at) - middle(other)) < Math.abs(middle(best) - middle(other))) best = at;
    }
    return best;
  }
}
