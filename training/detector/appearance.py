"""How a crop may look: masks drawn on faces, and the light and faults of other cameras."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training.detector.data import Floats
from worker.records import Image

Generator = np.random.Generator


def draw_mask(image: Image, face: Floats, rng: Generator) -> None:
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


def as_camera(image: Image, rng: Generator) -> Image:
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
