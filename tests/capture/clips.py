"""Clips for tests: each frame shows its own number, so that a test knows which one it got."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BITS = 12
CELL = 16
"""Size of one bit in pixels: a macroblock, so that it survives any encoder."""


def numbered(number: int, width: int = 320, height: int = 180) -> NDArray[np.uint8]:
    """A picture, ``uint8 (height, width, 3) RGB``, with its number as black and white cells."""
    picture = np.full((height, width, 3), 96, np.uint8)
    picture[:, :, 1] += np.arange(width, dtype=np.uint16).astype(np.uint8)[None, :] % 32
    checks = np.indices((height, width)).sum(0) // 64 % 2 == 0  # texture: the view is not covered
    picture[height // 4 :][checks[height // 4 :]] += 48
    for bit in range(BITS):
        picture[:CELL, bit * CELL : (bit + 1) * CELL] = 235 if number >> bit & 1 else 16
    left = number * 4 % (width - CELL)
    picture[height // 2 : height // 2 + CELL, left : left + CELL] = (200, 40, 40)
    return picture


def number_of(luma: NDArray[np.uint8]) -> int:
    """The number that a frame made by ``numbered`` shows.

    Args:
        luma: ``uint8 (H, W)``, or one plane of a colour picture.
    """
    row = luma[CELL // 2, CELL // 2 : BITS * CELL : CELL]
    return int(sum(1 << bit for bit, level in enumerate(row) if level > 128))


def make_clip(
    path: Path,
    *,
    codec: str = "libx264",
    fps: int = 25,
    seconds: float = 2.0,
    size: tuple[int, int] = (320, 180),
    gop: int = 25,
    start_s: float = 0.0,
    **options: Any,
) -> Path:
    """Encode a clip of numbered frames, stamped from ``start_s`` on.

    Further options go to the encoder as they are.
    """
    options = {"bf": "0", "preset": "ultrafast"} | {k: str(v) for k, v in options.items()}
    if codec == "libx265":
        options["x265-params"] = f"log-level=none:bframes={options.pop('bf')}"
    with av.open(str(path), "w", options={"fflags": "bitexact"}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, fps)
        stream.options = {} if codec == "mjpeg" else options
        for number in range(round(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(numbered(number, *size), format="rgb24")
            frame.pts = number + round(start_s * fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
