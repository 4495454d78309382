"""Detectors behind their protocol."""

from __future__ import annotations

import numpy as np
import pytest

from worker.errors import ConfigError
from worker.faces.detect import DETECTORS, open_detector


def test_unknown_detector_is_named_with_the_choices() -> None:
    """A detector that is not there is a sentence with those that are."""
    with pytest.raises(
        ConfigError, match=r"no detector 'retina'; take accurate or fast or centerface"
    ):
        open_detector("retina", min_face_px=20)


@pytest.mark.parametrize("name", list(DETECTORS))
@pytest.mark.parametrize("shape", [(64, 64), (40, 700), (360, 202), (5, 3)])
def test_odd_shapes_give_boxes_inside(name: str, shape: tuple[int, int]) -> None:
    """Small, portrait and narrow pictures work, and no box leaves them."""
    image = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    for face in open_detector(name, min_face_px=12).detect(image, min_score=0.05):
        assert 0 <= face.box.x1 < face.box.x2 <= shape[1]
        assert 0 <= face.box.y1 < face.box.y2 <= shape[0]


def test_region_slice_is_a_view_that_works() -> None:
    """A part of a picture, not contiguous in memory, is as good as a picture."""
    image = np.zeros((200, 300, 3), np.uint8)
    for name in DETECTORS:
        assert open_detector(name, min_face_px=30).detect(image[20:180, 40:260]) == []


def test_real_portrait_is_found() -> None:
    """The default detector finds the one face of a portrait, at its place."""
    data = pytest.importorskip("skimage.data")
    image = np.ascontiguousarray(data.astronaut()[..., ::-1])
    (face,) = open_detector("accurate", min_face_px=40).detect(image)
    x, y = (face.box.x1 + face.box.x2) / 2, (face.box.y1 + face.box.y2) / 2
    assert (x, y) == (pytest.approx(222, abs=25), pytest.approx(115, abs=30))


def test_own_threshold_can_be_replaced() -> None:
    """The configuration's score takes the place of the detector's own."""
    assert open_detector("centerface", min_face_px=20, min_score=0.77).threshold == 0.77


@pytest.mark.parametrize("name", list(DETECTORS))
def test_detector_says_exactly_what_it_is(name: str) -> None:
    """Version and digest of each are there for the metric that names the models that run."""
    detector = open_detector(name, min_face_px=30)
    assert detector.version
    assert len(detector.digest) == 64
