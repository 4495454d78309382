"""From weights to what the worker runs: an ONNX graph, and the artifact around it."""

from __future__ import annotations

import io
import warnings
from copy import deepcopy
from typing import cast

import onnx
import torch
from torch import Tensor, nn

from worker.faces.heatmap import HeatmapDetector
from worker.faces.maps import OnnxMaps
from worker.inference.center_point import CenterPoint

OPSET = 17
SMALLEST_PX = 12.0
"""Size to which the smallest face wanted is scaled, unless another was measured to be enough."""

TOLERANCE = 1e-4


class _FromPixels(nn.Module):
    """Pixels in, maps out; computes what the network does, with fewer convolutions.

    The order of colours is turned in the first convolution's weights. Two 1x1 convolutions
    with nothing between them become one where that is cheaper, and so do the three heads.
    """

    def __init__(self, network: CenterPoint) -> None:
        super().__init__()
        self.network = deepcopy(network)
        with torch.no_grad():
            first = self.network.first
            first.weight.copy_(first.weight.flip(1))
            stem, begin = (
                cast("nn.Sequential", part.get_submodule("layers"))
                for part in (self.network.stem[2], self.network.stages[0].get_submodule("0"))
            )
            stem[2], begin[0] = _joined(stem[2], begin[0])
            end = cast("nn.Sequential", self.network.stages[-1].get_submodule("0.layers"))
            end[4], self.network.laterals[0] = _joined(end[4], self.network.laterals[0])
            self.heads = _beside(self.network.heat, self.network.size, self.network.offset)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pyramid = self.network.look(pixels.permute(0, 3, 1, 2).float()).pyramid
        maps = self.heads(pyramid)
        return torch.sigmoid(maps[:, :1]), maps[:, 1:3], maps[:, 3:]


def _joined(first: nn.Module, second: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Two 1x1 convolutions as one and nothing, or as they are where one would cost more."""
    one, two = cast("nn.Conv2d", first), cast("nn.Conv2d", second)
    channels_in, between, channels_out = one.in_channels, one.out_channels, two.out_channels
    if channels_in * channels_out > between * (channels_in + channels_out):
        return first, second
    joined = nn.Conv2d(channels_in, channels_out, 1)
    outer = two.weight.flatten(1)
    joined.weight.copy_((outer @ one.weight.flatten(1))[..., None, None])
    cast("Tensor", joined.bias).copy_(outer @ cast("Tensor", one.bias) + cast("Tensor", two.bias))
    return joined, nn.Identity()


def _beside(*heads: nn.Conv2d) -> nn.Conv2d:
    """Several 1x1 convolutions of the same input as one, their outputs in order."""
    whole = nn.Conv2d(heads[0].in_channels, sum(head.out_channels for head in heads), 1)
    whole.weight.copy_(torch.cat([head.weight for head in heads]))
    cast("Tensor", whole.bias).copy_(torch.cat([cast("Tensor", head.bias) for head in heads]))
    return whole


def to_onnx(network: CenterPoint) -> onnx.ModelProto:
    """The network as ``OnnxMaps`` runs it: ``uint8 (N, H, W, 3) BGR`` to three maps."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter warns of its own successor, which needs a package more and folds less.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _FromPixels(network).eval(),
            (torch.zeros((1, 64, 96, 3), dtype=torch.uint8),),
            stream,  # type: ignore[arg-type]  # a file works, the stub knows only names
            input_names=["pixels"],
            output_names=["heat", "size", "offset"],
            dynamic_axes={
                "pixels": {0: "n", 1: "height", 2: "width"},
                **{name: {0: "n", 2: "rows", 3: "columns"} for name in ("heat", "size", "offset")},
            },
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(stream.getvalue())
    onnx.checker.check_model(model)
    return model


def as_detector(
    network: CenterPoint,
    min_face_px: int,
    threshold: float = 0.35,
    smallest_px: float = SMALLEST_PX,
) -> HeatmapDetector:
    """The network, wherever its training stands, as the worker would run it."""
    return HeatmapDetector(
        network.name,
        OnnxMaps(to_onnx(network)),
        threshold=threshold,
        smallest_px=smallest_px,
        min_face_px=min_face_px,
    )
