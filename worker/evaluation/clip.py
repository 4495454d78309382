"""A seeded clip for the bench: moving faces as a usual camera would send them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
from av.video.stream import VideoStream

from worker.errors import WorkError
from worker.records import Image

CLIP_FPS = 25
CLIP_SIZE = (1280, 720)
CLIP_BIT_RATE = 2_000_000
CLIP_GOP = 50
"""Frames from one keyframe to the next: two seconds, as cameras come from the factory."""

ENCODER = {"preset": "veryfast", "bf": "0", "sc_threshold": "0"}
"""Cameras send no B-frames, since those cost delay, and keyframes by the clock alone."""


class Rendering(Protocol):
    """Something that shows a picture at every moment."""

    def render(self, index: int) -> Image:
        """Frame ``index``, ``uint8 (H, W, 3) BGR``."""


def make_clip(path: Path, scene: Rendering, seconds: float, *, fps: int = CLIP_FPS) -> Path:
    """Encode a scene as H.264 in MP4.

    Args:
        path: the clip; what was there is replaced, whole or not at all.
        scene: renders every frame.
        seconds: length.
        fps: frames a second.

    Returns:
        ``path``.

    Raises:
        WorkError: it cannot be written.
    """
    beside = path.with_name(f".{path.stem}-unfinished{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(beside), "w", format="mp4") as container:
            first = scene.render(0)
            stream = _stream(container, first, fps)
            for index in range(max(1, round(seconds * fps))):
                image = first if index == 0 else scene.render(index)
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts, frame.time_base = index, Fraction(1, fps)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        beside.replace(path)
    except OSError as error:
        # PyAV's errors are OSErrors here, and their text may hold nothing but the path.
        raise WorkError(f"the clip {path} cannot be written ({error.strerror})") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def _stream(container: av.container.OutputContainer, first: Image, fps: int) -> VideoStream:
    stream = container.add_stream("libx264", rate=fps, options=ENCODER)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.bit_rate = CLIP_BIT_RATE
    stream.gop_size = CLIP_GOP
    stream.codec_context.thread_count = 1  # the same bytes on every machine
    return stream
