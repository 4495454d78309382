"""The picture of a view with its faces boxed and measured; unrecognisable unless told otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from worker.errors import WorkError
from worker.evaluation.draw import Mark, annotate
from worker.probe.face_findings import BRIGHT_LEVEL, DARK_LEVEL, SOFT
from worker.probe.finding import Limits
from worker.probe.looking import Look, Sighting
from worker.records import CLASSES, Box, Decision, Image
from worker.web.preview import FACE_STONES, mosaic

VIEW_STONES = 64
"""Mosaic stones across the whole picture: a face that was missed stays unreadable too."""

FIT = Decision(CLASSES[1], 1.0)
UNFIT = Decision("unknown", 0.0)


@dataclass(frozen=True, slots=True)
class _Measured(Mark):
    """A box that says the size of its face and what is wrong with it."""

    words: str

    @property
    def text(self) -> str:
        """The face's size, and the first thing that is wrong with it."""
        return self.words


def write_picture(path: Path, looks: Sequence[Look], limits: Limits, *, clear: bool) -> None:
    """Write the picture with the most faces: green boxes can be used, grey ones cannot.

    Args:
        path: ``.jpg`` or ``.png``; what was there is replaced, whole or not at all.
        looks: at least one.
        limits: below which a face cannot be used.
        clear: leave the pixels as they are.

    Raises:
        WorkError: it cannot be written.
    """
    best = max(looks, key=lambda look: len(look.faces))
    image = best.picture.bgr()
    if not clear:
        image = pixelated(image, [face.box for face in best.faces])
    drawn = annotate(image, [_mark(face, limits) for face in best.faces])
    beside = path.with_name(f".{path.stem}-unfinished{path.suffix}")
    try:
        written, coded = cv2.imencode(path.suffix, drawn)
    except cv2.error:
        written = False
    if not written:
        raise WorkError(f"--picture {path}: name a file that ends in .jpg or .png")
    try:
        beside.write_bytes(coded.tobytes())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise WorkError(f"--picture {path} cannot be written ({error.strerror})") from error


def pixelated(image: Image, faces: Sequence[Box]) -> Image:
    """A copy in mosaic, coarser over faces that are large in it.

    Args:
        image: ``uint8 (H, W, 3) BGR``; not written to.
        faces: in its pixels.
    """
    height, width = image.shape[:2]
    laid = mosaic(image, max(1, width // VIEW_STONES))
    for box in faces:
        x1, y1, x2, y2 = (round(side) for side in box.clipped(width, height))
        if x2 > x1 and y2 > y1:
            laid[y1:y2, x1:x2] = mosaic(laid[y1:y2, x1:x2], max(1, (x2 - x1) // FACE_STONES))
    return laid


def _mark(face: Sighting, limits: Limits) -> Mark:
    wrong = [
        word
        for word, holds in (
            ("small", face.box.face_px < limits.min_face_px),
            ("blurred", face.sharpness < max(SOFT, limits.min_sharpness)),
            ("dark", face.level < DARK_LEVEL),
            ("bright", face.level > BRIGHT_LEVEL),
        )
        if holds
    ]
    words = " ".join([f"{face.box.face_px:.0f} px", *wrong[:1]])
    return _Measured(face.box, UNFIT if wrong else FIT, words)
