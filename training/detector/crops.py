"""A picture becomes a square crop to learn from: another scale, place, light and camera.

Everything is drawn from the generator that is passed in, so the same one makes the same crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.detector.appearance import Generator, as_camera, draw_mask
from training.detector.data import Floats, Sample
from worker.records import Image

FACE_PX = (7.0, 0.95)
"""Sizes at which a chosen face is shown: from pixels, to a share of the crop's side."""

SCALES = (0.25, 2.5)
SMALLEST_PX = 6.0
"""A face smaller than this in the crop is ignored: too small to learn, too real to deny."""

VISIBLE_SHARE = 0.5
"""A face of which the crop shows less than this is ignored."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A crop to learn from: ``uint8 (S, S, 3) BGR``, faces and ignored regions inside it."""

    image: Image
    faces: Floats
    ignored: Floats


def draw_shot(sample: Sample, picture: Image, size: int, rng: Generator) -> Shot:
    """One random crop of ``size x size`` pixels.

    Args:
        sample: the boxes of the picture.
        picture: ``uint8 (H, W, 3) BGR``; not written to.
        size: side of the crop.
        rng: all the chance there is.
    """
    focus = sample.faces[rng.integers(len(sample.faces))] if len(sample.faces) else None
    scale = _draw_scale(focus, max(picture.shape), size, rng)
    stretch = np.exp(rng.normal(0, 0.05))
    scale_xy = np.array([scale * stretch, scale / stretch], np.float32)
    corner = _draw_corner(focus, picture, np.float32(size) / scale_xy, rng)
    image = _cut(picture, corner, scale_xy, size, rng)
    faces = _moved(sample.faces, corner, scale_xy)
    ignored = _moved(sample.ignored, corner, scale_xy)
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        faces, ignored = _mirrored(faces, size), _mirrored(ignored, size)
    for face in faces:
        if rng.random() < 0.12:
            draw_mask(image, face, rng)
    kept, dropped = _visible(faces, size)
    return Shot(as_camera(image, rng), kept, np.concatenate([_clipped(ignored, size), dropped]))


def _draw_scale(focus: Floats | None, extent: int, size: int, rng: Generator) -> float:
    """A scale at which the focus has a size drawn from ``FACE_PX``, within limits."""
    if focus is None:
        return float(np.exp(rng.uniform(*np.log((0.3, 2.0)))))
    side = float(np.sqrt(np.prod(focus[2:] - focus[:2])))
    wanted = np.exp(rng.uniform(np.log(FACE_PX[0]), np.log(FACE_PX[1] * size)))
    # Mostly the picture fills the crop: padding teaches little.
    low = SCALES[0] if rng.random() < 0.1 else 0.8 * size / extent
    return float(np.clip(wanted / side, min(low, SCALES[1]), SCALES[1]))


def _draw_corner(focus: Floats | None, picture: Image, extent: Floats, rng: Generator) -> Floats:
    """Upper left corner of the region in the picture; the focus lies inside it."""
    whole = np.array(picture.shape[1::-1], np.float32)
    if focus is not None:
        low, high = focus[2:] - extent, focus[:2]
        low, high = np.minimum(low, high), np.maximum(low, high)
        # Stay inside the picture where the focus allows it: padding teaches little.
        inner_low, inner_high = np.maximum(low, 0), np.minimum(high, whole - extent)
        fits = inner_low <= inner_high
        low, high = np.where(fits, inner_low, low), np.where(fits, inner_high, high)
    else:
        low, high = np.minimum(0, whole - extent), np.maximum(0, whole - extent)
    return np.asarray(rng.uniform(low, np.maximum(high, low + 1e-3)), np.float32)


def _cut(picture: Image, corner: Floats, scale: Floats, size: int, rng: Generator) -> Image:
    """The region from ``corner``, scaled; what lies outside the picture has one colour."""
    height, width = picture.shape[:2]
    x1, y1 = np.floor(np.maximum(corner, 0)).astype(int)
    x2, y2 = np.ceil(np.minimum(corner + size / scale, (width, height))).astype(int)
    colour = rng.integers(0, 256, 3) if rng.random() < 0.5 else np.zeros(3)
    canvas = np.empty((size, size, 3), np.uint8)
    canvas[:] = colour.astype(np.uint8)
    if x2 - x1 < 2 or y2 - y1 < 2:
        return canvas
    how = cv2.INTER_AREA if scale[0] < 0.5 else cv2.INTER_LINEAR
    if scale[0] > 1 and rng.random() < 0.3:
        how = cv2.INTER_CUBIC
    part = picture[y1:y2, x1:x2]
    wide, high = max(1, round((x2 - x1) * scale[0])), max(1, round((y2 - y1) * scale[1]))
    part = np.asarray(cv2.resize(part, (wide, high), interpolation=how), np.uint8)
    left, top = np.round((np.array([x1, y1]) - corner) * scale).astype(int)
    skip_x, skip_y = max(0, -left), max(0, -top)
    left, top = max(0, left), max(0, top)
    part = part[skip_y : skip_y + size - top, skip_x : skip_x + size - left]
    canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
    return canvas


def _moved(boxes: Floats, corner: Floats, scale: Floats) -> Floats:
    return ((boxes.reshape(-1, 2, 2) - corner) * scale).reshape(-1, 4).astype(np.float32)


def _mirrored(boxes: Floats, size: int) -> Floats:
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = size - boxes[:, [2, 0]]
    return mirrored


def _clipped(boxes: Floats, size: int) -> Floats:
    clipped = boxes.clip(0, size)
    return clipped[(clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])]


def _visible(boxes: Floats, size: int) -> tuple[Floats, Floats]:
    """Faces to learn, clipped to the crop, and those to ignore there."""
    clipped = boxes.clip(0, size)
    sides, shown = boxes[:, 2:] - boxes[:, :2], clipped[:, 2:] - clipped[:, :2]
    share = shown.prod(axis=1) / np.maximum(sides.prod(axis=1), 1e-6)
    good = (share >= VISIBLE_SHARE) & (shown.min(axis=1, initial=np.inf) >= SMALLEST_PX)
    return clipped[good], clipped[~good & (share > 0)]
