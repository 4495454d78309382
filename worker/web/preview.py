"""A picture of what a camera sees, made only when somebody asks, unrecognisable by default."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Literal

import cv2
import numpy as np
from starlette.concurrency import run_in_threadpool

from worker.records import Box, Face, Image, Label
from worker.web.view import Look, View

PREVIEW_PX = 640
"""Width of a preview."""

MOSAIC_PX = 10
"""Side of a mosaic stone over the whole preview: a face that was missed stays unreadable too."""

FACE_STONES = 6
"""Mosaic stones across a found face, whatever its size."""

COLOURS: dict[Label, tuple[int, int, int]] = {
    "with_mask": (115, 158, 0),
    "without_mask": (0, 94, 213),
    "mask_worn_incorrectly": (66, 228, 240),
    "unknown": (190, 190, 190),
}
"""BGR: green, red, yellow and grey of Okabe and Ito's set, which nearly everybody tells apart."""

WORDS: dict[Label, str] = {
    "with_mask": "mask",
    "without_mask": "no mask",
    "mask_worn_incorrectly": "incorrect",
    "unknown": "unknown",
}
"""Beside the colour, since not everybody tells them apart."""

PREVIEW_EVERY_S = 0.9
"""A camera's preview is made so often at most, however many look at it."""

FORGET_S = 10.0
"""A preview is kept for so long."""


def preview(image: Image, faces: Sequence[Face], show: Literal["pixelated", "clear"]) -> bytes:
    """A JPEG of a frame with its faces boxed.

    Args:
        image: ``uint8 (H, W, 3) BGR``; not written to.
        faces: with boxes in pixels of ``image``.
        show: ``clear`` leaves the pixels as they are.
    """
    height, width = image.shape[:2]
    scale = min(1.0, PREVIEW_PX / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if show == "pixelated":
        small = mosaic(image, MOSAIC_PX, size)
    else:
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    boxes = [Box(*(side * scale for side in face.track.box)).clipped(*size) for face in faces]
    if show == "pixelated":
        for box in boxes:
            x1, y1, x2, y2 = (round(side) for side in box)
            if x2 > x1 and y2 > y1:
                stone = max(1, (x2 - x1) // FACE_STONES)
                small[y1:y2, x1:x2] = mosaic(small[y1:y2, x1:x2], stone)
    for face, box in zip(faces, boxes, strict=True):
        _draw(small, box, face)
    _, jpeg = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, 80))
    return jpeg.tobytes()


def mosaic(image: Image, stone_px: int, size: tuple[int, int] | None = None) -> Image:
    """The image in stones of that size, as ``size`` (width, height) if that is given."""
    width, height = size or (image.shape[1], image.shape[0])
    grid = max(1, width // stone_px), max(1, height // stone_px)
    stones = cv2.resize(image, grid, interpolation=cv2.INTER_AREA)
    laid = cv2.resize(stones, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(laid, np.uint8)


def _draw(image: Image, box: Box, face: Face) -> None:
    colour = COLOURS[face.decision.label]
    x1, y1, x2, y2 = (round(side) for side in box)
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, 2)
    text = WORDS[face.decision.label]
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    left = min(x1, image.shape[1] - wide - 4)
    top = y1 - high - 6 if y1 > high + 6 else y2
    cv2.rectangle(image, (left, top), (left + wide + 4, top + high + 6), colour, -1)
    cv2.putText(
        image,
        text,
        (left + 2, top + high + 2),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.45,
        (0, 0, 0),
        1,
        cv2.LINE_AA,
    )


class Previews:
    """The newest preview of each camera, made once for all who look. For one event loop."""

    def __init__(
        self,
        view: View,
        show: Literal["pixelated", "clear"],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._view = view
        self._show = show
        self._clock = clock
        self._turn = asyncio.Lock()
        self._kept: dict[str, tuple[float, float, bytes]] = {}

    async def get(self, camera_id: str) -> bytes | None:
        """A JPEG of what the camera saw last, or a moment ago; None where it saw nothing yet."""
        if jpeg := self._fresh(camera_id):
            return jpeg
        async with self._turn:  # one at a time: viewers never take more than one core
            if jpeg := self._fresh(camera_id):
                return jpeg
            look = self._view.last_look(camera_id)
            if look is None:
                return None
            jpeg = await run_in_threadpool(self._drawn, look)
            self._kept[camera_id] = look.at, self._clock(), jpeg
            asyncio.get_running_loop().call_later(FORGET_S, self._forget, camera_id, look.at)
            return jpeg

    def _drawn(self, look: Look) -> bytes:
        return preview(look.picture.copy(), look.faces, self._show)

    def _forget(self, camera_id: str, at: float) -> None:
        """No picture is kept once nobody looks any more."""
        if camera_id in self._kept and self._kept[camera_id][0] == at:
            del self._kept[camera_id]

    def _fresh(self, camera_id: str) -> bytes | None:
        kept, look = self._kept.get(camera_id), self._view.last_look(camera_id)
        if kept is None or look is None:
            return None
        at, made_s, jpeg = kept
        return jpeg if look.at == at or self._clock() - made_s < PREVIEW_EVERY_S else None
