// Small charts: inline SVG of a few paths, drawn anew once in a while, the same in words beside.
import { LABELS, LABEL_WORDS, clock, percent, plural } from "/static/words.js";

const SVG = "http://www.w3.org/2000/svg";
const COLUMNS = 60;
const WIDTH = 4;
const GAP = 0.6;
const HEIGHT = 28;
const STACK = ["with_mask", "unknown", "mask_worn_incorrectly", "without_mask"];
const HARDLY_SEEN = 0.5;

/** The chart in a box, made at the first call: paths by class, and a line of text under it. */
function canvas(box, height, ...classes) {
  let svg = box.querySelector("svg");
  if (!svg) {
    svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("viewBox", `0 0 ${COLUMNS * WIDTH} ${height}`);
    for (const name of classes) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      svg.append(path);
    }
    box.replaceChildren(svg, document.createElement("p"));
  }
  return {
    draw: (n, d) => svg.children[n].setAttribute("d", d),
    say(caption, words) {
      box.querySelector("p").textContent = caption;
      svg.setAttribute("aria-label", words);
    },
  };
}

const bar = (column, foot, tall) =>
  `M${column * WIDTH} ${foot.toFixed(1)}v${(-tall).toFixed(1)}h${WIDTH - GAP}v${tall.toFixed(1)}z`;

const whole = (columns, height) =>
  columns.map((column) => `M${column * WIDTH} 0h${WIDTH}v${height}h${-WIDTH}z`).join("");

/** Stacked bars by label; each of `columns` is a count by label, or null where nobody watched. */
function drawStack(chart, columns, height) {
  const total = (column) => LABELS.reduce((sum, label) => sum + column[label], 0);
  const most = Math.max(1, ...columns.map((column) => (column ? total(column) : 0)));
  const feet = new Array(columns.length).fill(height);
  const first = COLUMNS - columns.length;
  STACK.forEach((label, layer) => {
    let d = "";
    columns.forEach((column, n) => {
      const tall = column ? (column[label] / most) * height : 0;
      if (!tall) return;
      d += bar(first + n, feet[n], tall);
      feet[n] -= tall;
    });
    chart.draw(layer + 1, d);
  });
  const blind = columns.flatMap((column, n) => (column ? [] : [first + n]));
  chart.draw(0, whole(blind, height));
  return { most: Math.max(0, ...columns.map((column) => (column ? total(column) : 0))), blind: blind.length };
}

const inShares = (columns) => {
  const sums = LABELS.map((label) => columns.reduce((sum, column) => sum + (column ? column[label] : 0), 0));
  const all = sums.reduce((a, b) => a + b, 0);
  return LABELS.map((label, n) => `${LABEL_WORDS[label]} ${all ? percent(sums[n] / all) : "none"}`).join(", ");
};

const stackClasses = ["not-watched", ...STACK.map((label) => `bar ${label}`)];

/** Faces in view by minute, over the last hour. */
export function drawHour(box, hour, height = HEIGHT) {
  const chart = canvas(box, height, ...stackClasses);
  const present = hour.frames.length - 1; // has only begun: no frame in it is no blindness yet
  const columns = hour.frames.map((frames, m) =>
    frames || m === present ? Object.fromEntries(LABELS.map((label) => [label, hour.faces[label][m]])) : null,
  );
  const { most, blind } = drawStack(chart, columns, height);
  const gap = blind ? ` · ${blind} min not watched` : "";
  const all = blind === columns.length;
  chart.say(
    all ? "nothing seen in the last hour" : `last hour: at most ${most.toFixed(1)} in view${gap}`,
    `Faces in view over the last hour, by minute: ${inShares(columns)}${gap}.`,
  );
}

/** Persons by period; hatched where most of it was not seen. */
export function drawPersons(box, periods, height = HEIGHT) {
  const chart = canvas(box, height, ...stackClasses);
  const columns = periods.map((period) => (period.coverage < HARDLY_SEEN ? null : period.persons));
  const { most, blind } = drawStack(chart, columns, height);
  const caption = periods.length
    ? `${plural(periods.length, "period", "periods")} since ${clock(periods[0].from)}, at most ${plural(most, "person", "persons")}` +
      (blind ? ` · ${blind} hardly seen` : "")
    : "No period is over yet.";
  chart.say(caption, `Persons by period: ${inShares(columns)}.`);
}

/** The rate of each period that has one, with the limit; below the limit a bar is striped. */
export function drawRates(box, periods, limit, height = HEIGHT * 1.5) {
  const chart = canvas(box, height, "not-watched", "rate-marks", "rate-low", "limit");
  const first = COLUMNS - periods.length;
  const rated = periods.flatMap((period, n) => (period.rate === null ? [] : [[first + n, period.rate]]));
  const without = periods.flatMap((period, n) => (period.rate === null ? [first + n] : []));
  chart.draw(0, whole(without, height));
  const low = ([, rate]) => limit !== null && rate < limit;
  const bars = (found) => found.map(([column, rate]) => bar(column, height, Math.max(0.8, rate * height))).join("");
  chart.draw(1, bars(rated.filter((mark) => !low(mark))));
  chart.draw(2, bars(rated.filter(low)));
  chart.draw(3, limit === null ? "" : `M0 ${(1 - limit) * height}H${COLUMNS * WIDTH}`);
  const lowest = Math.min(...rated.map(([, rate]) => rate));
  const caption = rated.length
    ? `top is 100 %${limit === null ? "" : `, the line is the limit`} · lowest ${percent(lowest)}` +
      (without.length ? ` · ${without.length} without a rate` : "")
    : "No period has a rate yet.";
  chart.say(caption, `Share of persons with a mask by period: ${caption}`);
}
