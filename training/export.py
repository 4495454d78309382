"""From a run to an artifact: weights, ONNX, manifest and card, after it was evaluated."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors.torch import save as to_safetensors

from training.card import card
from training.runs import Run
from worker.errors import WorkError
from worker.inference.artifact import (
    CARD,
    ONNX,
    TEST_PICTURES,
    WEIGHTS,
    Artifact,
    Calibration,
    manifest_of,
    save,
)
from worker.inference.engine import cpu_session
from worker.inference.network import Probabilities, definition

OPSET = 17
TOLERANCE = 1e-4
"""Largest difference between torch and onnxruntime that counts as the same, in probability."""


def export(run: Run, out: Path, *, name: str, version: str) -> Artifact:
    """Write a run's model as an artifact that the worker takes.

    Args:
        run: evaluated before.
        out: the artifact's folder; replaced whole.
        name: of the model, in events and metrics.
        version: of the model.

    Raises:
        ConfigError: the run was not evaluated, or is not finished.
        ModelError: the artifact cannot be written.
        WorkError: onnxruntime does not compute what torch computes.
    """
    evaluation = run.read_evaluation()
    calibration = Calibration.model_validate(evaluation["calibration"])
    model = run.model(calibration)
    manifest = manifest_of(
        {
            "kind": "classifier",
            "name": name,
            "version": version,
            "network": run.recipe.network,
            "classes": run.recipe.class_names,
            "crop": run.recipe.rule,
            "normalisation": definition(run.recipe.network).normalisation,
            "calibration": calibration,
            "threshold": evaluation["threshold"],
            "measured": evaluation["summary"],
        }
    )
    graph = to_onnx(model, run.recipe.rule.size_px)
    first = next(iter(evaluation["test_pictures"].values()))
    files = {
        ONNX: graph,
        WEIGHTS: to_safetensors(run.weights()),
        TEST_PICTURES: "".join(f"{stem}\n" for stem in first).encode(),
        CARD: card(run, manifest, evaluation).encode(),
    }
    _demand_parity(model, graph, run.recipe.rule.size_px)
    return save(out, manifest, files)


def to_onnx(model: Probabilities, size_px: int) -> bytes:
    """A network as ONNX: ``pixels`` as the engine takes them to ``probabilities``."""
    pixels = torch.zeros((2, size_px, size_px, 3), dtype=torch.uint8)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter warns of its own successor, which needs a package more and folds less.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (pixels,),
            stream,  # type: ignore[arg-type]
            input_names=["pixels"],
            output_names=["probabilities"],
            dynamic_axes={"pixels": {0: "n"}, "probabilities": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load_from_string(stream.getvalue())
    onnx.checker.check_model(graph)
    content: bytes = graph.SerializeToString()
    return content


def _demand_parity(model: Probabilities, graph: bytes, size_px: int) -> None:
    pixels: NDArray[np.uint8] = (
        np.random.default_rng(0).integers(0, 256, (5, size_px, size_px, 3)).astype(np.uint8)
    )
    with torch.inference_mode():
        wanted = model(torch.from_numpy(pixels)).numpy()
    (found,) = cpu_session(graph).run(None, {"pixels": pixels})
    gap = float(np.abs(found - wanted).max())
    if not gap <= TOLERANCE:
        raise WorkError(
            f"the exported graph computes something else than the trained network (they differ "
            f"by {gap:.2g}); nothing was written: export it with another version of torch"
        )
