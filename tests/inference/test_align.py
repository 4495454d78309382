"""Cutting crops: where they come from, at the edge too, and that they stand alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from worker.errors import BadDataError
from worker.inference.align import CropRule, cut, sharpness
from worker.records import Box, Image


def _gradient(height: int = 60, width: int = 80) -> Image:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([columns, rows, np.full_like(rows, 7)], axis=2).astype(np.uint8)


def test_a_crop_of_its_own_size_is_the_picture_itself() -> None:
    """Without margin and scaling every pixel is kept."""
    image = _gradient()
    crop = cut(image, Box(10, 20, 26, 36), CropRule(size_px=16))
    assert np.array_equal(crop, image[20:36, 10:26])


def test_a_crop_has_its_own_memory() -> None:
    """A frame's buffer may be used again while the crop waits for its batch."""
    image = _gradient()
    crop = cut(image, Box(10, 20, 26, 36), CropRule(size_px=16))
    image[:] = 0
    assert crop.any()


def test_the_margin_widens_all_sides() -> None:
    """A quarter of the longer side is added around the box."""
    image = _gradient()
    crop = cut(image, Box(30, 20, 46, 36), CropRule(size_px=24, margin=0.25))
    assert np.array_equal(crop, image[16:40, 26:50])


def test_a_square_rule_keeps_proportions() -> None:
    """A tall box is cut as a square around its centre."""
    crop = cut(_gradient(), Box(30, 10, 40, 30), CropRule(size_px=20))
    assert np.array_equal(crop, _gradient()[10:30, 25:45])


def test_a_stretching_rule_cuts_the_box_alone() -> None:
    """The report's crops hold the box, however tall."""
    crop = cut(_gradient(), Box(30, 10, 40, 30), CropRule(size_px=20, square=False))
    assert crop[:, 0, 0].max() <= 31
    assert crop[:, -1, 0].min() >= 38


@pytest.mark.parametrize(
    "box",
    [Box(-20, -10, 20, 30), Box(70, 50, 110, 90), Box(-50, -50, -10, -10), Box(200, 5, 240, 45)],
)
def test_a_box_outside_the_picture_repeats_its_edge(box: Box) -> None:
    """A crop is always whole, and holds only colours of the picture."""
    crop = cut(_gradient(), box, CropRule(size_px=40))
    assert crop.shape == (40, 40, 3)
    assert crop[..., 0].max() <= 79
    assert (crop[..., 2] == 7).all()


@pytest.mark.parametrize(
    "box", [Box(5, 5, 5, 9), Box(9, 9, 5, 12), Box(math.nan, 0, 5, 5), Box(0, 0, math.inf, 5)]
)
def test_a_box_without_area_is_refused(box: Box) -> None:
    """An inverted, empty or infinite box is bad data, not a crop."""
    with pytest.raises(BadDataError, match="no area"):
        cut(_gradient(), box, CropRule(size_px=16))


def test_a_box_below_one_pixel_still_gives_a_crop() -> None:
    """At least one pixel is cut."""
    assert cut(_gradient(), Box(5.2, 5.2, 5.3, 5.3), CropRule(size_px=8)).shape == (8, 8, 3)


def test_blur_lowers_sharpness() -> None:
    """A flat crop has none, noise has much."""
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    assert sharpness(np.full((32, 32, 3), 90, np.uint8)) == 0
    assert sharpness(noise) > 20
