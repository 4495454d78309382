"""Make a narrow network from a wide one of the same build, so that it begins where that stands.

Block by block: of the channels inside the wide block those are kept from which its output can
best be put together again, and the weights that put it together are solved for by least squares
(He et al. 2017, arXiv:1707.06168). Each block is fitted on what the narrow network itself sees
there, so that a block repairs what those before it have lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from worker.inference.center_point import Block, CenterPoint

Doubles = NDArray[np.float64]

POINTS = 40_000
"""Points of the features that a block is fitted on, at most."""

RIDGE = 1e-4
"""Share of the mean variance that is added to each channel's, so that the solution is calm."""


class _Layers(NamedTuple):
    """The convolutions of a block; of the stem, the one that sees the pixels is the first."""

    widen: nn.Conv2d
    look: nn.Conv2d
    join: nn.Conv2d
    residual: bool

    def inside(self, x: Tensor) -> Tensor:
        return torch.relu(self.look(torch.relu(self.widen(x))))

    def __call__(self, x: Tensor) -> Tensor:
        y: Tensor = self.join(self.inside(x))
        return x + y if self.residual else y


def narrowed(wide: CenterPoint, name: str, pixels: Tensor) -> CenterPoint:
    """A narrower network that computes nearly the same.

    Args:
        wide: the network to make it from.
        name: of the shape, a key of ``SHAPES``.
        pixels: crops to fit on, ``float32 (N, 3, S, S) RGB``, as the network takes them.
    """
    narrow = CenterPoint(name)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        seen = wanted = pixels
        for small, large in zip(_blocks(narrow), _blocks(wide), strict=True):
            wanted = large(wanted)
            _narrow(small, large, seen, wanted - seen if large.residual else wanted, rng)
            seen = small(seen)
        for target, source in (
            (narrow.laterals, wide.laterals),
            (narrow.ups, wide.ups),
            (narrow.mix, wide.mix),
            (narrow.heat, wide.heat),
            (narrow.size, wide.size),
            (narrow.offset, wide.offset),
        ):
            target.load_state_dict(source.state_dict())
    return narrow


def kept_channels(inside: Doubles, wanted: Doubles, number: int) -> list[int]:
    """The channels from which the output is best put together, greedily, best first.

    Args:
        inside: ``(P, C)``, each column's mean 0.
        wanted: ``(P, D)``, each column's mean 0.
        number: how many channels to keep.
    """
    gram, cross = inside.T @ inside, inside.T @ wanted
    floor = RIDGE * float(np.trace(gram)) / len(gram) + 1e-12
    chosen: list[int] = []
    for _ in range(number):
        # What is left of each channel, and of its bearing on the output, once the chosen ones
        # are known; what a channel would add is the second squared over the first.
        left = np.diag(gram) + floor
        gain = (cross**2).sum(axis=1) / left
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        share = gram[:, best] / left[best]
        cross = cross - np.outer(share, cross[best])
        gram = gram - np.outer(share, gram[best])
    return chosen


def _blocks(network: CenterPoint) -> Iterator[_Layers]:
    stem = cast("Block", network.stem[2])
    yield _Layers(network.first, _layer(stem, 0), _layer(stem, 2), residual=False)
    for stage in network.stages:
        for module in cast("nn.Sequential", stage):
            block = cast("Block", module)
            widen, look, join = (_layer(block, index) for index in (0, 2, 4))
            yield _Layers(widen, look, join, residual=bool(block.residual))


def _layer(block: Block, index: int) -> nn.Conv2d:
    return cast("nn.Conv2d", block.layers[index])


def _narrow(
    small: _Layers, large: _Layers, seen: Tensor, wanted: Tensor, rng: np.random.Generator
) -> None:
    """Fill the small block so that from what is seen it gives what is wanted, nearly."""
    inside, output = _points(large.inside(seen), wanted, rng)
    mean_inside, mean_output = inside.mean(axis=0), output.mean(axis=0)
    inside, output = inside - mean_inside, output - mean_output
    chosen = kept_channels(inside, output, small.join.in_channels)
    small.widen.weight.copy_(large.widen.weight[chosen])
    small.look.weight.copy_(large.look.weight[chosen])
    for target, source in ((small.widen, large.widen), (small.look, large.look)):
        cast("Tensor", target.bias).copy_(cast("Tensor", source.bias)[chosen])
    gram = inside[:, chosen].T @ inside[:, chosen]
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    weight = np.linalg.solve(gram, inside[:, chosen].T @ output).T
    bias = mean_output - weight @ mean_inside[chosen]
    small.join.weight.copy_(torch.from_numpy(weight)[..., None, None])
    cast("Tensor", small.join.bias).copy_(torch.from_numpy(bias))


def _points(inside: Tensor, wanted: Tensor, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """The same points of both, ``(P, C)`` each."""
    whole = inside.shape[0] * inside.shape[2] * inside.shape[3]
    chosen = torch.from_numpy(rng.permutation(whole)[:POINTS])
    rows = (t.permute(0, 2, 3, 1).flatten(0, 2)[chosen].double().numpy() for t in (inside, wanted))
    one, two = rows
    return one, two
