// All cameras as tiles.
import { drawHour } from "/static/chart.js";
import { followInFrame } from "/static/frame.js";
import {
  Pictures, drawZones, prepareFaces, prepareTile, showFaces, showTile, zonesOf,
} from "/static/tile.js";
import { LABELS, duration, element, mark, plural, write } from "/static/words.js";

const MOST_TOLD = 8;

const list = document.getElementById("cameras");
const template = document.getElementById("tile");
const nameBox = document.getElementById("name");
const stateBox = document.getElementById("state");
const sizeBox = document.getElementById("size");
const totals = document.getElementById("totals");
const tiles = new Map();
const pictures = new Pictures();
let newest = null;

prepareFaces(totals);

function tileOf(id) {
  let tile = tiles.get(id);
  if (!tile) {
    tile = template.content.firstElementChild.cloneNode(true);
    const link = tile.querySelector("a");
    link.textContent = id;
    link.href = `/camera/${id}`;
    prepareTile(tile, id);
    list.append(tile);
    tiles.set(id, tile);
    pictures.add(tile, id);
  }
  return tile;
}

function onState(state) {
  newest = state;
  const present = new Set(state.cameras.map((camera) => camera.camera_id));
  for (const [id, tile] of tiles) {
    if (!present.has(id)) {
      pictures.remove(tile);
      tile.remove();
      tiles.delete(id);
    }
  }
  for (const camera of state.cameras) {
    const tile = tileOf(camera.camera_id);
    showTile(tile, camera, state);
    drawZones(tile.querySelector(".zones"), zonesOf(state, camera.camera_id));
    pictures.want(tile, camera.looked_at);
  }
  summarise(state);
  filter();
}

function onHours(hours) {
  for (const [id, hour] of Object.entries(hours.cameras)) {
    const tile = tiles.get(id);
    if (tile) drawHour(tile.querySelector(".hour"), hour);
  }
}

function summarise(state) {
  const up = state.cameras.filter((camera) => camera.state === "up");
  const watched = state.cameras.filter((camera) => camera.state !== "off" && camera.state !== "ended");
  const off = state.cameras.length - watched.length;
  write(
    document.getElementById("seeing"),
    `${up.length} of ${plural(watched.length, "camera", "cameras")} up${off ? `, ${off} off or ended` : ""}`,
  );
  const sums = Object.fromEntries(
    LABELS.map((label) => [label, up.reduce((sum, camera) => sum + (camera.counts[label] ?? 0), 0)]),
  );
  showFaces(totals, sums);
  const blind = watched.filter((camera) => camera.state !== "up" || camera.reason === "frozen");
  const told = blind.slice(0, MOST_TOLD).map((camera) => {
    const link = element("a", "", camera.camera_id);
    link.href = `/camera/${camera.camera_id}`;
    const why = ` ${camera.reason ?? camera.state} for ${duration(state.now - camera.since)}`;
    return element("li", "", mark(camera.state), " ", link, why);
  });
  if (blind.length > MOST_TOLD) told.push(element("li", "", `and ${blind.length - MOST_TOLD} more`));
  replaceQuietly(document.getElementById("blind"), told);
}

/** Replaces entries only where their text changed, so that the keyboard's focus is not lost. */
function replaceQuietly(box, entries) {
  const same = box.children.length === entries.length;
  entries.forEach((entry, n) => {
    const present = box.children[n];
    if (!present) box.append(entry);
    else if (present.querySelector("a")?.href === entry.querySelector("a")?.href && same) {
      if (present.textContent !== entry.textContent) {
        present.lastChild.replaceWith(entry.lastChild);
        present.firstChild.replaceWith(entry.firstChild);
      }
    } else present.replaceWith(entry);
  });
  while (box.children.length > entries.length) box.lastElementChild.remove();
}

function filter() {
  list.dataset.size = sizeBox.value;
  if (!newest) return;
  const part = nameBox.value.trim().toLowerCase();
  const wanted = stateBox.value;
  let shown = 0;
  for (const camera of newest.cameras) {
    const fits =
      camera.camera_id.includes(part) &&
      (!wanted || (wanted === "blind" ? camera.state !== "up" : camera.state === wanted));
    tiles.get(camera.camera_id).hidden = !fits;
    shown += fits;
  }
  const all = newest.cameras.length;
  write(document.getElementById("shown"), shown === all ? "" : `${shown} of ${all} shown`);
  const none = document.getElementById("none");
  none.hidden = shown > 0;
  write(none, all === 0 ? "This worker has no cameras." : "No camera fits the filter.");
}

/** The filter stands in the address, so that it can be kept as a bookmark. */
function keepFilter() {
  const query = new URLSearchParams();
  if (nameBox.value) query.set("name", nameBox.value);
  if (stateBox.value) query.set("state", stateBox.value);
  if (sizeBox.value) query.set("size", sizeBox.value);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  filter();
}

const asked = new URLSearchParams(location.search);
nameBox.value = asked.get("name") ?? "";
for (const [box, key] of [[stateBox, "state"], [sizeBox, "size"]]) {
  box.value = asked.get(key) ?? "";
  if (box.selectedIndex < 0) box.value = "";
}
document.getElementById("filter").addEventListener("input", keepFilter);
document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
followInFrame({ onState, onHours });
