"""Boxes and labels on a picture, readable at any size and without telling colours apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from worker.evaluation.measures import overlaps
from worker.records import Box, Decision, Image
from worker.web.preview import COLOURS, WORDS

FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_PX = 21.0
"""Height of a capital of the font at scale 1."""

LINE_SHARES = (1 / 12, 1 / 400)
"""Width of a box's line, at most, as a share of the face and of the picture's longer side."""

USUAL_LINE_PX = 2
"""Drawn in small pictures too, where the face has room for it."""

LETTER_SHARE = 0.16
"""Height of a letter, as a share of the face's width."""

LETTER_SHARES = (1 / 90, 1 / 28)
"""Its smallest and its largest height, as shares of the picture's longer side."""

SMALLEST_LETTER_PX = 7.0


@dataclass(frozen=True, slots=True)
class Mark:
    """What is drawn for one face."""

    box: Box
    decision: Decision

    @property
    def text(self) -> str:
        """The decision in words: label and score, or why there is none."""
        if self.decision.label == "unknown":
            return f"? {(self.decision.reason or 'undecided').replace('_', ' ')}"
        return f"{WORDS[self.decision.label]} {self.decision.score:.0%}"


@dataclass(frozen=True, slots=True)
class _Label:
    """A text's size in pixels: letters as OpenCV scales them, and the plate behind them."""

    text: str
    scale: float
    thickness: int
    width: int
    height: int
    pad: int


def annotate(image: Image, marks: Sequence[Mark]) -> Image:
    """A copy of the picture with a box and a label for each face.

    Green is with, red without, orange incorrectly worn, grey not decided; word and score say
    the same. A label stands inside the picture, where it covers the least of other faces.

    Args:
        image: ``uint8 (H, W, 3) BGR``; not written to.
        marks: with boxes in pixels of ``image``.
    """
    drawn = image.copy()
    height, width = image.shape[:2]
    line = max(USUAL_LINE_PX, round(max(height, width) * LINE_SHARES[1]))
    for mark in marks:
        x1, y1, x2, y2 = (round(side) for side in mark.box)
        thin = max(1, min(line, round(mark.box.face_px * LINE_SHARES[0])))
        cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), COLOURS[mark.decision.label], thin)
    taken = [mark.box for mark in marks]
    # Large faces first: their labels have more places to go to than it costs others.
    for mark in sorted(marks, key=lambda mark: -mark.box.face_px):
        label = _label(mark, width, height)
        place = _place(label, mark.box, taken, (width, height), line)
        taken.append(place)
        _write(drawn, label, place, COLOURS[mark.decision.label])
    return drawn


def _label(mark: Mark, width: int, height: int) -> _Label:
    smallest, largest = (max(width, height) * share for share in LETTER_SHARES)
    letter = float(np.clip(mark.box.width * LETTER_SHARE, smallest, max(smallest, largest)))
    scale = max(SMALLEST_LETTER_PX, letter) / FONT_PX
    (wide, _), _ = cv2.getTextSize(mark.text, FONT, scale, 1)
    room = width - 4
    if wide > room:
        scale *= max(room, 1) / wide
    thickness = max(1, round(scale * 1.6))
    (wide, high), below = cv2.getTextSize(mark.text, FONT, scale, thickness)
    pad = max(1, round(high * 0.25))
    return _Label(mark.text, scale, thickness, wide + 2 * pad, high + below // 2 + 2 * pad, pad)


def _place(label: _Label, box: Box, taken: Sequence[Box], size: tuple[int, int], line: int) -> Box:
    """The place around the box, inside the picture, that covers least of what is there."""
    width, height = size

    def inside(x: float, y: float) -> Box:
        left = min(max(0, round(x)), max(0, width - label.width))
        top = min(max(0, round(y)), max(0, height - label.height))
        return Box(left, top, left + label.width, top + label.height)

    places = [inside(x, y) for x, y in _around(label, box, line)]
    _, covered = overlaps(places, taken)
    return places[int(covered.sum(axis=1).argmin())]


def _around(label: _Label, box: Box, line: int) -> Iterator[tuple[float, float]]:
    """Upper left corners in order of preference: above, below, right, left."""
    gap = line / 2
    for y in (box.y1 - gap - label.height, box.y2 + gap):
        for x in (box.x1 - gap, box.x2 + gap - label.width):
            yield x, y
    for x in (box.x2 + gap, box.x1 - gap - label.width):
        for y in (box.y1, box.y2 - label.height):
            yield x, y


def _write(image: Image, label: _Label, place: Box, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = (int(side) for side in place)
    cv2.rectangle(image, (left, top), (right - 1, bottom - 1), colour, cv2.FILLED)
    blue, green, red = colour
    bright = 0.114 * blue + 0.587 * green + 0.299 * red > 140
    (_, high), _ = cv2.getTextSize(label.text, FONT, label.scale, label.thickness)
    cv2.putText(
        image,
        label.text,
        (left + label.pad, top + label.pad + high),
        FONT,
        label.scale,
        (0, 0, 0) if bright else (255, 255, 255),
        label.thickness,
        cv2.LINE_AA,
    )
