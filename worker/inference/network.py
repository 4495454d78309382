"""The network definitions, by name. Imported only by the torch engine and by training.

A network takes ``float (N, 3, S, S)`` pixels, normalised, and gives logits ``(N, classes)``.
``Probabilities`` wraps it into what an artifact holds: uint8 pixels in, probabilities out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from worker.errors import ModelError
from worker.inference.artifact import (
    CENTER_POINT,
    CENTER_POINT_SLIM,
    Calibration,
    Normalisation,
)
from worker.inference.center_point import SHAPES, CenterPoint


class ReportNet(nn.Module):
    """The convolutional network of the original report, section 3.2.4, for 224 px crops.

    Each layer: convolution 3x3, batch normalisation, ReLU, pooling 2x2; then one linear layer.
    """

    def __init__(self, channels: Sequence[int], classes: int, size_px: int = 224) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in channels:
            layers += [
                nn.Conv2d(before, after, kernel_size=3, stride=1, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),  # the report's steps take the whole set: memory counts
                nn.MaxPool2d(kernel_size=2, stride=2),
            ]
            before = after
        self.cnn_layers = nn.Sequential(*layers)
        side = size_px // 2 ** len(channels)
        self.linear_layers = nn.Linear(before * side * side, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(N, classes)``."""
        logits: Tensor = self.linear_layers(self.cnn_layers(pixels).flatten(1))
        return logits

    def layers(self) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """The convolution and the normalisation of each layer, in order."""
        modules = list(self.cnn_layers)
        for first in range(0, len(modules), 4):
            yield cast("nn.Conv2d", modules[first]), cast("nn.BatchNorm2d", modules[first + 1])


class Residual(nn.Module):
    """A basic residual block (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.skip: nn.Module = nn.Identity()
        if before != after or stride != 1:
            # Averaging before the 1x1 convolution keeps what striding would throw away
            # (ResNet-D, He et al. 2018, arXiv:1812.01187).
            pool: nn.Module = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
            self.skip = nn.Sequential(
                pool, nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Features at ``1 / stride`` of the size."""
        return torch.relu(self.path(x) + self.skip(x))


class ResidualNet(nn.Module):
    """A small residual network: a strided stem, then stages that halve the size.

    Args:
        channels: of each stage.
        blocks: of each stage.
        classes: number of logits.
        dropout: share of the pooled features that training drops.
    """

    def __init__(
        self, channels: Sequence[int], blocks: Sequence[int], classes: int, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels[0], 3, 2, 1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU()
        )
        stages: list[nn.Module] = []
        before = channels[0]
        for stage, (after, count) in enumerate(zip(channels, blocks, strict=True)):
            for block in range(count):
                stride = 2 if block == 0 and stage > 0 else 1
                stages.append(Residual(before, after, stride))
                before = after
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(before, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(N, classes)``."""
        features = self.pool(self.stages(self.stem(pixels))).flatten(1)
        logits: Tensor = self.head(self.dropout(features))
        return logits


class FaceNet(nn.Module):
    """The first layers of the face detector, and a head over what they see.

    Layers have the detector's names, so its weights can be loaded: they have seen a hundred
    thousand faces, where a classifier's data hold a few thousand. The grids of features are not
    averaged, since a crop has its nose always at about the same place.

    Args:
        detector: name of the detector's network.
        classes: number of logits.
        size_px: side of the crops.
        looked_at: the stages whose features the head sees; the last is the last computed.
        hidden: width of the head.
        dropout: share of features that training drops, before and inside the head.
    """

    def __init__(
        self,
        detector: str,
        classes: int,
        size_px: int,
        *,
        looked_at: Sequence[int],
        hidden: int,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        whole = CenterPoint(detector)
        self.stem = whole.stem
        self.stages = whole.stages[: looked_at[-1] + 1]
        self.looked_at = tuple(looked_at)
        features, side = 0, math.ceil(size_px / 2)
        for number, stage in enumerate(SHAPES[detector].stages):
            side = math.ceil(side / stage.stride)
            features += stage.channels * side**2 if number in looked_at else 0
        self.head = nn.Sequential(
            nn.BatchNorm1d(features, affine=False),
            nn.Dropout(dropout),
            nn.Linear(features, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(N, classes)``."""
        x = self.stem(pixels)
        seen = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in self.looked_at:
                seen.append(x.flatten(1))
        logits: Tensor = self.head(torch.cat(seen, 1))
        return logits


class Probabilities(nn.Module):
    """What an artifact holds: ``uint8 (N, S, S, 3) BGR`` in, calibrated probabilities out.

    Pixels are ordered, scaled and standardised inside, so a worker computes nothing in Python.
    """

    mean: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(
        self, network: nn.Module, normalisation: Normalisation, calibration: Calibration
    ) -> None:
        super().__init__()
        self.network = network
        self._flip = normalisation.order == "rgb"
        self._sharpness = calibration.scale
        mean, std = torch.tensor(normalisation.mean), torch.tensor(normalisation.std)
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", (1 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("bias", torch.tensor(calibration.bias or (0.0,)), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Probabilities ``(N, classes)``."""
        return torch.softmax(self.logits(pixels) * self._sharpness + self.bias, dim=1)

    def logits(self, pixels: Tensor) -> Tensor:
        """Logits before calibration, for training and for calibrating."""
        logits: Tensor = self.network(self.standardised(pixels))
        return logits

    def standardised(self, pixels: Tensor) -> Tensor:
        """What the network takes, ``float (N, 3, S, S)``."""
        x = pixels.permute(0, 3, 1, 2)
        if self._flip:
            x = x.flip(1)
        x = x.to(self.mean.dtype) * (1 / 255)
        return (x - self.mean) * self.scale


PLAIN = Normalisation()
CENTRED = Normalisation(mean=(0.45, 0.45, 0.45), std=(0.25, 0.25, 0.25))
REPORT = Normalisation(order="rgb")
IMAGENET = Normalisation(order="rgb", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

LEVELS = Normalisation(order="rgb", std=(1 / 255, 1 / 255, 1 / 255))
"""Levels from 0 to 255, as the face detector takes them."""


@dataclass(frozen=True, slots=True)
class Definition:
    """How a network is made, and for which input.

    Attributes:
        make: from the number of classes.
        size_px: side of its crops.
        normalisation: of its pixels.
    """

    make: Callable[[int], nn.Module]
    size_px: int
    normalisation: Normalisation = PLAIN


def _mobilenet(classes: int) -> nn.Module:
    """MobileNetV3-small with a new last layer, as in section 3.3.2 of the report."""
    from torchvision.models import mobilenet_v3_small  # noqa: PLC0415 (only training needs it)

    network: Any = mobilenet_v3_small(weights=None)
    network.classifier[-1] = nn.Linear(1024, classes)
    return cast("nn.Module", network)


NETWORKS: dict[str, Definition] = {
    "residual-16": Definition(
        lambda classes: ResidualNet((16, 32, 64, 128), (1, 1, 1, 1), classes), 56, CENTRED
    ),
    "face-56": Definition(
        lambda classes: FaceNet(CENTER_POINT, classes, 56, looked_at=(1, 2), hidden=128),
        56,
        LEVELS,
    ),
    "face-64": Definition(
        lambda classes: FaceNet(CENTER_POINT_SLIM, classes, 64, looked_at=(1, 3, 5), hidden=192),
        64,
        LEVELS,
    ),
    "report-cnn-2": Definition(lambda classes: ReportNet((4, 8), classes), 224, REPORT),
    "report-cnn-3": Definition(lambda classes: ReportNet((4, 8, 16), classes), 224, REPORT),
    "mobilenet-v3-small": Definition(_mobilenet, 224, IMAGENET),
}
"""Every network by its name in manifests and on the command line."""


def definition(name: str) -> Definition:
    """The network of that name.

    Raises:
        ModelError: there is none.
    """
    try:
        return NETWORKS[name]
    except KeyError:
        raise ModelError(
            f"there is no network {name!r}; take one of {', '.join(NETWORKS)}"
        ) from None
