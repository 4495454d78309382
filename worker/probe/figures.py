"""What was read and seen, as figures. Pure: records in, figures out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.probe.looking import Look
from worker.probe.reading import Arrival, Reading

SETTLE_S = 1.0
"""Left out at the start: many cameras first send what they had kept, all at once."""

JUMP_S = 1.0
"""A step of the stamps that is longer than that of the clock by more is a jump."""

EDGES_PX = (10, 16, 20, 32, 48, 64, 96, 128)
"""Bounds between the bars of the histogram of face sizes."""


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """How a stream arrives.

    Attributes:
        seconds: from the first frame to the last.
        fps: frames a second, measured by arrival.
        keyframe_s: longest time from one keyframe to the next.
        keyframe_seen: two keyframes came; otherwise ``keyframe_s`` is at least that long.
        bit_rate: bits a second.
        jitter_ms: how far arrivals lie from an even pace, in 95 of 100 cases.
        longest_gap_s: longest time without a frame.
        damaged: share of frames that are damaged, or built on damage.
        lost: share of frames that never came, by the gaps between stamps; 0 where they cannot be
            followed. Cameras that leave frames out by themselves look the same.
        stamps_missing: share of frames without a time stamp.
        stamp_jumps: steps of the stamps by more than ``JUMP_S``, or back.
        drift: how much faster the stamps run than this machine's clock, as a share; None where
            they cannot be followed.
    """

    seconds: float
    frames: int
    fps: float
    keyframe_s: float
    keyframe_seen: bool
    bit_rate: float
    jitter_ms: float
    longest_gap_s: float
    damaged: float
    lost: float
    stamps_missing: float
    stamp_jumps: int
    drift: float | None


@dataclass(frozen=True, slots=True)
class FaceFigures:
    """What faces were seen; a face counts once in every picture that shows it.

    Attributes:
        pictures: how many were looked at.
        sizes_px: the shorter side of each face.
        sharpness: of each face, in the same order.
        levels: mean luma of each face, in the same order.
        most: faces in one picture, at most.
        level: mean luma of the pictures, 0 to 255.
        detail: median detail of the pictures, in levels.
    """

    pictures: int
    sizes_px: Sequence[float]
    sharpness: Sequence[float]
    levels: Sequence[float]
    most: int
    level: float
    detail: float

    def __len__(self) -> int:
        return len(self.sizes_px)

    def size_at(self, share: float) -> float:
        """The size below which that share of the faces lies."""
        return float(np.quantile(self.sizes_px, share))

    def histogram(self) -> list[tuple[int, int | None, int]]:
        """Bars of ``(from px, below px, faces)``; the last has no upper bound."""
        bounds = [0, *EDGES_PX, None]
        return [
            (low or 0, high, sum((low or 0) <= px < (high or np.inf) for px in self.sizes_px))
            for low, high in itertools.pairwise(bounds)
        ]


def stream_figures(reading: Reading) -> StreamFigures | None:
    """How the stream arrived; None where fewer than two frames came."""
    arrivals = reading.arrivals
    if len(arrivals) < 2:
        return None
    begin_s = arrivals[0].at_s
    steady = [arrival for arrival in arrivals if arrival.at_s >= begin_s + SETTLE_S]
    steady = steady if len(steady) >= 3 else arrivals
    at_s = np.array([arrival.at_s for arrival in steady])
    span_s = max(1e-3, float(at_s[-1] - at_s[0]))
    fps = (len(steady) - 1) / span_s
    keyframe_s, keyframe_seen = _keyframes(arrivals, fps)
    sent = sum(size for moment_s, size in reading.packets if at_s[0] < moment_s <= at_s[-1])
    jumps, drift, lateness_s = _clock(steady)
    if lateness_s is None:
        lateness_s = at_s - np.linspace(at_s[0], at_s[-1], len(at_s))
    return StreamFigures(
        seconds=arrivals[-1].at_s - begin_s,
        frames=len(arrivals),
        fps=fps,
        keyframe_s=keyframe_s,
        keyframe_seen=keyframe_seen,
        bit_rate=8 * sent / span_s,
        jitter_ms=1000 * float(np.quantile(np.abs(lateness_s - np.median(lateness_s)), 0.95)),
        longest_gap_s=float(np.diff(at_s).max()),
        damaged=sum(not arrival.sound for arrival in arrivals) / len(arrivals),
        lost=0.0 if drift is None else _lost(steady),
        stamps_missing=sum(arrival.stamp_s is None for arrival in steady) / len(steady),
        stamp_jumps=jumps,
        drift=drift,
    )


def face_figures(looks: Sequence[Look]) -> FaceFigures:
    """What faces were seen, and in what pictures."""
    faces = [face for look in looks for face in look.faces]
    return FaceFigures(
        pictures=len(looks),
        sizes_px=[face.box.face_px for face in faces],
        sharpness=[face.sharpness for face in faces],
        levels=[face.level for face in faces],
        most=max((len(look.faces) for look in looks), default=0),
        level=float(np.mean([look.level for look in looks])) if looks else 0.0,
        detail=float(np.median([look.detail for look in looks])) if looks else 0.0,
    )


def _keyframes(arrivals: Sequence[Arrival], fps: float) -> tuple[float, bool]:
    """The longest way between keyframes in seconds, by counting frames: arrivals jitter."""
    places = [place for place, arrival in enumerate(arrivals) if arrival.keyframe]
    steps = [after - before for before, after in itertools.pairwise(places)]
    open_end = len(arrivals) - (places[-1] if places else 0)
    if not steps:
        return open_end / fps, False
    return max(steps) / fps, True


def _clock(steady: Sequence[Arrival]) -> tuple[int, float | None, NDArray[np.float64] | None]:
    """Jumps of the stamps, their drift, and how late each frame came by them.

    The last two are None where stamps are missing or jump.
    """
    jumps = 0
    for before, after in itertools.pairwise(steady):
        if before.stamp_s is None or after.stamp_s is None:
            continue
        # A burst after a stall is none: stamps go on while arrivals catch up.
        step_s = after.stamp_s - before.stamp_s
        jumps += step_s < 0 or step_s - (after.at_s - before.at_s) > JUMP_S
    stamps = [arrival.stamp_s for arrival in steady if arrival.stamp_s is not None]
    if jumps or len(stamps) < len(steady) or stamps[-1] <= stamps[0]:
        return jumps, None, None
    stamp_s = np.array(stamps) - stamps[0]
    at_s = np.array([arrival.at_s for arrival in steady]) - steady[0].at_s
    slope, intercept = np.polyfit(at_s, stamp_s, 1)
    return jumps, float(slope - 1.0), at_s - (stamp_s - intercept) / slope


def _lost(steady: Sequence[Arrival]) -> float:
    """The share of frames that the stamps leave room for and that did not come."""
    stamps = np.array([arrival.stamp_s for arrival in steady], np.float64)
    usual_s = float(np.median(np.diff(stamps)))
    if usual_s <= 0:
        return 0.0
    room = round(float(stamps[-1] - stamps[0]) / usual_s) + 1
    return max(0.0, 1.0 - len(stamps) / room)
