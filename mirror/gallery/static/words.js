// Words: counts, sizes, dates, durations. Text only; nothing here makes HTML.

const numbers = new Intl.NumberFormat("en-GB");
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const moments = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short" });
const months = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric" });

const TYPE_WORDS = { video: "Video", image: "Image", audio: "Sound", other: "Other" };
const STATE_WORDS = { current: "Current", gone: "Exists only here", superseded: "Superseded", missing: "Not fetched" };

/** A count and its noun: "1 asset", "1,204 assets". */
function counted(count, noun) {
  return `${numbers.format(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Bytes for people: 1.5 MB is 1,500,000. */
function sizeWords(bytes) {
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5) return `${unit === "B" ? value : Number(value.toPrecision(3))} ${unit}`;
    value /= 1000;
  }
  return `${numbers.format(Number(value.toPrecision(3)))} TB`;
}

/** Milliseconds as a player shows them: "0:03", "1:02:03"; a sound of 0.4 s is "0:01". */
function durationWords(ms) {
  const seconds = Math.max(1, Math.round(ms / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, at) => (at ? String(part).padStart(2, "0") : String(part))).join(":");
}

/** A time in words of the given format, or a dash if it is no time. */
function timeWords(format, time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) || date.getTime() === 0 ? "–" : format.format(date);
}

/** An asset's month in words. */
function monthWords(one) {
  const words = timeWords(months, one.date);
  return words === "–" ? "No date" : words;
}

/** The waymark's text: where in an order an asset is. */
const WAYMARKS = {
  date: monthWords,
  size: (one) => sizeWords(one.size),
  duration: (one) => (one.duration ? durationWords(one.duration) : "No duration"),
  name: (one) => [...one.label][0].toUpperCase(),
};

/** The address of one of the mirror's files, from the page's folder. */
function fileUrl(path) {
  return `${globalThis.klingMirror.base}${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** A new element with a class and a text. */
function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** One of the page's icons. */
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Whether the focus is in a player's own controls, such as its seek bar: arrows are theirs. */
function isInControls(media) {
  return !media.matches(":focus");
}

/** Stop a player and release its file. */
function silence(media) {
  media.pause();
  media.removeAttribute("src");
  media.load();
}
