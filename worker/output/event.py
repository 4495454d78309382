"""Records become events: numbered, dated documents whose bytes never change again.

A document is validated by its model of ``wire`` and written by pydantic, which takes 40 µs for
a frame with five faces; a dict written by ``json`` takes as long without being checked.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from worker.errors import BadDataError
from worker.output import wire
from worker.output.wire import STREAM_OF, EventType, Phase, Stream
from worker.records import LABELS, CameraStatus, Decision, Face, Frame, Label
from worker.venue import EVERYWHERE

_NOT_ASKED = (0.0, 0.0, 0.0)


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as ``2026-11-24T12:30:05.123Z``."""
    whole, ms = divmod(round(seconds * 1_000), 1_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{ms:03d}Z"


@dataclass(frozen=True, slots=True)
class Event:
    """One event, ready to be published.

    Attributes:
        document: the JSON document, UTF-8; these bytes are sent on every attempt.
        monotonic_s: monotonic clock of what it tells of: of the frame's arrival, else of the
            making; age and latency count from here.
        captured_at: the same moment on the wall clock, seconds since the epoch.
    """

    stream: Stream
    camera_id: str
    type: EventType
    seq: int
    event_id: str
    document: bytes
    monotonic_s: float
    captured_at: float


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """A confirmed track as a whole, as it stands now."""

    number: int
    started_at: float
    duration_s: float
    decision: Decision
    frames: Mapping[Label, int]
    seconds: Mapping[Label, float]


@dataclass(frozen=True, slots=True)
class ViolationSummary:
    """A violation as a whole, as it stands now; ``score`` is its highest so far."""

    number: int
    track: int
    kind: Literal["without_mask", "mask_worn_incorrectly"]
    started_at: float
    duration_s: float
    score: float
    zone: str


@dataclass(frozen=True, slots=True)
class PeriodSummary:
    """The persons of a zone over a period, each counted once under its decided label.

    Attributes:
        start, end: wall clock, seconds since the epoch.
        duration_s: how long it was by the monotonic clock.
        cameras: those that see the zone.
        rate: persons with a mask, of those judged; None where too few were judged.
        blind: blind seconds of each camera that had any.
    """

    zone: str
    start: float
    end: float
    duration_s: float
    cameras: tuple[str, ...]
    persons: Mapping[Label, int]
    rate: float | None
    blind: Mapping[str, float]

    @property
    def judged(self) -> int:
        """The rate's denominator: all persons but the unknown."""
        return sum(self.persons.values()) - self.persons.get("unknown", 0)

    @property
    def blind_s(self) -> float:
        """Blind seconds of all cameras together."""
        return sum(self.blind.values())

    @property
    def coverage(self) -> float:
        """Share of the cameras' time in which they were not blind."""
        watched_s = self.duration_s * len(self.cameras)
        return max(0.0, 1.0 - self.blind_s / watched_s) if watched_s > 0 else 1.0


@dataclass(frozen=True, slots=True)
class RuleSummary:
    """A zone whose rate is too low, as it stands now; ``period`` is the last one."""

    number: int
    limit: float
    started_at: float
    duration_s: float
    period: PeriodSummary


@dataclass(frozen=True, slots=True)
class Loss:
    """Events of one camera and stream that were made and given up.

    Attributes:
        of_run_id: the run that made them, where it was an earlier one.
    """

    camera_id: str
    stream: Stream
    first_seq: int
    last_seq: int
    count: int
    reason: str
    of_run_id: str | None = None


class EventMaker:
    """Makes events, one verb a type, and hands each to ``sink`` in the order of its number.

    Number and hand-over happen under one lock, since several threads make events of one
    camera: were they apart, a later number could overtake an earlier one. So ``sink`` must not
    block and must not make events; what a verb returns has been handed over already.

    Every verb raises ``BadDataError`` where the document would break its schema (a score that
    is no number, a camera id with odd characters); no number is used up then.
    """

    def __init__(
        self,
        *,
        worker_id: str,
        run_id: str,
        model: wire.Model,
        sink: Callable[[Event], object],
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._worker_id = worker_id
        self._run_id = run_id
        self._model = model
        self._sink = sink
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._next: defaultdict[tuple[Stream, str], int] = defaultdict(int)

    def track_id(self, number: int) -> str:
        """The published name of a track."""
        return f"{self._run_id}-{number}"

    def frame(
        self,
        frame: Frame,
        faces: Sequence[Face],
        detection: Literal["ran", "unchanged"],
    ) -> Event:
        """A frame that was taken up, with all faces in it."""
        picture = frame.picture
        width, height = picture.width, picture.height
        counts = dict.fromkeys(LABELS, 0)
        for face in faces:
            counts[face.decision.label] += 1
        body = {
            "dropped_since_last": frame.dropped,
            "captured_at": rfc3339(frame.captured_at),
            "width": width,
            "height": height,
            "detection": detection,
            "model": self._model,
            "counts": counts,
            "faces": [self._face(face, width, height) for face in faces],
        }
        return self._emit("frame", frame.camera_id, body, frame.monotonic_s, frame.captured_at)

    def track(
        self,
        camera_id: str,
        phase: Literal["start", "end"],
        track: TrackSummary,
        *,
        end_reason: str | None = None,
    ) -> Event:
        """A confirmed track begins, or ends for ``end_reason``."""
        body = {
            "phase": phase,
            "track_id": self.track_id(track.number),
            **_life(phase, track.started_at, self._wall(), track.duration_s),
            "label": track.decision.label,
            "score": round(track.decision.score, 4),
            "reason": track.decision.reason,
            "frames": _counts(track.frames),
            "seconds": {label: round(track.seconds.get(label, 0.0), 3) for label in LABELS},
            "end_reason": end_reason,
        }
        return self._emit("track", camera_id, body)

    def violation(
        self,
        camera_id: str,
        phase: Phase,
        violation: ViolationSummary,
        *,
        end_reason: str | None = None,
    ) -> Event:
        """A violation begins, goes on, or ends for ``end_reason``."""
        body = {
            "phase": phase,
            "violation_id": f"{self._run_id}-v{violation.number}",
            "kind": violation.kind,
            "track_id": self.track_id(violation.track),
            "zone": violation.zone,
            **_life(phase, violation.started_at, self._wall(), violation.duration_s),
            "score": round(violation.score, 4),
            "end_reason": end_reason,
        }
        return self._emit("violation", camera_id, body)

    def camera(self, status: CameraStatus) -> Event:
        """A camera begins or ceases to see; ``connecting`` is no news, and refused."""
        body = {"state": status.state, "reason": status.reason, "since": rfc3339(status.since)}
        return self._emit("camera", status.camera_id, body)

    def gap(self, camera_id: str, start: float, end: float, reason: str) -> Event:
        """A camera was not watched from ``start`` to ``end``, seconds since the epoch."""
        body = {
            "from": rfc3339(start),
            "to": rfc3339(end),
            "duration_s": round(max(0.0, end - start), 3),
            "reason": reason,
        }
        return self._emit("gap", camera_id, body)

    def loss(self, loss: Loss) -> Event:
        """Events were given up."""
        body = {
            "stream": loss.stream,
            "first_seq": loss.first_seq,
            "last_seq": loss.last_seq,
            "count": loss.count,
            "reason": loss.reason,
            "of_run_id": loss.of_run_id,
        }
        return self._emit("loss", loss.camera_id, body)

    def ending(self, kind: EventType, camera_id: str, body: Mapping[str, Any]) -> Event:
        """End what an earlier run left open; ``body`` is what that run told of it, with its end."""
        return self._emit(kind, camera_id, body)

    def compliance(self, period: PeriodSummary) -> Event:
        """The summary of a zone over a period; of no single camera."""
        persons = _counts(period.persons)
        body = {
            "zone": period.zone,
            "cameras": period.cameras,
            "from": rfc3339(period.start),
            "to": rfc3339(period.end),
            "duration_s": round(period.duration_s, 3),
            "persons": {"seen": sum(persons.values()), **persons},
            "rate": _rounded(period.rate),
            "denominator": period.judged,
            "blind_s": round(period.blind_s, 3),
            "blind": {camera: round(s, 3) for camera, s in period.blind.items()},
            "coverage": round(period.coverage, 4),
        }
        return self._emit("compliance", EVERYWHERE, body)

    def rule(
        self, phase: Literal["start", "end"], rule: RuleSummary, *, end_reason: str | None = None
    ) -> Event:
        """A zone's rate is too low, or is so no more for ``end_reason``; of no single camera."""
        period = rule.period
        body = {
            "phase": phase,
            "rule": "compliance_low",
            "rule_id": f"{self._run_id}-r{rule.number}",
            "zone": period.zone,
            "limit": rule.limit,
            "rate": _rounded(period.rate),
            "denominator": period.judged,
            "unknown": period.persons.get("unknown", 0),
            **_life(phase, rule.started_at, self._wall(), rule.duration_s),
            "end_reason": end_reason,
        }
        return self._emit("rule", EVERYWHERE, body)

    def _face(self, face: Face, width: int, height: int) -> dict[str, Any]:
        """A face as it is published. Runs for every face of every frame, so it calls little."""
        track, decision, probabilities = face.track, face.decision, face.probabilities
        x1, y1, x2, y2 = track.box.clipped(width, height)
        bare, masked, incorrect = probabilities or _NOT_ASKED
        return {
            "track_id": f"{self._run_id}-{track.number}" if track.confirmed else None,
            "box": (round(x1, 1), round(y1, 1), round(x2 - x1, 1), round(y2 - y1, 1)),
            "detection_score": round(float(track.score), 4),
            "label": decision.label,
            "score": round(float(decision.score), 4),
            "reason": decision.reason,
            "probabilities": probabilities
            and {
                "without_mask": round(float(bare), 4),
                "with_mask": round(float(masked), 4),
                "mask_worn_incorrectly": round(float(incorrect), 4),
            },
            "face_px": round(float(track.box.face_px), 1),
        }

    def _emit(
        self,
        kind: EventType,
        camera_id: str,
        body: Mapping[str, Any],
        monotonic_s: float | None = None,
        captured_at: float | None = None,
    ) -> Event:
        """Number the event, write its document, hand it over."""
        stream = STREAM_OF[kind]
        at = self._wall() if captured_at is None else captured_at
        since = self._monotonic() if monotonic_s is None else monotonic_s
        date: dict[str, str] = {} if kind == "frame" else {"occurred_at": rfc3339(at)}
        with self._lock:
            seq = self._next[stream, camera_id]
            event_id = f"{self._run_id}:{stream}:{camera_id}:{seq}"
            head: dict[str, Any] = {
                "event_id": event_id,
                "run_id": self._run_id,
                "worker_id": self._worker_id,
                "camera_id": camera_id,
                "seq": seq,
            }
            document = _document(kind, camera_id, {**head, **date, **body})
            event = Event(stream, camera_id, kind, seq, event_id, document, since, at)
            self._next[stream, camera_id] = seq + 1
            self._sink(event)
        return event


def _document(kind: EventType, camera_id: str, fields: Mapping[str, Any]) -> bytes:
    try:
        model = wire.MODELS[kind].model_validate(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise BadDataError(
            f"no {kind} event of camera {camera_id!r} was made, since {where} breaks the schema: "
            f"{fault['msg']}"
        ) from error
    return model.model_dump_json(by_alias=True).encode()


def _life(phase: Phase, started_at: float, now: float, duration_s: float) -> dict[str, Any]:
    return {
        "started_at": rfc3339(started_at),
        "ended_at": rfc3339(now) if phase == "end" else None,
        "duration_s": round(duration_s, 3),
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _counts(numbers: Mapping[Label, int]) -> dict[str, int]:
    return {label: numbers.get(label, 0) for label in LABELS}
