"""The detector's network against the file that its weights come from, and its export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.detector.centerface import centerface_path, load_centerface
from training.detector.export import as_detector, to_onnx
from training.detector.fit import as_batch, read_network
from worker.errors import ConfigError, ModelError
from worker.faces.heatmap import open_centerface
from worker.faces.maps import OnnxMaps
from worker.inference.center_point import SHAPES, CenterPoint


@pytest.fixture(scope="module")
def network() -> CenterPoint:
    return read_network(centerface_path())


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def test_loaded_weights_compute_what_the_file_computes(
    network: CenterPoint, portrait: np.ndarray
) -> None:
    """Torch with CenterFace's weights, exported again, finds what CenterFace finds."""
    ours, theirs = as_detector(network, 24), open_centerface(24)
    (one,), (two,) = ours.detect(portrait, 0.3), theirs.detect(portrait, 0.3)
    assert one.box == pytest.approx(two.box, abs=0.01)
    assert one.score == pytest.approx(two.score, abs=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_export_computes_what_training_measured(name: str) -> None:
    """The graph on BGR pixels, with its layers joined, equals the network on its batch."""
    torch.manual_seed(0)
    network = CenterPoint(name)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    with torch.inference_mode():
        heat, *boxes = network(as_batch([pixels]))
    found = OnnxMaps(to_onnx(network)).run(pixels)
    for one, two in zip(
        found, [torch.sigmoid(heat)[0, 0], *(box[0] for box in boxes)], strict=True
    ):
        np.testing.assert_allclose(one, two.numpy(), atol=1e-4)


def test_frozen_stages_keep_their_weights(network: CenterPoint) -> None:
    """What is frozen takes no gradient; the heads always do."""
    other = CenterPoint()
    other.freeze(2)
    assert not any(p.requires_grad for p in other.stages[1].parameters())
    assert all(p.requires_grad for p in other.stages[2].parameters())
    assert all(p.requires_grad for p in other.heat.parameters())


def test_file_of_another_network_is_refused(tmp_path: Path) -> None:
    """A file that is no network, or another one, is a sentence."""
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="does not hold the network CenterFace"):
        load_centerface(CenterPoint(), tmp_path / "x.onnx")
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="holds no weights that can be read"):
        read_network(tmp_path / "x.safetensors")
