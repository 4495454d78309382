"""A narrow network made from a wide one: what is kept, and how near it comes."""

from __future__ import annotations

import numpy as np
import torch

from training.detector.narrow import kept_channels, narrowed
from worker.inference.artifact import CENTER_POINT, CENTER_POINT_SLIM
from worker.inference.center_point import CenterPoint


def test_channels_that_the_output_is_made_of_are_kept() -> None:
    """Of many channels those are found from which the output was put together."""
    rng = np.random.default_rng(0)
    inside = rng.normal(size=(500, 20))
    inside[:, 7] = inside[:, 3] + 0.01 * rng.normal(size=500)  # as good as another: not kept twice
    output = inside[:, [3, 11, 15]] @ rng.normal(size=(3, 4))
    inside -= inside.mean(axis=0)
    kept = set(kept_channels(inside, output - output.mean(axis=0), 3))
    assert kept in ({3, 11, 15}, {7, 11, 15})


def test_nothing_narrowed_is_the_same_network() -> None:
    """Narrowed to its own width, a network computes what it did."""
    torch.manual_seed(0)
    wide = CenterPoint()
    pixels = torch.rand(2, 3, 64, 64) * 255
    with torch.no_grad():
        expected, found = wide(pixels), narrowed(wide, CENTER_POINT, pixels)(pixels)
    torch.testing.assert_close(found.heat, expected.heat, atol=2e-3, rtol=1e-2)


def test_narrow_network_begins_near_the_wide_one() -> None:
    """The features of the narrow network resemble the wide one's; those of a random one do not."""
    torch.manual_seed(0)
    wide = CenterPoint()
    pixels = torch.rand(8, 3, 64, 64) * 255
    narrow = narrowed(wide, CENTER_POINT_SLIM, pixels)
    with torch.no_grad():
        aim = wide.look(pixels).levels[1]
        near = (narrow.look(pixels).levels[1] - aim).square().mean()
        far = (CenterPoint(CENTER_POINT_SLIM).look(pixels).levels[1] - aim).square().mean()
    assert near < 0.2 * far
