"""The detector's networks: a heat map of face centres at stride 4, with a box for each point.

The layers are those of CenterFace (Xu et al. 2019, arXiv:1911.03599): a MobileNetV2 and a
pyramid that climbs back to stride 4. Its published ONNX file has the batch norms folded into
the convolutions, and so have these networks: there is no state but weights and biases,
training and inference compute the same, and batches may be as small as memory wants.

The slim network has the same features at every stage, but looks at fewer of them inside a
block. So it can be made from the full one, and compared with it stage by stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from worker.inference.artifact import CENTER_POINT, CENTER_POINT_SLIM

NECK = 24
"""Channels of the pyramid."""

STEM = 16
"""Channels after the stem, at stride 2."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks that share a width.

    Attributes:
        channels: what each block gives.
        hidden: channels inside each block, one number a block.
        stride: of the first block.
    """

    channels: int
    hidden: tuple[int, ...]
    stride: int


@dataclass(frozen=True, slots=True)
class Shape:
    """How wide a network is.

    Attributes:
        stem: channels of the first convolution.
        stages: after the stem.
    """

    stem: int
    stages: tuple[Stage, ...]


SHAPES: dict[str, Shape] = {
    CENTER_POINT: Shape(
        32,
        (
            Stage(24, (96, 144), 2),
            Stage(32, (144, 192, 192), 2),
            Stage(64, (192, 384, 384, 384), 2),
            Stage(96, (384, 576, 576), 1),
            Stage(160, (576, 960, 960), 2),
            Stage(320, (960,), 1),
        ),
    ),
    # Deep stages hold most of the multiplications and matter to large faces alone; what the
    # early ones lose is lost to all.
    CENTER_POINT_SLIM: Shape(
        24,
        (
            Stage(24, (56, 96), 2),
            Stage(32, (96, 128, 128), 2),
            Stage(64, (96, 192, 192, 192), 2),
            Stage(96, (96, 144, 144), 1),
            Stage(160, (144, 240, 240), 2),
            Stage(320, (240,), 1),
        ),
    ),
}
"""Every network by the name that a recipe and a manifest give it."""


class Maps(NamedTuple):
    """What the network says of each point of its grid.

    Attributes:
        heat: ``(N, 1, h, w)`` logits of a face's centre.
        size: ``(N, 2, h, w)`` log of height and width, in strides.
        offset: ``(N, 2, h, w)`` from the point to the box's centre, rows then columns, in strides.
    """

    heat: Tensor
    size: Tensor
    offset: Tensor


class Features(NamedTuple):
    """What the network sees on the way to its maps, the same in every shape.

    Attributes:
        levels: after each stage, ``(N, C, h, w)``.
        pyramid: ``(N, NECK, h, w)`` at stride 4, from which the maps are read.
    """

    levels: list[Tensor]
    pyramid: Tensor


class Block(nn.Module):
    """An inverted residual: widen, look around, narrow; added to its input where that fits."""

    def __init__(
        self, channels_in: int, hidden: int, channels_out: int, stride: int, *, widens: bool = True
    ) -> None:
        super().__init__()
        widen = [nn.Conv2d(channels_in, hidden, 1), nn.ReLU(inplace=True)] if widens else []
        self.layers = nn.Sequential(
            *widen,
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels_out, 1),
        )
        self.residual = widens and stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, h, w)`` in, the block's channels out."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class CenterPoint(nn.Module):
    """The network. Input ``float32 (N, 3, H, W) RGB``, 0 to 255, sides multiples of 32.

    Args:
        name: a key of ``SHAPES``.
    """

    def __init__(self, name: str = CENTER_POINT) -> None:
        super().__init__()
        self.name, shape = name, SHAPES[name]
        self.stem = nn.Sequential(
            nn.Conv2d(3, shape.stem, 3, 2, 1),
            nn.ReLU(inplace=True),
            Block(shape.stem, shape.stem, STEM, 1, widens=False),
        )
        stages: list[nn.Module] = []
        channels = STEM
        for stage in shape.stages:
            blocks = []
            for number, hidden in enumerate(stage.hidden):
                stride = 1 if number else stage.stride
                blocks.append(Block(channels, hidden, stage.channels, stride))
                channels = stage.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        widths = [shape.stages[level].channels for level in _PYRAMID]
        self.laterals = nn.ModuleList(nn.Conv2d(width, NECK, 1) for width in widths)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(NECK, NECK, 2, 2) for _ in range(3))
        self.mix = nn.Conv2d(NECK, NECK, 3, padding=1)
        self.heat = nn.Conv2d(NECK, 1, 1)
        self.size = nn.Conv2d(NECK, 2, 1)
        self.offset = nn.Conv2d(NECK, 2, 1)

    def forward(self, x: Tensor) -> Maps:
        """See the class; the maps have a quarter of the input's height and width."""
        return self.read(self.look(x).pyramid)

    def look(self, x: Tensor) -> Features:
        """Everything but the maps."""
        x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        y = torch.relu(self.laterals[0](levels[_PYRAMID[0]]))
        for up, lateral, level in zip(self.ups, list(self.laterals)[1:], _PYRAMID[1:], strict=True):
            y = torch.relu(up(y)) + torch.relu(lateral(levels[level]))
        return Features(levels, torch.relu(self.mix(y)))

    def read(self, pyramid: Tensor) -> Maps:
        """The maps of what was seen."""
        return Maps(self.heat(pyramid), self.size(pyramid), self.offset(pyramid))

    @property
    def first(self) -> nn.Conv2d:
        """The convolution that sees the pixels."""
        return cast("nn.Conv2d", self.stem[0])

    def freeze(self, stages: int) -> None:
        """Keep the stem and the first ``stages`` stages as they are; 0 freezes nothing."""
        for module in [self.stem, *list(self.stages)[:stages]] if stages else []:
            module.requires_grad_(False)


_PYRAMID = (5, 3, 1, 0)
"""Stages at strides 32, 16, 8 and 4; those before a change of stride add nothing of their own."""
