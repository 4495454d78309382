// Zones: who wears a mask there, over how many persons, how much was not seen, who breaks a rule.
import { drawPersons, drawRates } from "/static/chart.js";
import { followInFrame } from "/static/frame.js";
import { Pictures, drawZones, followShape, prepareFaces, showFaces } from "/static/tile.js";
import {
  LABELS, LABEL_WORDS, clock, duration, element, mark, percent, plural, write,
} from "/static/words.js";

const EVERYWHERE = "all";
const WELL_SEEN = 0.995;

const box = document.getElementById("zones");
const template = document.getElementById("zone");
const sections = new Map();
const limits = new Map();
const pictures = new Pictures();

function sectionOf(zone) {
  let section = sections.get(zone.zone);
  if (!section) {
    section = template.content.firstElementChild.cloneNode(true);
    const title = zone.zone === EVERYWHERE ? "All cameras together" : zone.zone;
    section.querySelector("h2").textContent = title;
    section.setAttribute("aria-label", title);
    prepareFaces(section.querySelector(".last"));
    box.append(section);
    sections.set(zone.zone, section);
  }
  return section;
}

/** Where the zone lies, drawn again when its configuration has changed. */
function showAreas(section, zone) {
  const key = JSON.stringify(zone.polygons);
  if (section.dataset.polygons === key) return;
  section.dataset.polygons = key;
  forgetAreas(section);
  const areas = Object.entries(zone.polygons).map(([id, polygon]) => area(zone.zone, id, polygon));
  section.querySelector(".areas").replaceChildren(...areas);
  section.querySelector(".where").hidden = areas.length === 0;
}

function forgetAreas(section) {
  for (const entry of section.querySelectorAll(".areas > li")) pictures.remove(entry);
}

/** Zones that are no longer configured say nothing more. */
function removeOthers(zones) {
  const names = new Set(zones.map((zone) => zone.zone));
  for (const [name, section] of sections) {
    if (names.has(name)) continue;
    forgetAreas(section);
    section.remove();
    sections.delete(name);
    limits.delete(name);
  }
}

function area(zone, id, polygon) {
  const link = element("a", "", id);
  link.href = `/camera/${id}`;
  const image = element("img");
  image.alt = `The zone ${zone} in what camera ${id} saw last`;
  image.hidden = true;
  const outline = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of [["class", "zones"], ["viewBox", "0 0 1 1"], ["preserveAspectRatio", "none"], ["aria-hidden", "true"]]) {
    outline.setAttribute(key, value);
  }
  const picture = element("div", "picture", image, outline);
  drawZones(outline, [{ name: zone, polygon }]);
  const entry = element("li", "", link, element("div", "view", picture));
  entry.dataset.camera = id;
  followShape(image);
  pictures.add(entry, id);
  return entry;
}

function onState(state) {
  const zones = state.zones ?? [];
  document.getElementById("no-zones").hidden = zones.length > 1;
  const looked = new Map(state.cameras.map((camera) => [camera.camera_id, camera.looked_at]));
  removeOthers(zones);
  for (const zone of zones) {
    const section = sectionOf(zone);
    showAreas(section, zone);
    limits.set(zone.zone, zone.limit);
    showVerdict(section, zone, state.now);
    showPeriod(section, zone);
    showViolations(section, zone.violations, state.now);
    for (const entry of section.querySelectorAll(".areas > li")) {
      pictures.want(entry, looked.get(entry.dataset.camera));
    }
  }
}

function showVerdict(section, zone, now) {
  section.dataset.state = zone.low ? "down" : "up";
  const line = section.querySelector(".verdict");
  const key = `${zone.low} ${zone.limit}`;
  if (line.dataset.key !== key) {
    line.dataset.key = key;
    const words = element("span");
    line.replaceChildren(...(zone.limit === null ? [] : [mark(zone.low ? "down" : "up"), " "]), words);
  }
  const limit = zone.limit === null ? "No limit is set." : `The limit is ${percent(zone.limit)}.`;
  const low = zone.low ? `Too few wear a mask, for ${duration(now - zone.low_since)}. ` : "";
  write(line.querySelector("span"), low + limit);
}

function showPeriod(section, { last, present, cameras }) {
  const shown = last ?? present;
  const rate = shown.rate === null ? "no rate" : `${percent(shown.rate)} with a mask`;
  write(section.querySelector(".rate-now"), rate);
  const why = shown.rate === null ? ": too few for a rate" : "";
  const unknown = shown.persons.unknown;
  write(
    section.querySelector(".basis"),
    `of ${plural(shown.denominator, "person", "persons")} judged${why}; ${unknown || "none"} more unknown`,
  );
  const blind = Object.entries(shown.blind).map(([id, s]) => `${id} ${duration(s)}`);
  const seen =
    shown.coverage >= WELL_SEEN
      ? `All was seen, by ${plural(cameras.length, "camera", "cameras")}.`
      : `Only ${percent(shown.coverage)} of the time was seen; blind: ${blind.join(", ")}.`;
  const coverage = section.querySelector(".coverage");
  write(coverage, seen);
  coverage.classList.toggle("warn", shown.coverage < WELL_SEEN);
  write(section.querySelector(".which"), `Persons in ${last ? "the last whole period" : "this period so far"}`);
  showFaces(section.querySelector(".last"), shown.persons);
  const total = LABELS.reduce((sum, label) => sum + present.persons[label], 0);
  write(
    section.querySelector(".present"),
    `${last ? `${clock(last.from)} to ${clock(last.to)}. ` : "No period is over yet. "}` +
      `In the one that goes on, since ${clock(present.from)}: ${plural(total, "person", "persons")}, ` +
      `${present.denominator} judged.`,
  );
}

function showViolations(section, violations, now) {
  const list = section.querySelector(".violations");
  const key = violations.map((violation) => violation.violation_id).join();
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    list.replaceChildren(...violations.map(violationEntry));
  }
  if (!violations.length) write(list, "none");
  violations.forEach((violation, n) => {
    write(list.children[n].querySelector("time"), `for ${duration(now - violation.started_at)}`);
  });
}

function violationEntry(violation) {
  const link = element("a", "", violation.camera_id);
  link.href = `/camera/${violation.camera_id}`;
  const words = ` ${LABEL_WORDS[violation.kind]} ${violation.score.toFixed(2)}, `;
  return element("li", "", mark(violation.kind), words, link, " ", element("time", "quiet"));
}

function onHours(hours) {
  for (const [name, periods] of Object.entries(hours.zones ?? {})) {
    const section = sections.get(name);
    if (!section) continue;
    drawRates(section.querySelector(".rates"), periods, limits.get(name) ?? null);
    drawPersons(section.querySelector(".persons"), periods);
    showTable(section.querySelector("table"), periods);
  }
}

function showTable(table, periods) {
  const heads = ["from", ...LABELS.map((label) => LABEL_WORDS[label]), "rate", "of", "seen"];
  table.tHead.replaceChildren(element("tr", "", ...heads.map((head) => element("th", "", head))));
  const rows = periods.map((period) => {
    const persons = LABELS.map((label) => period.persons[label]);
    const rate = period.rate === null ? "–" : percent(period.rate);
    const cells = [clock(period.from), ...persons, rate, period.denominator, percent(period.coverage)];
    return element("tr", "", ...cells.map((cell) => element("td", "", String(cell))));
  });
  table.tBodies[0].replaceChildren(...rows.reverse());
}

followInFrame({ onState, onHours });
