"""Agreeing with a teacher."""

from __future__ import annotations

import pytest
import torch

from training.detector.distil import Teacher, disagreement, see
from worker.inference.artifact import CENTER_POINT_SLIM
from worker.inference.center_point import CenterPoint


@pytest.fixture(scope="module")
def wide() -> CenterPoint:
    torch.manual_seed(0)
    return CenterPoint()


def test_teacher_says_what_its_network_says(wide: CenterPoint) -> None:
    """Onnxruntime's features and maps are torch's."""
    pixels = torch.rand(2, 3, 64, 64) * 255
    features, maps = Teacher(wide, 2, 64).see(pixels)
    with torch.no_grad():
        expected_features, expected_maps = see(wide, pixels)
    for one, two in zip(features.levels, expected_features.levels, strict=True):
        torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(maps.heat, expected_maps.heat, atol=1e-3, rtol=1e-3)


def test_who_agrees_is_not_corrected(wide: CenterPoint) -> None:
    """A network agrees with itself; another, narrower one does not, and has a gradient."""
    pixels = torch.rand(2, 3, 64, 64) * 255
    with torch.no_grad():
        theirs = see(wide, pixels)
    assert disagreement(see(wide, pixels), theirs).item() == pytest.approx(0, abs=1e-6)
    slim = CenterPoint(CENTER_POINT_SLIM)
    apart = disagreement(see(slim, pixels), theirs)
    apart.backward()
    assert apart.item() > 0.1
    assert all(p.grad is not None for p in slim.stages.parameters())
