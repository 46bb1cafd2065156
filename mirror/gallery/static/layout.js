// Where everything stands, in pixels: rows that fill the width, each picture in its own proportions.
// No DOM.

const GAP = 14;
const NARROWEST_PX = 128; // a picture that would be narrower or wider is cropped
const WIDEST = 2.4; // times its height

class Layout {
  /** @param {object[]} assets @param {number} width @param {{height: number, caption: number}} wanted */
  constructor(assets, width, { height, caption }) {
    const narrowest = Math.min(1, NARROWEST_PX / height);
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
    const top = this.rows.length ? this.height + GAP : 0;
    this.rows.push({ first, end, top, picture: Math.round(height) });
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
