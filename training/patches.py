"""Patches: a face with room around it, and the box that a detector gives it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from training.faces import Face
from worker.evaluation.measures import overlaps
from worker.faces.detect import Detector, expect_pictures, open_detector
from worker.records import Box, Image

ROOM = 0.7
"""What a patch holds around its face on each side, as a share of the face."""

LARGEST_PATCH_PX = 176
"""Larger patches are shrunk: three times the crops that networks here take."""

SAME_FACE_IOU = 0.4
DETECTOR_FACE_PX = (8, 24, 64)
"""Sizes that the detector is set to: crowds, then faces as large as the picture."""

_OPEN: dict[tuple[str, int], Detector] = {}
"""Detectors of this process, by name and size."""


def detections(image: Image, detector: str | None, *, large: bool) -> list[Box]:
    """Boxes at the sizes that suit; of a near face the coarse ones come first."""
    if detector is None:
        return []
    boxes: list[Box] = []
    for size in reversed(DETECTOR_FACE_PX) if large else DETECTOR_FACE_PX[:1]:
        opened = _OPEN.get((detector, size))
        if opened is None:
            expect_pictures()
            opened = _OPEN.setdefault((detector, size), open_detector(detector, min_face_px=size))
        boxes += [found.box for found in opened.detect(image)]
        if boxes:
            break
    return boxes


def largest(boxes: Sequence[Box]) -> Box | None:
    """The box of the largest area."""
    return max(boxes, key=lambda box: box.width * box.height, default=None)


def same_face(box: Box, found: Sequence[Box]) -> Box | None:
    """The found box that overlaps a face most, if it is the same face."""
    if not found:
        return None
    iou, _ = overlaps([box], found)
    best = int(iou[0].argmax())
    return found[best] if iou[0, best] >= SAME_FACE_IOU else None


def patch_of(
    image: Image, box: Box, detected: Box | None, *, source: str, picture: str, label: int
) -> tuple[Face, Image]:
    """Cut a face with room around it, and put its boxes into the patch's coordinates.

    Args:
        image: ``uint8 (H, W, 3) BGR``.
        box: the face in it.
        detected: the same face as a detector found it.
        source: name of the data.
        picture: stem of the picture.
        label: index in ``CLASSES``.
    """
    other = detected or box
    x1, y1 = min(box.x1, other.x1), min(box.y1, other.y1)
    x2, y2 = max(box.x2, other.x2), max(box.y2, other.y2)
    half = max(x2 - x1, y2 - y1) * (0.5 + ROOM)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    height, width = image.shape[:2]
    left, top = max(0, int(x - half)), max(0, int(y - half))
    right, bottom = min(width, int(x + half) + 1), min(height, int(y + half) + 1)
    patch = image[top:bottom, left:right]
    shrink = LARGEST_PATCH_PX / max(patch.shape[:2])
    if shrink < 1:
        smaller = [max(1, round(side * shrink)) for side in (patch.shape[1], patch.shape[0])]
        patch = np.asarray(cv2.resize(patch, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    patch = np.ascontiguousarray(patch)
    scale_x, scale_y = patch.shape[1] / (right - left), patch.shape[0] / (bottom - top)

    def inside(place: Box) -> Box:
        return Box(
            (place.x1 - left) * scale_x,
            (place.y1 - top) * scale_y,
            (place.x2 - left) * scale_x,
            (place.y2 - top) * scale_y,
        )

    record = Face(
        source=source,
        picture=picture,
        label=label,
        face_px=box.width,
        box=inside(box),
        detected=inside(detected) if detected else None,
        offset=0,
        height=patch.shape[0],
        width=patch.shape[1],
    )
    return record, patch
