// The data as assets: select and sort them. No DOM.

class Library {
  constructor(data) {
    this.name = data.mirror;
    this.missing = data.missing;
    this.assets = data.rows.map((row) => asset(row, data));
    this.byKey = new Map();
    for (const one of this.assets) {
      if (this.byKey.has(one.key)) one.key += `@${one.sentType ?? ""}`; // as in the manifest
      this.byKey.set(one.key, one);
    }
    this.accounts = [...new Set(this.assets.map((one) => one.account))].sort();
    this.orders = new Map();
  }

  /** How many assets there are of each type, of all or of some. */
  types(assets = this.assets) {
    const counts = new Map();
    for (const { type } of assets) counts.set(type, (counts.get(type) ?? 0) + 1);
    return counts;
  }

  /** All assets of one id, newest first. */
  versions(id) {
    return this.sorted("-date").filter((one) => one.id === id);
  }

  /** The assets that match every filter, in the chosen order. */
  select({ text, type, account, state, favored, sort }) {
    const words = folded(text).split(/\s+/).filter(Boolean);
    return this.sorted(sort).filter(
      (one) =>
        (!type || one.type === type) &&
        (!account || one.account === account.slice(1)) &&
        (!state || one.state === state) &&
        (!favored || one.favored) &&
        words.every((word) => searched(one).includes(word)),
    );
  }

  /** All assets in an order such as "name" or "-size"; those without the measure come last. */
  sorted(order) {
    if (!this.orders.has(order)) {
      const sign = order.startsWith("-") ? -1 : 1;
      const measure = MEASURES[order.replace("-", "")];
      const compare = order.endsWith("name") ? names.compare : (a, b) => a - b;
      const measured = this.assets.map((one) => [measure(one), one]);
      const lacks = (value) => value === 0 || Number.isNaN(value);
      measured.sort(
        ([a, one], [b, other]) =>
          lacks(a) - lacks(b) || sign * compare(a, b) || other.updated - one.updated,
      );
      this.orders.set(order, measured.map(([, one]) => one));
    }
    return this.orders.get(order);
  }
}

const names = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

const MEASURES = {
  date: (one) => one.date,
  size: (one) => one.size,
  duration: (one) => one.duration,
  name: (one) => one.label,
};

const LONGEST_LABEL = 300;

/** A picture's width divided by its height, or a likely value. */
function proportion({ type, width, height }) {
  if (width > 1 && height > 1) return width / height;
  return type === "image" || type === "video" ? 4 / 3 : 1;
}

/** Letters that Unicode does not decompose, as people without them type them. */
const PLAIN = { ł: "l", ø: "o", đ: "d", ð: "d", ħ: "h", ı: "i", ŧ: "t", þ: "th", ß: "ss", æ: "ae", œ: "oe" };

/** Text as the search compares it. */
function folded(text) {
  const bare = text.normalize("NFKD").replace(/\p{Mn}/gu, "").toLowerCase();
  return bare.replace(/[łøđðħıŧþßæœ]/g, (letter) => PLAIN[letter]);
}

/** The text that is searched; made when it is first needed. */
function searched(one) {
  one.searched ??= folded(`${one.name ?? ""}\n${one.id}`);
  return one.searched;
}

/** One row as an object, with what follows from its fields. */
function asset(row, data) {
  const one = Object.fromEntries(data.fields.map((field, at) => [field, row[at]]));
  one.key = `${one.id}@${one.updated}`;
  one.sentType = one.type;
  one.type = Object.hasOwn(TYPE_WORDS, one.type ?? "") ? one.type : "other";
  one.title = one.name?.trim() || one.id;
  one.label = one.title.slice(0, LONGEST_LABEL);
  one.account ??= "";
  one.updated = Number(one.updated);
  one.created = one.created === null ? null : Number(one.created);
  one.date = one.created || one.updated;
  const day = new Date(one.date);
  one.month = one.date ? day.getFullYear() * 12 + day.getMonth() || -1 : -1;
  if (!one.path && one.state === "current") one.state = "missing";
  one.more = data.more[one.more];
  one.proportion = proportion(one);
  one.hue = parseInt(one.sha.slice(0, 4), 16) % 360 || 0;
  return one;
}
