"""A picture becomes a square crop to learn from: another scale, place, light and camera.

Everything is drawn from the generator that is passed in, so the same one makes the same crop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from training.detector.data import Floats, Sample
from worker.records import Image

FACE_PX = (7.0, 0.95)
"""Sizes at which a chosen face is shown: from pixels, to a share of the crop's side."""

SCALES = (0.25, 2.5)
SMALLEST_PX = 6.0
"""A face smaller than this in the crop is ignored: too small to learn, too real to deny."""

VISIBLE_SHARE = 0.5
"""A face of which the crop shows less than this is ignored."""

Generator = np.random.Generator


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
            _draw_mask(image, face, rng)
    kept, dropped = _visible(faces, size)
    return Shot(_as_camera(image, rng), kept, np.concatenate([_clipped(ignored, size), dropped]))


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


def _draw_mask(image: Image, face: Floats, rng: Generator) -> None:
    """Paint a mask over the lower half of a face, in place: cheap, crude, and it teaches."""
    x1, y1, x2, y2 = face
    wide, high = x2 - x1, y2 - y1
    top = y1 + high * rng.uniform(0.42, 0.58)
    middle = x1 + wide * rng.uniform(0.4, 0.6)
    points = np.array(
        [
            (x1 + wide * rng.uniform(0, 0.12), top + high * rng.uniform(0, 0.1)),
            (middle, top - high * rng.uniform(0, 0.08)),
            (x2 - wide * rng.uniform(0, 0.12), top + high * rng.uniform(0, 0.1)),
            (x2 - wide * rng.uniform(0.05, 0.2), y1 + high * rng.uniform(0.75, 0.9)),
            (middle, y2 + high * rng.uniform(-0.05, 0.04)),
            (x1 + wide * rng.uniform(0.05, 0.2), y1 + high * rng.uniform(0.75, 0.9)),
        ]
    )
    left, upper = np.floor(points.min(axis=0)).astype(int)
    right, lower = np.ceil(points.max(axis=0)).astype(int) + 1
    left, upper = max(0, left), max(0, upper)
    patch = image[upper : max(upper, lower), left : max(left, right)]
    if patch.shape[0] < 2 or patch.shape[1] < 2:
        return
    stencil = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(stencil, [np.round(points - (left, upper)).astype(np.int32)], 255, cv2.LINE_AA)
    colour = _mask_colour(rng) * np.clip(patch.mean() / 120, 0.3, 1.3)
    shade = np.linspace(rng.uniform(0.8, 1.1), rng.uniform(0.6, 1.0), patch.shape[0])
    cloth = colour * shade[:, None, None]
    folds = int(rng.integers(0, 4))
    for fold in range(1, folds + 1):
        cloth[patch.shape[0] * fold // (folds + 1)] *= 0.8
    alpha = stencil[..., None] / 255.0
    patch[:] = np.clip(patch * (1 - alpha) + cloth * alpha, 0, 255).astype(np.uint8)


def _mask_colour(rng: Generator) -> Floats:
    """Surgical blue, white, black, or anything; BGR."""
    kind = rng.random()
    if kind < 0.35:
        colour = np.array([210, 190, 140]) + rng.normal(0, 15, 3)
    elif kind < 0.6:
        colour = np.full(3, rng.uniform(180, 245)) + rng.normal(0, 5, 3)
    elif kind < 0.8:
        colour = np.full(3, rng.uniform(15, 60)) + rng.normal(0, 5, 3)
    else:
        colour = rng.uniform(0, 255, 3)
    return colour.astype(np.float32)


def _as_camera(image: Image, rng: Generator) -> Image:
    """The crop as another camera would have seen it: light, colour, blur, noise, compression."""
    for chance, change in _CHANGES:
        if rng.random() < chance:
            image = np.asarray(change(image, rng), np.uint8)
    return image


def _light(image: Image, rng: Generator) -> Image:
    gamma, gain = np.exp(rng.normal(0, 0.3)), np.exp(rng.normal(0, 0.2, 3) * (1, 0.5, 1))
    ramp = 255 * (np.arange(256) / 255.0) ** gamma
    bias = rng.normal(0, 12)
    table = np.clip(ramp[:, None] * gain + bias, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


def _dark(image: Image, rng: Generator) -> Image:
    noise = rng.normal(0, rng.uniform(1, 6), image.shape[:2])[..., None]
    return np.clip(image * rng.uniform(0.15, 0.5) + noise, 0, 255).astype(np.uint8)


def _gray(image: Image, rng: Generator) -> Image:  # noqa: ARG001
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))


def _coarse(image: Image, rng: Generator) -> Image:
    """Shown at less detail than its size promises, like a stretched stream."""
    size, factor = image.shape[0], rng.uniform(1.2, 2.2)
    small = cv2.resize(image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR))


def _blurred(image: Image, rng: Generator) -> Image:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.4)))
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    if rng.random() < 0.4:
        kernel = kernel.T
    return np.asarray(cv2.filter2D(image, -1, kernel))


def _noisy(image: Image, rng: Generator) -> Image:
    noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(2, 10)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _compressed(image: Image, rng: Generator) -> Image:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


_CHANGES: tuple[tuple[float, Callable[[Image, Generator], Image]], ...] = (
    (0.15, _coarse),
    (0.6, _light),
    (0.06, _dark),
    (0.08, _gray),
    (0.12, _blurred),
    (0.1, _noisy),
    (0.3, _compressed),
)
