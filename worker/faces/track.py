"""Detections of one camera to tracks: which of these faces was there before?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.records import Box, Detection, Track

NEAR_SIZES = 1.0
"""A face that no box overlaps may still be one that moved by this many of its own sizes."""

SIZE_RATIO = 0.6
"""Between two frames a face keeps at least this share of its size."""

HELD_MISSES = 1
"""Looks in a row that may miss a face before a still view no longer vouches for it."""

VELOCITY_MEMORY = 0.5
"""Weight of the newest displacement in the running velocity."""


@dataclass(slots=True)
class _Path:
    """What the tracker remembers of one face."""

    number: int
    box: Box
    score: float
    hits: int
    started_at: float
    seen_s: float
    velocity: tuple[float, float] = (0.0, 0.0)
    missed: int = 0

    def predicted(self, now_s: float) -> Box:
        """Where the face would be now at its present speed."""
        lapse = now_s - self.seen_s
        dx, dy = self.velocity[0] * lapse, self.velocity[1] * lapse
        x1, y1, x2, y2 = self.box
        return Box(x1 + dx, y1 + dy, x2 + dx, y2 + dy)

    def move(self, detection: Detection, now_s: float) -> None:
        """Take up the newest detection."""
        lapse = max(now_s - self.seen_s, 1e-3)
        moved = [b - a for a, b in zip(_centre(self.box), _centre(detection.box), strict=True)]
        keep = 1.0 - VELOCITY_MEMORY
        self.velocity = (
            keep * self.velocity[0] + VELOCITY_MEMORY * moved[0] / lapse,
            keep * self.velocity[1] + VELOCITY_MEMORY * moved[1] / lapse,
        )
        self.box, self.score, self.seen_s = detection.box, detection.score, now_s
        self.hits += 1
        self.missed = 0


class Tracker:
    """Follows the faces of one camera.

    Greedy assignment, best overlap first, of detections to boxes moved on at their velocity;
    then, for what overlaps nothing since frames lie far apart, by the nearest centre.

    Args:
        numbers: source of track numbers; one for all cameras of a worker, never repeating.
        min_iou: overlap from which a detection continues a track.
        min_hits: detections before a track is confirmed.
        max_gap_s: time without a detection after which a track ends.
    """

    def __init__(
        self,
        numbers: Iterator[int],
        *,
        min_iou: float = 0.2,
        min_hits: int = 2,
        max_gap_s: float = 2.0,
    ) -> None:
        self._numbers = numbers
        self._min_iou = min_iou
        self._min_hits = min_hits
        self._max_gap_s = max_gap_s
        self._paths: list[_Path] = []

    def follow(
        self, detections: Sequence[Detection], now_s: float, captured_at: float
    ) -> tuple[list[Track], list[Track]]:
        """Join the detections of a frame to the tracks.

        Args:
            detections: the faces of this frame.
            now_s: monotonic clock of the frame.
            captured_at: wall clock of the frame.

        Returns:
            The tracks seen in this frame, in the order of the detections; and the tracks that
            ended with it, confirmed or not.
        """
        assigned = self._assigned(detections, now_s)
        for known in self._paths:
            known.missed += 1
        seen: list[Track] = []
        for index, detection in enumerate(detections):
            path = assigned.get(index)
            if path is None:
                path = _Path(
                    next(self._numbers), detection.box, detection.score, 1, captured_at, now_s
                )
                self._paths.append(path)
            else:
                path.move(detection, now_s)
            seen.append(self._track(path, seen=True))
        return seen, self._ended(now_s)

    def places(self, now_s: float) -> list[Box]:
        """Where each face was last; and where it would be by now, if the last look saw it."""
        seen = [path for path in self._paths if not path.missed]
        return [path.box for path in self._paths] + [path.predicted(now_s) for path in seen]

    def just_missed(self) -> bool:
        """True where the last look missed a face of a confirmed track that the one before saw."""
        return any(path.missed == 1 and path.hits >= self._min_hits for path in self._paths)

    def hold(self, now_s: float) -> list[Track]:
        """The tracks of a frame in which nothing moved: who was there stays where they are.

        A face that only the last look missed counts as there; one that was missed twice has gone,
        and its track ends with a look that is later by ``max_gap_s``.
        """
        held = [path for path in self._paths if path.missed <= HELD_MISSES]
        for path in held:
            path.seen_s = now_s
            path.velocity = (0.0, 0.0)
        return [self._track(path, seen=False) for path in held]

    def end_all(self) -> list[Track]:
        """End every track: the camera is no longer watched."""
        ended = [self._track(path, seen=False) for path in self._paths]
        self._paths = []
        return ended

    def _track(self, path: _Path, *, seen: bool) -> Track:
        return Track(
            number=path.number,
            box=path.box,
            score=path.score,
            hits=path.hits,
            confirmed=path.hits >= self._min_hits,
            seen=seen,
            started_at=path.started_at,
        )

    def _ended(self, now_s: float) -> list[Track]:
        gone = [path for path in self._paths if now_s - path.seen_s > self._max_gap_s]
        self._paths = [path for path in self._paths if now_s - path.seen_s <= self._max_gap_s]
        return [self._track(path, seen=False) for path in gone]

    def _assigned(self, detections: Sequence[Detection], now_s: float) -> dict[int, _Path]:
        """Index of a detection to the path that it continues."""
        if not detections or not self._paths:
            return {}
        before = np.array([path.predicted(now_s) for path in self._paths])
        after = np.array([detection.box for detection in detections])
        overlap = iou(before, after)
        nearness = _nearness(before, after)
        found: dict[int, _Path] = {}
        taken: set[int] = set()
        for likeness, least in ((overlap, self._min_iou), (nearness, 1e-6)):
            for flat in np.argsort(-likeness, axis=None):
                row, column = divmod(int(flat), len(detections))
                if likeness[row, column] < least:
                    break
                if row not in taken and column not in found:
                    taken.add(row)
                    found[column] = self._paths[row]
        return found


def iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes ``(N, 4)`` and ``(M, 4)`` as ``(N, M)``."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    extent = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None)
    common = extent[..., 0] * extent[..., 1]
    area_a = np.prod(a[:, 2:] - a[:, :2], axis=1)
    area_b = np.prod(b[:, 2:] - b[:, :2], axis=1)
    union = area_a[:, None] + area_b[None, :] - common
    return np.asarray(common / np.maximum(union, 1e-9), np.float64)


def _nearness(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(N, M)``: 1 at the same centre, 0 from ``NEAR_SIZES`` away or at another size."""
    size_a = np.sqrt(np.prod(a[:, 2:] - a[:, :2], axis=1).clip(1e-9))[:, None]
    size_b = np.sqrt(np.prod(b[:, 2:] - b[:, :2], axis=1).clip(1e-9))[None, :]
    centres = (a[:, None, :2] + a[:, None, 2:] - b[None, :, :2] - b[None, :, 2:]) / 2
    distance = np.linalg.norm(centres, axis=2) / (NEAR_SIZES * (size_a + size_b) / 2)
    ratio = np.minimum(size_a, size_b) / np.maximum(size_a, size_b)
    return np.where(ratio >= SIZE_RATIO, np.clip(1 - distance, 0, 1), 0.0)


def _centre(box: Box) -> tuple[float, float]:
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
