"""Engines: the same probabilities from torch and onnxruntime, the right device, odd artifacts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from worker.errors import ConfigError, ModelError
from worker.inference import engine as engines
from worker.inference.align import CropRule
from worker.inference.artifact import ONNX, WEIGHTS, Artifact, Calibration, Manifest, load, save
from worker.inference.engine import OnnxEngine, TorchEngine, cpu_session, open_engine
from worker.models import default_classifier

torch = pytest.importorskip("torch", reason="pip install maskwatch[cuda]")


def _artifact(folder: Path, network: str, classes: Literal[2, 3]) -> Artifact:
    """An untrained network, exported."""
    from safetensors.torch import save as to_bytes

    from training.export import to_onnx
    from worker.inference.network import Probabilities, definition
    from worker.records import CLASSES

    torch.manual_seed(1)
    made = definition(network)
    net = made.make(classes).eval()
    calibration = Calibration(scale=1.7, bias=(0.3, -0.2, 0.1)[:classes])
    manifest = Manifest.model_validate(
        {
            "schema": "maskwatch.artifact/1",
            "kind": "classifier",
            "name": "untrained",
            "version": "1",
            "network": network,
            "classes": CLASSES[:classes],
            "crop": CropRule(made.size_px, 0.2),
            "normalisation": made.normalisation,
            "calibration": calibration,
        }
    )
    model = Probabilities(net, made.normalisation, calibration)
    files = {ONNX: to_onnx(model, made.size_px), WEIGHTS: to_bytes(net.state_dict())}
    return save(folder, manifest, files)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Three classes, ours."""
    return _artifact(tmp_path_factory.mktemp("models") / "three", "residual-16", 3)


def _crops(count: int, side: int = 56) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 3, 32])
def test_torch_and_onnxruntime_agree(artifact: Artifact, count: int) -> None:
    """A worker on a GPU and one on a CPU say the same, whatever the batch."""
    crops = _crops(count)
    by_torch, by_onnx = TorchEngine(artifact, "cpu").run(crops), OnnxEngine(artifact).run(crops)
    assert by_torch.shape == by_onnx.shape == (count, 3)
    assert np.abs(by_torch - by_onnx).max() < 1e-5
    assert by_onnx.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_the_detectors_layers_agree_too(tmp_path: Path) -> None:
    """A network without normalisation layers, over levels from 0 to 255."""
    artifact = _artifact(tmp_path / "face", "face-56", 3)
    crops = _crops(3)
    by_torch, by_onnx = TorchEngine(artifact, "cpu").run(crops), OnnxEngine(artifact).run(crops)
    assert np.abs(by_torch - by_onnx).max() < 1e-5


def test_red_and_blue_are_exchanged_where_a_network_wants_it(tmp_path: Path) -> None:
    """The report's networks were trained on RGB; workers hand over BGR."""
    artifact = _artifact(tmp_path / "report", "report-cnn-3", 2)
    crops = _crops(2, 224)
    by_torch, by_onnx = TorchEngine(artifact, "cpu").run(crops), OnnxEngine(artifact).run(crops)
    assert np.abs(by_torch - by_onnx).max() < 1e-4
    assert not np.allclose(by_onnx, OnnxEngine(artifact).run(crops[..., ::-1].copy()))


def test_two_classes_fill_three_columns(tmp_path: Path) -> None:
    """The third has no probability."""
    artifact = _artifact(tmp_path / "two", "residual-16", 2)
    for engine in (OnnxEngine(artifact), TorchEngine(artifact, "cpu")):
        shares = engine.run(_crops(4))
        assert shares.shape == (4, 3)
        assert (shares[:, 2] == 0).all()


def test_rows_do_not_depend_on_the_batch(artifact: Artifact) -> None:
    """A face gets the same answer alone and in company, padded or not."""
    crops = _crops(5)
    engine = TorchEngine(artifact, "cpu")
    assert np.allclose(engine.run(crops)[2], engine.run(crops[2:3])[0], atol=1e-6)


def test_auto_takes_the_cpu_without_a_gpu(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not even look for torch."""
    monkeypatch.setattr(engines, "GPU_NODES", ())
    monkeypatch.setattr(engines, "_cuda_fault", lambda: pytest.fail("torch was looked for"))
    assert open_engine(artifact, "auto").device == "cpu"


def test_cuda_that_is_not_there_is_refused(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the key, the reason and the remedy."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r'inference\.device is "cuda".*maskwatch\[cuda\]'):
        open_engine(artifact, "cuda")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """Found when the engine opens, not at the first face."""
    good = _artifact(tmp_path / "good", "residual-16", 3)
    other = _artifact(tmp_path / "other", "residual-16", 2)
    manifest = Manifest.model_validate_json((good.folder / "manifest.json").read_bytes())
    files = {ONNX: good.onnx.read_bytes(), WEIGHTS: other.weights.read_bytes()}
    with pytest.raises(ModelError, match="does not fit the network"):
        TorchEngine(save(tmp_path / "mixed", manifest, files), "cpu")


def test_a_graph_that_is_none_is_refused() -> None:
    """The runtime's own error becomes a sentence."""
    with pytest.raises(ModelError, match="cannot be run by onnxruntime"):
        cpu_session(b"no graph")


def test_a_worker_on_a_cpu_imports_no_torch() -> None:
    """Opening and running the shipped classifier leaves torch alone."""
    code = (
        "import sys, numpy as np\n"
        "from worker.inference.artifact import load\n"
        "from worker.inference.engine import open_engine\n"
        "from worker.models import default_classifier\n"
        "artifact = load(default_classifier(), kind='classifier')\n"
        "side = artifact.rule.size_px\n"
        "open_engine(artifact, 'cpu').run(np.zeros((2, side, side, 3), np.uint8))\n"
        "assert not {'torch', 'safetensors'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_shipped_classifier_agrees_with_its_weights() -> None:
    """The ONNX file and the safetensors file are the same model."""
    artifact = load(default_classifier(), kind="classifier")
    crops = _crops(6, artifact.rule.size_px)
    gap = np.abs(TorchEngine(artifact, "cpu").run(crops) - OnnxEngine(artifact).run(crops)).max()
    assert gap < 1e-4
    assert artifact.test_pictures()
