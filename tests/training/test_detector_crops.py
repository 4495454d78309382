"""Crops to learn from: repeatable, inside, and honest about what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.detector.crops import SMALLEST_PX, draw_shot
from training.detector.data import Sample


def sample(*faces: tuple[float, float, float, float]) -> Sample:
    nothing = np.zeros((0, 4), np.float32)
    return Sample(Path("p.png"), np.asarray(faces, np.float32).reshape(-1, 4), nothing)


@pytest.fixture
def picture() -> np.ndarray:
    """Noise with a face's worth of white at (100, 60) to (140, 110)."""
    image = np.random.default_rng(0).integers(0, 90, (240, 320, 3)).astype(np.uint8)
    image[60:110, 100:140] = 250
    return image


def test_same_generator_makes_the_same_crop(picture: np.ndarray) -> None:
    """All chance comes from the generator, or a run could not be resumed."""
    one, two = (
        draw_shot(sample((100, 60, 140, 110)), picture, 96, np.random.default_rng(5))
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.faces, two.faces)


def test_box_stays_on_its_face(picture: np.ndarray) -> None:
    """Wherever a crop is drawn, the inside of the box is brighter than the outside."""
    brighter = 0
    for seed in range(40):
        shot = draw_shot(sample((100, 60, 140, 110)), picture, 128, np.random.default_rng(seed))
        for x1, y1, x2, y2 in np.round(shot.faces).astype(int):
            inside = shot.image[y1:y2, x1:x2].mean()
            brighter += inside > np.median(shot.image)
    assert brighter >= 30


def test_boxes_lie_inside_the_crop(picture: np.ndarray) -> None:
    """No box leaves the crop, and none that is learned is too small."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shot = draw_shot(sample((100, 60, 140, 110), (300, 0, 320, 22)), picture, 96, rng)
        for boxes in (shot.faces, shot.ignored):
            assert (boxes >= 0).all()
            assert (boxes <= 96).all()
        sides = shot.faces[:, 2:] - shot.faces[:, :2]
        assert (sides >= SMALLEST_PX).all()


def test_tiny_faces_are_ignored_not_denied(picture: np.ndarray) -> None:
    """A face of a pixel or two is never a face to learn, at any scale."""
    for seed in range(30):
        shot = draw_shot(sample((10, 10, 12, 12)), picture, 96, np.random.default_rng(seed))
        assert len(shot.faces) == 0


def test_pictures_of_any_shape_and_without_faces_work() -> None:
    """Narrow, tiny and empty pictures give a crop of the size that was asked for."""
    for shape in ((3, 400), (400, 3), (1, 1), (64, 64), (1_000, 80)):
        image = np.full((*shape, 3), 80, np.uint8)
        for seed in range(8):
            shot = draw_shot(sample(), image, 64, np.random.default_rng(seed))
            assert shot.image.shape == (64, 64, 3)
            assert len(shot.faces) == 0
