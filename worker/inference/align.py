"""From a face box to the crop a classifier sees: the one place where a crop is cut.

Training cuts through the same function, and the rule stands in the model's manifest, so a
worker sees what the model was trained on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from worker.errors import BadDataError
from worker.records import Box, Image

SHARPNESS_PX = 28
"""Side at which detail is measured: half of a shipped crop, about a small face of its own."""


@dataclass(frozen=True, slots=True)
class CropRule:
    """How a crop is cut.

    Attributes:
        size_px: side of the crop, in pixels.
        margin: what is added on each side, as a share of the box's longer side.
        square: cut a square around the box's centre; else the box is stretched to one, as
            in the original report.
    """

    size_px: int
    margin: float = 0.0
    square: bool = True


def cut(image: Image, box: Box, rule: CropRule) -> Image:
    """The crop of one face.

    Enlarged bilinearly, shrunk by averaging. Where the box reaches outside the picture the
    picture's edge is repeated.

    Args:
        image: ``uint8 (H, W, 3) BGR``; neither kept nor written to.
        box: in pixels of ``image``.
        rule: size, margin and shape.

    Returns:
        ``uint8 (S, S, 3) BGR``, its own memory.

    Raises:
        BadDataError: the box is empty, or not finite.
    """
    x1, y1, x2, y2 = _region(box, rule)
    height, width = image.shape[:2]
    # One pixel at least lies inside, so that there is an edge to repeat.
    in_x1, in_x2 = min(max(x1, 0), width - 1), max(min(x2, width), 1)
    in_y1, in_y2 = min(max(y1, 0), height - 1), max(min(y2, height), 1)
    region = image[in_y1 : max(in_y2, in_y1 + 1), in_x1 : max(in_x2, in_x1 + 1)]
    shrinks = (x2 - x1) > rule.size_px
    if (in_x1, in_y1, in_x2, in_y2) != (x1, y1, x2, y2):
        region = _with_edge(region, (in_x1 - x1, in_y1 - y1, x2 - in_x2, y2 - in_y2))
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    size = (rule.size_px, rule.size_px)
    return np.asarray(cv2.resize(region, size, interpolation=how), np.uint8)


def sharpness(crop: Image) -> float:
    """Detail of a crop: standard deviation of the Laplacian of its luma, in levels.

    The crop is thinned out to ``SHARPNESS_PX`` first, so that neither its own size nor an
    enlarged face counts as blur. After Pech-Pacheco et al. 2000, "Diatom autofocusing in
    brightfield microscopy".
    """
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    thin = cv2.resize(gray, (SHARPNESS_PX, SHARPNESS_PX), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(thin, cv2.CV_32F).std())


def _region(box: Box, rule: CropRule) -> tuple[int, int, int, int]:
    """Whole pixels to cut, possibly outside the picture."""
    if not all(math.isfinite(side) for side in box) or box.width <= 0 or box.height <= 0:
        raise BadDataError(f"the face box {tuple(box)} has no area; correct its annotation")
    margin = rule.margin * max(box.width, box.height)
    half_w, half_h = box.width / 2 + margin, box.height / 2 + margin
    if rule.square:
        half_w = half_h = max(half_w, half_h)
    centre_x, centre_y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    x1, y1 = round(centre_x - half_w), round(centre_y - half_h)
    return x1, y1, max(round(centre_x + half_w), x1 + 1), max(round(centre_y + half_h), y1 + 1)


def _with_edge(region: Image, missing: tuple[int, int, int, int]) -> Image:
    """Repeat the edge on the left, top, right and bottom by so many pixels."""
    left, top, right, bottom = (max(0, pixels) for pixels in missing)
    return np.asarray(
        cv2.copyMakeBorder(region, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8
    )
