"""A decoded frame as the stages see it, converted only when somebody looks at its pixels."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from worker.capture.view import thinned
from worker.records import Image

LUMA_PLANE_FORMATS = frozenset({"yuv420p", "yuvj420p", "nv12", "nv21", "yuv422p", "yuvj422p"})
LUMA_FORMATS = LUMA_PLANE_FORMATS | {"yuv444p", "yuvj444p", "gray"}
"""Pixel formats of 8 bits whose first plane is the luma."""

DEEP_FORMATS = {"yuv420p10le": 2, "yuv422p10le": 2, "yuv444p10le": 2, "p010le": 8}
"""Pixel formats of 10 bits in words of 16: how far down their upper 8 bits are to be shifted."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""


class Converters:
    """What one camera's frames are converted by: one for each way, since a change costs anew."""

    def __init__(self) -> None:
        self.whole, self.scaled = VideoReformatter(), VideoReformatter()


class AvPicture:
    """The pixels of one frame.

    Holds the decoder's buffer for as long as it lives. Looked at by one thread at a time:
    ``converters`` are the camera's own, and only one frame of a camera is in flight.
    """

    __slots__ = ("_bgr", "_converters", "_frame", "_gray", "_scaled", "_thin")

    def __init__(self, frame: av.VideoFrame, converters: Converters) -> None:
        self._frame = frame
        self._converters = converters
        self._bgr: Image | None = None
        self._scaled: Image | None = None
        self._gray: Image | None = None
        self._thin: Image | None = None

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self._frame.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self._frame.height

    def gray(self) -> Image:
        """Luma, ``uint8 (H, W)``, in the stream's own range; a view, not to be written to.

        Where the codec has no luma plane of 8 bits, the frame is converted.
        """
        if self._gray is None:
            frame = self._frame
            if frame.format.name not in LUMA_FORMATS:
                # Not the camera's reformatter: two threads may ask, and this is rare.
                frame = VideoReformatter().reformat(frame, format="gray", threads=1)
            self._gray = _plane_view(frame, channels=1)[:, :, 0]
        return self._gray

    def thin(self) -> Image:
        """Every n-th point of the luma, ``uint8``, 160 to 319 wide; made once and kept.

        Asked for by the capture thread first; needs no conversion where the luma is a plane of
        8 or 10 bits.
        """
        if self._thin is None:
            shift = DEEP_FORMATS.get(self._frame.format.name)
            if shift is None:
                self._thin = thinned(self.gray())
            else:
                plane = self._frame.planes[0]
                words = np.frombuffer(memoryview(plane), np.uint16).reshape(
                    -1, plane.line_size // 2
                )
                points = thinned(words[: self._frame.height, : self._frame.width])
                self._thin = (points >> shift).astype(np.uint8)
        return self._thin

    def bgr(self) -> Image:
        """Colours, ``uint8 (H, W, 3) BGR`` of full range; converted at the first call and kept.

        A view of the converted buffer. Matrix and range are those that the stream names,
        BT.601 where it names none.
        """
        if self._bgr is None:
            self._bgr = _converted(self._frame, self._converters.whole)
        return self._bgr

    def scaled(self, width: int, height: int) -> Image:
        """Colours, ``uint8 (height, width, 3) BGR``, scaled down by averaging; the last is kept.

        In one pass from the decoder's planes, which costs half of converting all of them and
        scaling that, where the picture becomes less than half as large. For speed two neighbours
        share their colour where ``width`` is even, but not their luma.
        """
        if self._scaled is None or self._scaled.shape[:2] != (height, width):
            self._scaled = _converted(
                self._frame,
                self._converters.scaled,
                width=width,
                height=height,
                interpolation=Interpolation.AREA,
            )
        return self._scaled

    def release(self) -> None:
        """Keep the decoder's frame alone: a 4K picture in colours has 25 MB."""
        self._bgr = self._scaled = self._gray = self._thin = None

    def copy(self) -> Image:
        """Colours as ``bgr`` gives them, converted anew; by one thread, whichever it is."""
        return _converted(self._frame, VideoReformatter())


def _converted(frame: av.VideoFrame, converter: VideoReformatter, **options: Any) -> Image:
    # One thread: the default of 0 starts one per CPU for every camera.
    return _plane_view(converter.reformat(frame, format="bgr24", threads=1, **options), channels=3)


def _plane_view(frame: av.VideoFrame, channels: int) -> Image:
    """The first plane as an array without its line padding; keeps the frame alive."""
    plane = frame.planes[0]
    shape = (frame.height, frame.width, channels)
    return np.ndarray(shape, np.uint8, memoryview(plane), 0, (plane.line_size, channels, 1))


def keep_freed_memory() -> None:
    """Make glibc keep the buffers of pictures instead of giving them back; once a process.

    A 720p frame in BGR is 2.7 MB, which glibc takes from the kernel and returns each time: of
    1.6 ms for a conversion, 1.25 ms are 440 page faults. Other C libraries are left alone.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 256 << 20)
        mallopt(M_TRIM_THRESHOLD, 1 << 30)


def silence_ffmpeg() -> None:
    """Keep FFmpeg's own messages off the terminal; they can hold passwords. Once a process."""
    av.logging.set_level(None)
