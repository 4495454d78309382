// One camera as it is now: its state and why, its picture with zones, faces by label, rates.
import {
  LABELS, LABEL_WORDS, REASONS, clock, duration, element, mark, milliseconds, moment, write,
} from "/static/words.js";

const SVG = "http://www.w3.org/2000/svg";

/** Fills a list with one entry a label; `showFaces` writes the numbers. */
export function prepareFaces(list) {
  for (const label of LABELS) {
    const term = element("dt", "", mark(label), LABEL_WORDS[label]);
    list.append(element("div", label, term, element("dd", "", "–")));
  }
}

export function showFaces(list, counts) {
  LABELS.forEach((label, n) => {
    write(list.children[n].querySelector("dd"), String(counts[label] ?? "–"));
  });
}

/** Prepares the parts of a tile once. */
export function prepareTile(tile, id) {
  prepareFaces(tile.querySelector(".faces"));
  const image = tile.querySelector("img");
  image.alt = `What camera ${id} saw last, with a box around each face`;
  followShape(image);
}

/** Lets the frame of a picture have the picture's shape, so that zones lie where they belong. */
export function followShape(image) {
  image.addEventListener("load", () => {
    const shape = image.naturalWidth / image.naturalHeight;
    const picture = image.parentElement;
    picture.style.setProperty("--shape", shape);
    picture.classList.toggle("tall", shape < 16 / 9);
    image.hidden = false;
  });
}

/** Shows a camera as the state document has it. */
export function showTile(tile, camera, state) {
  const line = tile.querySelector(".state");
  const word = `${camera.state}${camera.reason ? `, ${camera.reason}` : ""}`;
  if (line.dataset.said !== `${word} ${camera.since}`) {
    line.dataset.said = `${word} ${camera.since}`;
    tile.dataset.state = camera.state;
    const time = element("time", "quiet");
    time.dateTime = new Date(camera.since * 1000).toISOString();
    time.title = moment(camera.since);
    line.replaceChildren(mark(camera.state), element("strong", "", word), " ", time);
  }
  write(line.querySelector("time"), `for ${duration(state.now - camera.since)}, since ${clock(camera.since)}`);
  write(tile.querySelector(".why"), overlay(camera));
  showFaces(tile.querySelector(".faces"), camera.state === "up" ? camera.counts : {});
  const rate =
    camera.state === "up"
      ? `${camera.fps.toFixed(1)} of ${camera.fps_wanted} frames/s · latency ${milliseconds(camera.latency_s)}`
      : "no frames now";
  write(tile.querySelector(".rate"), `${rate} · ${camera.dropped} dropped`);
  write(tile.querySelector(".address"), camera.address);
}

function overlay(camera) {
  const last = camera.looked_at ? ` Last picture ${clock(camera.looked_at)}.` : "";
  if (camera.state === "down") return `${sentence(REASONS[camera.reason] ?? "it does not send")}.${last}`;
  if (camera.state === "connecting") return `Connecting.${last}`;
  if (camera.state === "off") return `Outside its active hours.${last}`;
  if (camera.state === "ended")
    return camera.reason ? "The file could not be played to its end." : "The file was played to its end.";
  if (camera.reason) return `${sentence(REASONS[camera.reason] ?? camera.reason)}.`;
  return camera.looked_at ? "" : "No picture yet.";
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

/** The polygons of a camera, out of the zones of the state document. */
export function zonesOf(state, id) {
  return (state.zones ?? [])
    .filter((zone) => zone.polygons[id])
    .map((zone) => ({ name: zone.zone, polygon: zone.polygons[id] }));
}

/** Draws polygons, given as shares of width and height, over a picture. */
export function drawZones(svg, zones) {
  const key = JSON.stringify(zones);
  if (svg.dataset.key === key) return;
  svg.dataset.key = key;
  svg.replaceChildren(
    ...zones.map(({ name, polygon }) => {
      const shape = document.createElementNS(SVG, "polygon");
      shape.setAttribute("points", polygon.map((point) => point.join(",")).join(" "));
      return shape;
    }),
  );
  svg.parentElement?.querySelectorAll(".zone-name").forEach((old) => old.remove());
  for (const { name, polygon } of zones) {
    const [x, y] = polygon.reduce((a, b) => (b[0] + b[1] < a[0] + a[1] ? b : a));
    const label = element("span", "zone-name", name);
    label.style.left = `${x * 100}%`;
    label.style.top = `${y * 100}%`;
    svg.after(label);
  }
}

/** Loads pictures one after the other: those in view, the longest unrefreshed first. */
export class Pictures {
  #tiles = new Map();
  #loading = 0;
  #observer;

  constructor({ atOnce = 3, everyMs = 100 } = {}) {
    this.atOnce = atOnce;
    this.#observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          const entry = this.#tiles.get(target);
          if (entry) entry.inView = isIntersecting;
        }
      },
      { rootMargin: "100px" },
    );
    setInterval(() => this.#next(), everyMs);
  }

  add(tile, id) {
    this.#tiles.set(tile, { id, inView: false, at: null, wanted: null, begun: 0 });
    this.#observer.observe(tile);
  }

  remove(tile) {
    this.#observer.unobserve(tile);
    this.#tiles.delete(tile);
  }

  want(tile, at) {
    const entry = this.#tiles.get(tile);
    if (entry) entry.wanted = at;
  }

  #next() {
    if (document.hidden || this.#loading >= this.atOnce) return;
    let chosen = null;
    for (const [tile, entry] of this.#tiles) {
      const due = entry.inView && entry.wanted && entry.wanted !== entry.at;
      if (due && (!chosen || entry.begun < chosen[1].begun)) chosen = [tile, entry];
    }
    if (chosen) this.#load(...chosen);
  }

  #load(tile, entry) {
    const image = tile.querySelector("img");
    entry.at = entry.wanted;
    entry.begun = performance.now();
    this.#loading += 1;
    const over = () => {
      this.#loading -= 1;
      image.removeEventListener("load", over);
      image.removeEventListener("error", over);
    };
    image.addEventListener("load", over);
    image.addEventListener("error", over);
    image.src = `/preview/${entry.id}.jpg?at=${entry.at}`;
  }
}
