// Words, numbers and shapes, the same on every page. What a colour says, a word and a shape say too.
export const LABELS = ["without_mask", "with_mask", "mask_worn_incorrectly", "unknown"];

export const LABEL_WORDS = {
  without_mask: "no mask",
  with_mask: "mask",
  mask_worn_incorrectly: "incorrect",
  unknown: "unknown",
};

export const REASONS = {
  refused: "nothing answers at the address",
  unauthorised: "user or password is wrong",
  not_found: "the path of the address is wrong",
  timeout: "no answer in time",
  stalled: "it sent, and fell silent",
  undecodable: "data comes, but no picture",
  frozen: "the picture does not change at all",
  covered: "the view is covered",
  clock: "its clock cannot be used",
  ended: "the other side hung up",
  unreachable: "the network does not lead there",
  unsupported: "a codec that cannot be decoded",
};

const SHAPES = {
  with_mask: "M8 1a7 7 0 1 0 0 14a7 7 0 1 0 0-14z",
  without_mask: "M8 1.5L15.5 14.5H.5z",
  mask_worn_incorrectly: "M8 .5L15.5 8L8 15.5L.5 8z",
  unknown: "M1.5 1.5H14.5V14.5H1.5zM4 4V12H12V4z",
  up: "M8 0a8 8 0 1 0 0 16a8 8 0 1 0 0-16zM6.8 12L3 8.2L4.6 6.6L6.8 8.8L11.6 4L13.2 5.6z",
  connecting: "M8 0a8 8 0 1 0 0 16a8 8 0 1 0 0-16zM8 2.5A5.5 5.5 0 0 1 8 13.5z",
  down: "M4.7 0H11.3L16 4.7V11.3L11.3 16H4.7L0 11.3V4.7zM4 5.4L6.6 8L4 10.6L5.4 12L8 9.4L10.6 12L12 10.6L9.4 8L12 5.4L10.6 4L8 6.6L5.4 4z",
  off: "M8 0a8 8 0 1 0 0 16a8 8 0 1 0 0-16zM4 6.8H12V9.2H4z",
  ended: "M2 2H14V14H2z",
};

/** A small shape for a label or a state; its colour comes from the class. */
export function mark(kind) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `mark ${kind}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[kind] ?? SHAPES.unknown);
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}

/** A new element with a class and what is in it; strings are text, never HTML. */
export function element(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Sets text only where it changed, since 50 tiles are touched every second. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
export const moment = (seconds) => new Date(seconds * 1000).toLocaleString();

/** "8 s", "3 min", "2 h 5 min", "4 d 2 h". */
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const milliseconds = (seconds) =>
  seconds === null ? "–" : seconds < 10 ? `${Math.round(seconds * 1000)} ms` : duration(seconds);

export const percent = (share) => `${(share * 100).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;
export const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;
