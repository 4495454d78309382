"""Learn from a better network too: see what it sees on the way, and say what it says.

Labels say where faces are; the other network also says how sure one may be of everything that
nearly looks like one, on every picture, annotated or not.
"""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from worker.inference.center_point import CenterPoint, Features, Maps
from worker.inference.engine import cpu_session

LEVELS = (0, 1, 3, 5)
"""Stages whose features are compared: those that the pyramid takes."""

FEATURES_WEIGHT = 1.0
BOX_WEIGHT = 1.0
SURE = 0.1
"""Boxes are compared where the other network is at least so sure of a face."""


class Teacher:
    """A network that is asked and never changed: run by onnxruntime, in half of torch's time.

    Args:
        network: the teacher.
        batch: crops that it is shown at once.
        side: of the crops.
    """

    def __init__(self, network: CenterPoint, batch: int, side: int) -> None:
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns of its own successor
            torch.onnx.export(
                _Told(network).eval(),
                (torch.zeros((batch, 3, side, side)),),
                stream,  # type: ignore[arg-type]  # a file works, the stub knows only names
                dynamo=False,
            )
        self._session = cpu_session(stream.getvalue())
        self._input = self._session.get_inputs()[0].name

    def see(self, pixels: Tensor) -> tuple[Features, Maps]:
        """Features and maps of a batch; of the features only those that are compared."""
        found = self._session.run(None, {self._input: pixels.contiguous().numpy()})
        *levels, pyramid, heat, size, offset = (torch.from_numpy(array) for array in found)
        return Features(levels, pyramid), Maps(heat, size, offset)


class _Told(nn.Module):
    def __init__(self, network: CenterPoint) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        features, maps = see(self.network, pixels)
        return (*features.levels, features.pyramid, *maps)


def disagreement(ours: tuple[Features, Maps], theirs: tuple[Features, Maps]) -> Tensor:
    """How far a network is from another of its build, on the same crops.

    Args:
        ours: with gradients.
        theirs: without.

    Returns:
        A number: the heat maps' and the boxes' disagreement a face, and the features'.
    """
    (features, maps), (their_features, their_maps) = ours, theirs
    score = torch.sigmoid(their_maps.heat)
    faces = (score * _peaks(score)).sum().clamp(min=1)
    # Quality focal loss (Li et al. 2020, arXiv:2006.04388): the more off, the heavier.
    off = (torch.sigmoid(maps.heat) - score).abs() ** 2
    heat = (F.binary_cross_entropy_with_logits(maps.heat, score, reduction="none") * off).sum()
    weight = torch.where(score > SURE, score, torch.zeros_like(score))
    box = sum(
        ((one - two).abs() * weight).sum()
        for one, two in ((maps.size, their_maps.size), (maps.offset, their_maps.offset))
    ) / weight.sum().clamp(min=1)
    pairs = list(zip(features.levels, their_features.levels, strict=True))
    pairs.append((features.pyramid, their_features.pyramid))
    apart = torch.stack([_apart(one, two) for one, two in pairs]).mean()
    return heat / faces + BOX_WEIGHT * box + FEATURES_WEIGHT * apart


def see(network: CenterPoint, pixels: Tensor) -> tuple[Features, Maps]:
    """Features and maps of a batch; of the features only those that are compared."""
    features = network.look(pixels)
    compared = Features([features.levels[level] for level in LEVELS], features.pyramid)
    return compared, network.read(features.pyramid)


def _peaks(score: Tensor) -> Tensor:
    """1 where a point is the highest around it, else 0."""
    return (F.max_pool2d(score, 3, 1, 1) == score).float()


def _apart(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean squared difference, in shares of the variance of theirs."""
    return F.mse_loss(ours, theirs) / theirs.var().clamp(min=1e-6)
