"""From weights to what the worker runs: an ONNX graph, and the artifact around it."""

from __future__ import annotations

import io
import warnings

import onnx
import torch
from torch import Tensor, nn

from training.detector.network import CenterPoint
from worker.faces.heatmap import NETWORK, HeatmapDetector

OPSET = 17
SMALLEST_PX = 12.0
"""Size from which the network finds faces well: the frame is scaled to it."""

TOLERANCE = 1e-4


class _FromPixels(nn.Module):
    """Pixels in, maps out. The order of colours is turned in the weights, where it is free."""

    def __init__(self, network: CenterPoint) -> None:
        super().__init__()
        self.network = CenterPoint()
        self.network.load_state_dict(network.state_dict())
        first = self.network.first
        with torch.no_grad():
            first.weight.copy_(first.weight.flip(1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.network(pixels.permute(0, 3, 1, 2).float())
        return torch.sigmoid(maps.heat), maps.size, maps.offset


def to_onnx(network: CenterPoint) -> onnx.ModelProto:
    """The network as ``HeatmapDetector`` runs it: ``uint8 (N, H, W, 3) BGR`` to three maps."""
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
    network: CenterPoint, min_face_px: int, threshold: float = 0.35, name: str = NETWORK
) -> HeatmapDetector:
    """The network, wherever its training stands, as the worker would run it."""
    return HeatmapDetector(
        name,
        to_onnx(network),
        threshold=threshold,
        smallest_px=SMALLEST_PX,
        min_face_px=min_face_px,
    )
