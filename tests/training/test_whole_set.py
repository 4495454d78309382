"""A step over the whole set at once: the same as torch's own, in little memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training import whole_set
from training.faces import Faces
from training.fit import Trainer
from training.recipe import Recipe
from training.runs import RunFolder
from training.whole_set import whole_set_logits
from worker.inference.artifact import Calibration
from worker.inference.network import REPORT, Probabilities, ReportNet

SIZE_PX = 32


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(whole_set, "CHUNK", 8)


def _model() -> Probabilities:
    """In double precision, so that torch's own rounding stays out of sight."""
    torch.manual_seed(0)
    model = Probabilities(ReportNet((4, 8, 16), 2, SIZE_PX), REPORT, Calibration()).double().train()
    with torch.no_grad():
        for _, normalisation in model.network.layers():  # type: ignore[operator]
            normalisation.weight[:2] = torch.tensor([1.4, -0.7])
    return model


def _set() -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (21, SIZE_PX, SIZE_PX, 3), generator=made, dtype=torch.uint8)
    return pixels, torch.arange(21) % 2


def _three_steps(model: Probabilities, logits: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    pixels, labels = _set()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.07)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits(pixels), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return dict(model.state_dict())


def test_three_steps_come_to_the_weights_of_torch() -> None:
    """Weights, running statistics and counts agree, whatever the sign of a normalisation."""
    plain = _model()
    lean = copy.deepcopy(plain)
    wanted = _three_steps(plain, plain.logits)
    found = _three_steps(lean, lambda pixels: whole_set_logits(lean, pixels))
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-6)


def test_only_pooled_outputs_are_kept() -> None:
    """What waits for the step back is at most half of what the layer computed."""
    model = _model()
    kept: list[Tensor] = []

    def noted(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(noted, lambda tensor: tensor):
        whole_set_logits(model, _set()[0])
    full = 21 * 4 * SIZE_PX * SIZE_PX
    assert max(tensor.numel() for tensor in kept if tensor.is_floating_point()) <= full / 2


def test_a_recipe_of_whole_sets_takes_it(
    tiny: Recipe, faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report's networks in one step of everything go this way, and no other run does."""
    called: list[int] = []

    def noted(model: Probabilities, pixels: Tensor) -> Tensor:
        called.append(len(pixels))
        return model.logits(pixels)

    monkeypatch.setattr("training.fit.whole_set_logits", noted)
    plain = {"network": "report-cnn-2", "classes": 2, "augmentation": None, "epochs": 1}
    some = faces.of_classes(2).chosen(range(6))
    for batch_size in (0, 3):
        recipe = tiny.model_copy(update={**plain, "batch_size": batch_size})
        folder = tmp_path / str(batch_size)
        folder.mkdir()
        Trainer(recipe, some, some, RunFolder(folder), "cpu").run(lambda _epoch: None)
    assert called == [6]
