// An event in words.
import { LABEL_WORDS, duration, element, mark, percent, plural } from "/static/words.js";

const labelled = (label, score, reason) =>
  element("span", "labelled", mark(label), ` ${LABEL_WORDS[label]} ${reason ? `(${reason})` : score.toFixed(2)}`);

const PHASES = { start: "begins", update: "goes on", end: "ends" };

const number = (id) => id.split("-").pop();

const WORDS = {
  frame(event) {
    const held = event.detection === "unchanged" ? ", nothing moved" : "";
    const faces = event.faces.slice(0, 8).map((face) => labelled(face.label, face.score, face.reason));
    const more = event.faces.length > faces.length ? [` and ${event.faces.length - faces.length} more`] : [];
    return [`${event.faces.length ? plural(event.faces.length, "face", "faces") : "no face"}${held} `, ...faces, ...more];
  },
  track(event) {
    const phase = event.phase === "start" ? "begins" : `ends after ${duration(event.duration_s)}`;
    return [`track ${number(event.track_id)} ${phase} `, labelled(event.label, event.score, event.reason)];
  },
  violation(event) {
    const where = event.zone && event.zone !== "all" ? ` in ${event.zone}` : "";
    return [
      `violation ${number(event.violation_id)} ${PHASES[event.phase]}${where}, after ${duration(event.duration_s)} `,
      labelled(event.kind, event.score),
    ];
  },
  camera: (event) => [mark(event.state), ` ${event.state}${event.reason ? `, ${event.reason}` : ""}`],
  gap: (event) => [`not watched for ${duration(event.duration_s)} (${event.reason})`],
  loss: (event) => [`${plural(event.count, "event", "events")} of ${event.stream} lost (${event.reason})`],
  rule(event) {
    const rate = event.rate === null ? "no rate" : `${percent(event.rate)} of ${event.denominator} with a mask`;
    return [`${event.zone} below its limit of ${percent(event.limit)} ${PHASES[event.phase]}: ${rate}`];
  },
  compliance(event) {
    const rate = event.rate === null ? `${event.denominator} judged, too few for a rate` : `${percent(event.rate)} of ${event.denominator} with a mask`;
    return [`${event.zone ?? "whole view"}: ${rate}, ${event.persons.unknown} unknown`];
  },
};

/** What happened, as a piece of the page; an event of a kind that is not known is shown as it is. */
export function eventWords(kind, event) {
  try {
    return element("span", "", ...WORDS[kind](event));
  } catch {
    return element("span", "", JSON.stringify(event).slice(0, 300));
  }
}
