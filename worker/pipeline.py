"""Where the stages meet: the way of a frame from the decoder to its event.

    begin:   motion ─► detect ─► track ─► align ─┐          on a detection thread
                                             batch, classify   on the thread that owns the device
    finish:  decide ─► rules ─► event  ◄─────────┘          on the thread that brought the last crop

A camera has one frame between ``begin`` and ``finish``, so nothing here needs a lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from worker.capture.motion import Motion
from worker.config import Camera
from worker.faces.detect import Detector
from worker.faces.track import Tracker
from worker.inference.align import CropRule, cut, sharpness
from worker.output.decide import Decider
from worker.output.event import EventMaker, TrackSummary
from worker.output.rules.compliance import Compliance
from worker.output.rules.violations import Change, EndReason, ViolationWatch
from worker.output.rules.zones import Zones
from worker.records import (
    LABELS,
    Box,
    Classification,
    Crop,
    Detection,
    Face,
    Frame,
    Label,
    Picture,
    Track,
    UnknownReason,
)

CloseReason = Literal["camera_down", "ended", "stopped"]
"""Why nobody watches a camera any more."""

CUT_SHARE = 0.1
"""A box that ends this near to a part's edge, of its own size, may be of half a face."""

MAX_FACES = 64
"""Faces of one frame that are classified; of a crowd whose larger faces are not settled yet the
smallest stay ``undecided``."""


@dataclass(slots=True)
class Pending:
    """A frame on its way: what was found in it, and which crops are still being classified."""

    frame: Frame
    looked: bool
    tracks: Sequence[Track]
    ended: Sequence[Track] = ()
    crops: Sequence[Crop] = ()
    hindered: dict[int, UnknownReason] = field(default_factory=dict)
    classified: dict[int, Classification] = field(default_factory=dict)
    missing: int = 0
    moved: bool = False

    def resolve(self, track: int, classification: Classification | None) -> bool:
        """Take up one crop's classification; True with the last one."""
        if classification is not None:
            self.classified[track] = classification
        self.missing -= 1
        return self.missing == 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What a venue asks of one camera's faces: where they count, and what breaks a rule.

    Attributes:
        compliance: counts for all cameras.
        told: hears of each violation that begins, goes on or ends.
    """

    zones: Zones
    violations: ViolationWatch
    compliance: Compliance
    told: Callable[[Change], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in one frame, for counts and the live page."""

    captured_at: float
    faces: Sequence[Face]
    looked: bool
    picture: Picture | None
    moved: bool = False

    def counts(self) -> dict[Label, int]:
        """Faces by decision."""
        counts: dict[Label, int] = dict.fromkeys(LABELS, 0)
        for face in self.faces:
            counts[face.decision.label] += 1
        return counts


class CameraPipeline:
    """The stages of one camera, in order.

    Args:
        camera: its configuration.
        detector: shared by the cameras that look for faces of the same size.
        tracker, decider, maker: this camera's own.
        rule: how crops are cut; stands in the classifier's manifest.
        rules: zones, violations and compliance.
        observe: told the name of each stage and its seconds.
    """

    def __init__(
        self,
        camera: Camera,
        detector: Detector,
        tracker: Tracker,
        decider: Decider,
        maker: EventMaker,
        *,
        rule: CropRule,
        rules: Rules,
        observe: Callable[[str, float], None],
    ) -> None:
        self._motion = Motion(
            enabled=camera.motion, max_pause_s=camera.motion_max_pause_s, region=camera.region
        )
        self._detector = detector
        self._tracker = tracker
        self._decider = decider
        self._maker = maker
        self._rule = rule
        self._rules = rules
        self._observe = observe
        self._known: set[int] = set()
        self._since_s: dict[int, float] = {}

    def begin(self, frame: Frame) -> Pending:
        """From a frame to its crops. Blocks for as long as detection takes."""
        now_s = frame.monotonic_s
        if frame.frozen:
            # Who is in that picture was looked at long ago, and need not be there any more.
            return Pending(frame, looked=False, tracks=())
        with self._timed("motion"):
            deserves_look = self._motion.deserves_look(frame.picture.thin(), now_s)
        if not deserves_look:
            return Pending(frame, looked=False, tracks=self._tracker.hold(now_s))
        with self._timed("detect"):
            parts, area = self._where(frame.picture, now_s)
            try:
                detections = self._detect(frame.picture, parts, area)
            except Exception:
                self._motion.forget()
                raise
        with self._timed("track"):
            tracks, ended = self._tracker.follow(detections, now_s, frame.captured_at)
            if parts != [area] and self._tracker.just_missed():
                self._motion.doubt()
        with self._timed("align"):
            crops, hindered = self._crops(frame.picture, tracks, now_s)
        return Pending(
            frame,
            True,
            tracks,
            ended,
            crops,
            hindered,
            missing=len(crops),
            moved=self._motion.moved,
        )

    def finish(self, pending: Pending) -> Seen:
        """From classified crops to events, the frame's own and those of its tracks."""
        frame = pending.frame
        with self._timed("decide"):
            faces = [self._decided(track, pending) for track in pending.tracks]
        with self._timed("rules"):
            changes = self._apply_rules(frame, faces)
        with self._timed("event"):
            self._maker.frame(frame, faces, "ran" if pending.looked else "unchanged")
            for track in pending.tracks:
                self._since_s.setdefault(track.number, frame.monotonic_s)
                if track.confirmed and track.number not in self._known:
                    self._known.add(track.number)
                    self._tell(frame.camera_id, "start", track, frame.monotonic_s)
            self._tell_violations(frame.camera_id, changes)
            self._end(frame.camera_id, pending.ended, "gone", frame.monotonic_s)
        frame.picture.release()
        picture = frame.picture if pending.looked else None
        return Seen(frame.captured_at, faces, pending.looked, picture, pending.moved)

    def close(self, camera_id: str, reason: CloseReason, now_s: float) -> None:
        """End what is open, since nobody watches any more. Not while a frame is on its way."""
        self._end(camera_id, self._tracker.end_all(), reason, now_s)
        self._motion.forget()

    def _where(self, picture: Picture, now_s: float) -> tuple[list[Box], Box]:
        """The parts of the picture to look at, and the area that counts."""
        width, height = picture.width, picture.height
        area = self._motion.area(width, height)
        tiling = self._detector.tiling(int(area.width), int(area.height))
        return self._motion.parts(width, height, self._tracker.places(now_s), tiling), area

    def _detect(self, picture: Picture, parts: Sequence[Box], area: Box) -> list[Detection]:
        """Detect in those parts, and keep what lies in the region."""
        return [
            face
            for part in parts
            for face in self._detector.look(picture, part)
            if not is_cut(face.box, part, area)
            and self._motion.contains(face.box, picture.width, picture.height)
        ]

    def _crops(
        self, picture: Picture, tracks: Sequence[Track], now_s: float
    ) -> tuple[list[Crop], dict[int, UnknownReason]]:
        """A crop of each face that needs one and is fit for it, the reason for each that is not."""
        crops: list[Crop] = []
        hindered: dict[int, UnknownReason] = {}
        needing = [t for t in tracks if not self._decider.is_settled(t.number, now_s)]
        for track in sorted(needing, key=lambda track: -track.box.face_px)[:MAX_FACES]:
            reason = self._decider.hinders(track)
            if reason is None:
                pixels = cut(picture.bgr(), track.box, self._rule)
                crop = Crop(track.number, pixels, sharpness(pixels))
                reason = self._decider.hinders(track, crop.sharpness)
                if reason is None:
                    crops.append(crop)
                    continue
            hindered[track.number] = reason
        return crops, hindered

    def _decided(self, track: Track, pending: Pending) -> Face:
        classification = pending.classified.get(track.number)
        decision = self._decider.decide(
            track,
            classification,
            pending.hindered.get(track.number),
            pending.frame.monotonic_s,
        )
        return Face(track, decision, classification.probabilities if classification else None)

    def _apply_rules(self, frame: Frame, faces: Sequence[Face]) -> list[Change]:
        rules, now_s = self._rules, frame.monotonic_s
        size = (frame.picture.width, frame.picture.height)
        inside = rules.zones.locate([face.track for face in faces], size, now_s)
        rules.compliance.saw(faces, inside)
        return rules.violations.watch(faces, inside, now_s, frame.captured_at)

    def _tell_violations(self, camera_id: str, changes: Iterable[Change]) -> None:
        for change in changes:
            self._maker.violation(
                camera_id, change.phase, change.violation, end_reason=change.end_reason
            )
            self._rules.told(change)

    def _end(
        self, camera_id: str, tracks: Sequence[Track], reason: EndReason, now_s: float
    ) -> None:
        """End tracks and their violations; the violation first, as it is the track's."""
        numbers = [track.number for track in tracks]
        rules = self._rules
        rules.zones.forget(numbers)
        rules.compliance.ended(numbers)
        self._tell_violations(camera_id, rules.violations.end(numbers, reason, now_s))
        for track in tracks:
            if track.number in self._known:
                self._known.discard(track.number)
                self._tell(camera_id, "end", track, now_s, reason)
            self._since_s.pop(track.number, None)
        self._decider.forget(numbers)

    def _tell(
        self,
        camera_id: str,
        phase: Literal["start", "end"],
        track: Track,
        now_s: float,
        reason: str | None = None,
    ) -> None:
        history = self._decider.history(track.number)
        summary = TrackSummary(
            number=track.number,
            started_at=track.started_at,
            duration_s=max(0.0, now_s - self._since_s.get(track.number, now_s)),
            decision=history.decision,
            frames=history.frames,
            seconds=history.seconds,
        )
        self._maker.track(camera_id, phase, summary, end_reason=reason)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._observe(stage, time.perf_counter() - started)


def is_cut(face: Box, part: Box, area: Box) -> bool:
    """True where a face ends with a part that does not end there with the area, or nearly so.

    It is a new one, since known faces have room around them in theirs.
    """
    near_x, near_y = CUT_SHARE * face.width, CUT_SHARE * face.height
    return (
        face.x1 - near_x <= part.x1 > area.x1
        or face.y1 - near_y <= part.y1 > area.y1
        or face.x2 + near_x >= part.x2 < area.x2
        or face.y2 + near_y >= part.y2 < area.y2
    )
