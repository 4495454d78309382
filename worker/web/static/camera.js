// One camera: picture, hour, changes of state and gaps, newest events, configuration.
import { drawHour } from "/static/chart.js";
import { eventWords } from "/static/events.js";
import { followInFrame } from "/static/frame.js";
import { Pictures, drawZones, prepareTile, showTile, zonesOf } from "/static/tile.js";
import { LABELS, LABEL_WORDS, clock, duration, element, mark, moment } from "/static/words.js";

const DETAIL_MS = 2_000;
const ROWS_OF_CHANGES = 50;

const id = decodeURIComponent(location.pathname.split("/").pop());
const tile = document.getElementById("tile");
const gone = document.getElementById("gone");
const pictures = new Pictures();
let now = Date.now() / 1000;

document.title = `${id} · maskwatch`;
document.getElementById("title").textContent = id;
prepareTile(tile, id);
pictures.add(tile, id);

function onState(state) {
  now = state.now;
  const camera = state.cameras.find((candidate) => candidate.camera_id === id);
  gone.hidden = camera !== undefined;
  gone.textContent = camera ? "" : "The worker has no camera of this name any more.";
  if (!camera) return;
  showTile(tile, camera, state);
  drawZones(tile.querySelector(".zones"), zonesOf(state, id));
  pictures.want(tile, camera.looked_at);
}

function row(...cells) {
  return element("tr", "", ...cells.map((cell) => element("td", "", cell)));
}

function fill(table, rows, otherwise) {
  const body = document.querySelector(`#${table} tbody`);
  body.replaceChildren(...(rows.length ? rows : [row(otherwise)]));
}

function showChanges(changes, detail) {
  const rows = changes.slice(0, ROWS_OF_CHANGES).map((change, n) => {
    const words = `${change.state}${change.reason ? `, ${change.reason}` : ""}`;
    const why = n === 0 && change.reason && detail ? `: ${detail}` : "";
    const state = element("span", "", mark(change.state), ` ${words}${why}`);
    const span = duration((change.until ?? now) - change.since) + (change.until ? "" : " so far");
    return row(moment(change.since), state, span);
  });
  fill("changes", rows, "No change since the worker started.");
}

function showEvents(events) {
  const rows = events.map((event) => {
    const kind = event.schema.split(/[./]/)[1];
    return row(clock(Date.parse(event.captured_at ?? event.occurred_at) / 1000), kind, eventWords(kind, event));
  });
  fill("events", rows, "No event yet.");
}

function showConfiguration(configuration, address) {
  const rows = Object.entries({ address, ...configuration }).map(([key, value]) => {
    const head = element("th", "", key);
    head.scope = "row";
    const text = value === null ? "not set" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return element("tr", "", head, element("td", "", text));
  });
  fill("configuration", rows, "");
}

function showMinutes(hour) {
  const table = document.getElementById("minutes");
  const heads = ["minute", ...LABELS.map((label) => LABEL_WORDS[label]), "frames"];
  table.tHead.replaceChildren(element("tr", "", ...heads.map((head) => element("th", "", head))));
  const minutes = hour.frames.length;
  const rows = hour.frames.map((frames, m) => {
    const cells = LABELS.map((label) => (frames ? hour.faces[label][m].toFixed(1) : "–"));
    return row(clock((Math.floor(now / 60) - minutes + 1 + m) * 60), ...cells, frames || "not watched");
  });
  fill("minutes", rows.reverse(), "");
}

async function look() {
  try {
    const answer = await fetch(`/api/camera/${encodeURIComponent(id)}`);
    if (answer.ok) {
      const camera = await answer.json();
      drawHour(document.getElementById("hour"), camera.hour, 60);
      showChanges(camera.changes, camera.detail);
      showEvents(camera.events);
      showConfiguration(camera.configuration, camera.address);
      if (document.querySelector("details").open) showMinutes(camera.hour);
    }
  } catch {
    // the frame tells that nobody answers
  }
}

async function keepLooking() {
  if (!document.hidden) await look();
  setTimeout(keepLooking, DETAIL_MS);
}

document.querySelector("details").addEventListener("toggle", look);
followInFrame({ onState });
keepLooking();
