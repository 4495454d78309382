"""What the cameras of the rig send: clips of one size, in real time, over and over."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from worker.capture.demo import Scene
from worker.records import Image

View = Literal["people", "black", "still"]

WIDTH, HEIGHT, FPS = 320, 240, 5


def clip(
    path: Path,
    view: View = "people",
    *,
    codec: str = "libx264",
    width: int = WIDTH,
    height: int = HEIGHT,
    length_s: int = 12,
) -> Path:
    """A clip of people walking, of nothing, or of people who stand like a photograph."""
    scene = Scene(width, height, FPS, 3, 5)
    options = {"preset": "ultrafast", "qp": "28"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = 1 if view == "still" else FPS
        stream.max_b_frames = 0
        for index in range(length_s * FPS):
            frame = av.VideoFrame.from_ndarray(_picture(scene, view, index), format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _picture(scene: Scene, view: View, index: int) -> Image:
    if view == "black":
        return np.zeros((scene.height, scene.width, 3), np.uint8)
    return np.ascontiguousarray(scene.render(0 if view == "still" else index))
