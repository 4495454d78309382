"""Training: resumable to the same weights, and honest about what cannot be trained."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training import fit as fitting
from training.evaluate import parts_of
from training.faces import Faces
from training.fit import Trainer
from training.recipe import Recipe
from training.runs import Epoch, RunFolder, load_run, start_run
from training.teachers import Teachers
from worker.errors import ConfigError, WorkError
from worker.models import default_classifier


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _trainer(recipe: Recipe, prepared: Path, out: Path, *, resume: bool = False) -> Trainer:
    parts = parts_of(recipe, [prepared])
    folder = start_run(out, recipe, [prepared], resume=resume)
    return Trainer(recipe, parts.train, parts.validation, folder, "cpu")


class _Killed(Exception):
    """Stands for a signal in the middle of a run."""


def _kill_after(epoch: int) -> object:
    def told(done: Epoch) -> None:
        if done.number == epoch:
            raise _Killed

    return told


def _demand_same_weights(one: Path, other: Path) -> None:
    whole, killed = load_run(one).weights(), load_run(other).weights()
    assert all(torch.equal(value, killed[name]) for name, value in whole.items())


def _demand_same_after_a_kill(recipe: Recipe, prepared: Path, folder: Path, after: int) -> None:
    _trainer(recipe, prepared, folder / "whole").run(lambda _epoch: None)
    with pytest.raises(_Killed):
        _trainer(recipe, prepared, folder / "killed").run(_kill_after(after))  # type: ignore[arg-type]
    _trainer(recipe, prepared, folder / "killed", resume=True).run(lambda _epoch: None)
    _demand_same_weights(folder / "whole", folder / "killed")


def test_a_killed_run_resumes_to_the_same_weights(
    tiny: Recipe, prepared: Path, tmp_path: Path
) -> None:
    """Weights, optimiser, averages and order go on as if nothing had happened."""
    _demand_same_after_a_kill(tiny, prepared, tmp_path, 2)


def test_a_kill_within_an_epoch_repeats_that_epoch(
    tiny: Recipe, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not checkpointed is done again, to the same result."""
    _trainer(tiny, prepared, tmp_path / "whole").run(lambda _epoch: None)
    steps = 0
    step = Trainer._step

    def dying(self: Trainer, batch: object, opinion: object) -> float:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise _Killed
        return step(self, batch, opinion)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", dying)
        with pytest.raises(_Killed):
            _trainer(tiny, prepared, tmp_path / "killed").run(lambda _epoch: None)
    _trainer(tiny, prepared, tmp_path / "killed", resume=True).run(lambda _epoch: None)
    _demand_same_weights(tmp_path / "whole", tmp_path / "killed")


def test_training_learns(tiny: Recipe, prepared: Path, tmp_path: Path) -> None:
    """The loss of generated faces falls."""
    epochs: list[Epoch] = []
    longer = tiny.model_copy(update={"epochs": 6})
    _trainer(longer, prepared, tmp_path / "run").run(epochs.append)
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4, 5, 6]


def test_a_loss_that_is_no_number_stops(
    tiny: Recipe, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says where, and the last good checkpoint is kept."""
    trainer = _trainer(tiny, prepared, tmp_path / "run")
    step = Trainer._step
    monkeypatch.setattr(
        Trainer,
        "_step",
        lambda self, *given: step(self, *given) if self.epochs_done < 1 else float("nan"),
    )
    with pytest.raises(WorkError, match=r"loss is nan in epoch 2, step 1.*epoch 1 is kept"):
        trainer.run(lambda _epoch: None)
    assert _trainer(tiny, prepared, tmp_path / "run", resume=True).epochs_done == 1


def test_a_class_without_example_is_refused(tiny: Recipe, faces: Faces, tmp_path: Path) -> None:
    """The sentence names the class."""
    some = faces.of_classes(2)
    with pytest.raises(ConfigError, match="no example of mask_worn_incorrectly"):
        Trainer(tiny, some, some, RunFolder(tmp_path), "cpu")


def test_a_run_folder_that_exists_is_refused(tiny: Recipe, prepared: Path, tmp_path: Path) -> None:
    """Neither resumed nor thrown away unasked."""
    start_run(tmp_path / "run", tiny, [prepared], resume=False)
    with pytest.raises(ConfigError, match=r"exists; go on with it by --resume"):
        start_run(tmp_path / "run", tiny, [prepared], resume=False)


def test_another_recipe_cannot_resume(tiny: Recipe, prepared: Path, tmp_path: Path) -> None:
    """What was begun one way does not go on another way."""
    start_run(tmp_path / "run", tiny, [prepared], resume=False)
    other = tiny.model_copy(update={"learning_rate": 0.5})
    with pytest.raises(ConfigError, match="another recipe"):
        start_run(tmp_path / "run", other, [prepared], resume=True)


def test_a_checkpoint_of_another_network_is_refused(
    tiny: Recipe, prepared: Path, tmp_path: Path
) -> None:
    """The sentence names both networks."""
    _trainer(tiny, prepared, tmp_path / "run").run(lambda _epoch: None)
    other = tiny.model_copy(update={"network": "face-56"})
    parts = parts_of(other, [prepared])
    with pytest.raises(ConfigError, match="checkpoint of residual-16, not of face-56"):
        Trainer(other, parts.train, parts.validation, RunFolder(tmp_path / "run"), "cpu")


def test_a_full_disk_keeps_the_former_checkpoint(
    tiny: Recipe, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint is whole or the one before."""
    trainer = _trainer(tiny, prepared, tmp_path / "run")

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(_Killed):
        trainer.run(_kill_after(1))  # type: ignore[arg-type]
    monkeypatch.setattr("training.checkpoint.save_file", full)
    with pytest.raises(WorkError, match="the former one is kept"):
        trainer.run(lambda _epoch: None)
    monkeypatch.undo()
    assert _trainer(tiny, prepared, tmp_path / "run", resume=True).epochs_done == 1


def test_a_student_learns_from_its_teachers(
    tiny: Recipe, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes nearer to what they say, each looking at its own size, and each crop once."""
    _trainer(tiny, prepared, tmp_path / "alike").run(lambda _epoch: None)
    larger = tiny.model_copy(update={"network": "face-64", "epochs": 1})
    _trainer(larger, prepared, tmp_path / "larger").run(lambda _epoch: None)
    taught = tiny.model_copy(
        update={
            "teachers": (tmp_path / "alike", tmp_path / "larger"),
            "epochs": 6,
            "looks": 2,
            "distil": 1.0,
        }
    )
    asked: list[tuple[int, ...]] = []
    opinion = Teachers._opinion

    def noted(self: Teachers, crops: list[np.ndarray]) -> torch.Tensor:
        asked.append(tuple(some.shape[1] for some in crops))
        return opinion(self, crops)

    monkeypatch.setattr(Teachers, "_opinion", noted)
    epochs: list[Epoch] = []
    trainer = _trainer(taught, prepared, tmp_path / "student")
    trainer.run(epochs.append)
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert set(asked) == {(56, 64)}
    assert len(asked) == 2 * trainer._batches.steps


def test_a_taught_run_resumes_to_the_same_weights(
    tiny: Recipe, prepared: Path, tmp_path: Path
) -> None:
    """What the teachers said is asked again, and is the same."""
    _trainer(tiny, prepared, tmp_path / "teacher").run(lambda _epoch: None)
    taught = tiny.model_copy(update={"teachers": (tmp_path / "teacher",), "looks": 2, "epochs": 5})
    _demand_same_after_a_kill(taught, prepared, tmp_path, 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fold": 1}, "has seen some that judge it"),
        ({"split": "face"}, "nobody can say which faces"),
        ({"classes": 2}, "knows 3 classes, this run 2"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(
    tiny: Recipe, prepared: Path, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    """Above all one that was trained on what judges its student."""
    start_run(tmp_path / "teacher", tiny, [prepared], resume=False)
    student = tiny.model_copy(update={"teachers": (tmp_path / "teacher",), **changes})
    with pytest.raises(ConfigError, match=told):
        _trainer(student, prepared, tmp_path / "student")


def test_a_body_may_learn_slower_than_its_head(
    tiny: Recipe, prepared: Path, tmp_path: Path
) -> None:
    """With a small share of the rate the body moves, but less."""
    moved = []
    for share in (1.0, 0.01):
        recipe = tiny.model_copy(update={"body_rate": share, "epochs": 1, "ema": 0.0})
        torch.manual_seed(recipe.seed)
        before = fitting.new_model(recipe).network.state_dict()["stem.0.weight"]
        out = tmp_path / str(share)
        _trainer(recipe, prepared, out).run(lambda _epoch: None)
        moved.append(float((load_run(out).weights()["stem.0.weight"] - before).abs().mean()))
    assert 0 < moved[1] < 0.1 * moved[0]


def test_a_frozen_body_does_not_change(tiny: Recipe, prepared: Path, tmp_path: Path) -> None:
    """Only the last layer is trained."""
    frozen = tiny.model_copy(update={"freeze_body": True, "epochs": 1, "ema": 0.0})
    torch.manual_seed(frozen.seed)
    before = fitting.new_model(frozen).network.state_dict()
    _trainer(frozen, prepared, tmp_path / "run").run(lambda _epoch: None)
    after = load_run(tmp_path / "run").weights()
    assert torch.equal(before["stem.0.weight"], after["stem.0.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_a_frozen_body_is_asked_once(
    tiny: Recipe, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without augmentation its features are computed before the first epoch, and never again."""
    frozen = tiny.model_copy(
        update={"freeze_body": True, "augmentation": None, "ema": 0.0, "epochs": 3}
    )
    trainer = _trainer(frozen, prepared, tmp_path / "run")
    monkeypatch.setattr(trainer._model, "logits", None)
    monkeypatch.setattr(trainer, "_validate", lambda: (0.0, 0.0))
    epochs: list[Epoch] = []
    trainer.run(epochs.append)
    assert epochs[-1].train_loss < epochs[0].train_loss


def test_a_frozen_body_keeps_its_statistics(tiny: Recipe, prepared: Path, tmp_path: Path) -> None:
    """Running means belong to the weights that made them."""
    frozen = tiny.model_copy(update={"freeze_body": True, "epochs": 1, "ema": 0.0})
    _trainer(frozen, prepared, tmp_path / "run").run(lambda _epoch: None)
    assert not load_run(tmp_path / "run").weights()["stem.1.running_mean"].any()


def test_a_classifier_starts_from_a_shipped_model(tiny: Recipe) -> None:
    """The name of the face detector stands for its weights; the last layer is new."""
    recipe = tiny.model_copy(update={"network": "face-56", "start_from": Path("face-detector")})
    detector = load_file(default_classifier().parent / "face-detector" / "weights.safetensors")
    network = fitting.new_model(recipe).network.state_dict()
    own = {name for name in network if not name.startswith("head.")}
    assert own <= set(detector)
    assert all(torch.equal(network[name], detector[name]) for name in own)


def test_early_stop_ends_a_run(
    tiny: Recipe, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many epochs without a better validation loss it is over."""
    monkeypatch.setattr(fitting.Trainer, "_validate", lambda _self: (1.0, 0.5))
    stubborn = tiny.model_copy(update={"epochs": 20, "patience": 2})
    trainer = _trainer(stubborn, prepared, tmp_path / "run")
    trainer.run(lambda _epoch: None)
    assert trainer.epochs_done == 3


def test_a_validation_loss_that_is_no_number_stops(
    tiny: Recipe, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its checkpoint takes the place of a good one; with no validation part it is none."""
    trainer = _trainer(tiny, prepared, tmp_path / "run")
    monkeypatch.setattr(trainer, "_validate", lambda: (math.nan, 0.5))
    with pytest.raises(WorkError, match=r"the loss is nan on validation in epoch 1; .*new run"):
        trainer.run(lambda _epoch: None)
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()
