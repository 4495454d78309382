// The last hour as stacked bars, one a minute: inline SVG, five paths, drawn anew once in a while.
import { LABELS, LABEL_WORDS, clock, percent } from "/static/words.js";

const SVG = "http://www.w3.org/2000/svg";
const BAR = 4;
const GAP = 0.6;
const STACK = ["with_mask", "unknown", "mask_worn_incorrectly", "without_mask"];

function node(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Draws an hour into a box, and says the same in words to those who don't see it. */
export function drawHour(box, hour, now, { height = 28 } = {}) {
  const minutes = hour.frames.length;
  let svg = box.querySelector("svg");
  if (!svg) {
    svg = node("svg", { role: "img" });
    svg.append(node("path", { class: "not-watched" }));
    for (const label of STACK) svg.append(node("path", { class: `bar ${label}` }));
    box.replaceChildren(svg, document.createElement("p"));
  }
  svg.setAttribute("viewBox", `0 0 ${minutes * BAR} ${height}`);
  const totals = hour.frames.map((_, m) => STACK.reduce((sum, l) => sum + hour.faces[l][m], 0));
  const most = Math.max(1, ...totals);
  const feet = new Array(minutes).fill(0);
  for (const label of STACK) {
    let d = "";
    hour.faces[label].forEach((value, m) => {
      if (!value) return;
      const tall = (value / most) * height;
      d += `M${m * BAR} ${(height - feet[m]).toFixed(1)}v${(-tall).toFixed(1)}h${BAR - GAP}v${tall.toFixed(1)}z`;
      feet[m] += tall;
    });
    svg.querySelector(`.bar.${label}`).setAttribute("d", d);
  }
  let blind = "";
  hour.frames.forEach((frames, m) => {
    if (!frames) blind += `M${m * BAR} 0h${BAR}v${height}h${-BAR}z`;
  });
  svg.querySelector(".not-watched").setAttribute("d", blind);
  svg.setAttribute("aria-label", inWords(hour, totals));
  const watched = hour.frames.filter(Boolean).length;
  const text =
    `last hour, since ${clock(now - minutes * 60)}: at most ` +
    `${Math.max(...totals).toFixed(1)} in view` +
    (watched < minutes ? ` · ${minutes - watched} min not watched` : "");
  box.querySelector("p").textContent = text;
}

function inWords(hour, totals) {
  const sum = totals.reduce((a, b) => a + b, 0);
  const shares = LABELS.map((label) => {
    const part = hour.faces[label].reduce((a, b) => a + b, 0);
    return `${LABEL_WORDS[label]} ${sum ? percent(part / sum) : "none"}`;
  });
  return `Faces in view over the last hour, by minute: ${shares.join(", ")}.`;
}
