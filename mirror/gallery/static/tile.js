// One asset's tile in the grid: its picture, name, facts and marks.

/** A new tile for an asset; its picture comes after a delay, if the tile is still there. */
function makeTile(template, one, delay) {
  const tile = template.content.firstElementChild.cloneNode(true);
  const link = tile.querySelector("a");
  tile.classList.add(one.type);
  tile.classList.toggle("old", one.state === "superseded");
  tile.style.setProperty("--hue", one.hue);
  link.href = `#${encodeURIComponent(one.key)}`;
  link.title = one.label;
  tile.querySelector(".name").textContent = one.label;
  tile.querySelector(".facts").append(
    element("span", "", timeWords(days, one.date)), " ", element("span", "", one.path ? sizeWords(one.size) : "No file here"),
  );
  tile.querySelector(".picture").append(icon(one.type));
  const duration = tile.querySelector(".duration");
  duration.hidden = !one.duration;
  duration.textContent = one.duration ? durationWords(one.duration) : "";
  const badges = tile.querySelector(".badges");
  badges.append(element("span", "unseen", TYPE_WORDS[one.type]));
  if (one.favored) badges.append(badge("favored", "Favourite", icon("star")));
  if (one.state !== "current") badges.append(badge(one.state, STATE_WORDS[one.state]));
  if (!one.path) {
    tile.classList.add("missing");
    tile.querySelector(".picture").append(element("span", "lost", "Never fetched: run kling-mirror sync"));
  }
  const play = tile.querySelector(".play");
  play.hidden = one.kind !== "video" && one.kind !== "audio";
  play.setAttribute("aria-label", `Play ${one.label}`);
  setTimeout(() => tile.isConnected && picture(tile, one), delay);
  return tile;
}

/** Take a tile out of the document, and release the files that it showed. */
function release(tile) {
  tile.querySelectorAll("video, audio").forEach(silence);
  tile.querySelector("img")?.removeAttribute("src");
  tile.remove();
}

/** A small mark on a tile's picture. */
function badge(name, words, shown = null) {
  const made = element("span", `badge ${name}`);
  if (shown) made.append(shown, element("span", "unseen", words));
  else made.textContent = words;
  return made;
}

/** Give a tile its picture: the cover; without one the image itself, or a video's first frame. */
function picture(tile, one, path = one.cover || one.path, thumb = one.thumb) {
  const isCover = path === one.cover;
  if (!path || !(isCover || one.kind === "image" || one.kind === "video")) return;
  const isVideo = !isCover && one.kind === "video";
  const shown = element(isVideo ? "video" : "img");
  if (isVideo) {
    shown.muted = true;
    shown.preload = "metadata";
    shown.tabIndex = -1;
    shown.setAttribute("aria-hidden", "true");
  } else {
    shown.decoding = "async";
    shown.alt = "";
    shown.draggable = false;
  }
  shown.addEventListener(isVideo ? "loadeddata" : "load", () => tile.classList.add("seen"));
  shown.addEventListener("error", () => {
    if (!shown.isConnected) return; // released
    shown.remove();
    if (thumb) picture(tile, one, path, "");
    else if (isCover) picture(tile, one, one.path, "");
    else tile.querySelector(".picture").append(element("span", "lost", "Cannot be shown: run kling-mirror verify"));
  });
  if (thumb) shown.src = `thumbs/${thumb}.webp`;
  else shown.src = isVideo ? `${fileUrl(path)}#t=0.1` : fileUrl(path);
  tile.querySelector(".picture").append(shown);
}
