"""Records of a view as the probe makes them, good unless a test says otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from worker.config import Camera, Deciding
from worker.probe.figures import FaceFigures, stream_figures
from worker.probe.finding import Finding, Limits
from worker.probe.reading import About, Arrival, Reading
from worker.probe.verdict import judge

GOOD_ABOUT: dict[str, Any] = {
    "codec": "h264",
    "profile": "Main",
    "width": 1280,
    "height": 720,
    "announced_fps": 25.0,
    "reordered": False,
    "transport": "tcp",
}


def arrivals(
    *,
    fps: float = 25.0,
    seconds: float = 10.0,
    gop: int = 25,
    jitter_s: float = 0.0,
    stamp_rate: float = 1.0,
) -> list[Arrival]:
    """Frames at an even pace, one keyframe in ``gop``."""
    count = round(seconds * fps)
    late_s = abs(np.random.default_rng(1).normal(0, jitter_s, count))
    at_s = np.maximum.accumulate(100.0 + np.arange(count) / fps + late_s)
    return [
        Arrival(
            at_s=float(at_s[number]),
            stamp_s=stamp_rate * number / fps,
            keyframe=number % gop == 0,
            sound=True,
        )
        for number in range(count)
    ]


def reading(frames: list[Arrival] | None = None, **about: Any) -> Reading:
    """What a camera sent: 1,000 bytes a frame."""
    frames = arrivals() if frames is None else frames
    return Reading(
        about=About(**GOOD_ABOUT | about),
        first_frame_s=0.4,
        packets=[(frame.at_s, 1_000) for frame in frames],
        arrivals=frames,
    )


def faces(
    count: int = 40,
    *,
    px: float = 50.0,
    sharpness: float = 40.0,
    level: float = 120.0,
    view: float = 120.0,
    detail: float = 15.0,
) -> FaceFigures:
    """Faces that are all alike, in twenty pictures."""
    return FaceFigures(
        20, [px] * count, [sharpness] * count, [level] * count, min(count, 2), view, detail
    )


def findings(
    read: Reading | None = None, seen: FaceFigures | None = None, **camera: Any
) -> list[Finding]:
    """What is said of a view, by the limits of a camera's configuration."""
    read = reading() if read is None else read
    seen = faces() if seen is None else seen
    limits = Limits.of(Camera(url="rtsp://192.0.2.1/x", **camera), Deciding())
    return judge(read, stream_figures(read), seen, limits)
