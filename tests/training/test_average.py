"""Several runs to one model: the mean of their weights, and what has none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from training.average import average
from training.evaluate import parts_of
from training.fit import Trainer
from training.recipe import Recipe
from training.runs import Run, load_run, start_run
from worker.errors import ConfigError


def trained(prepared: Path, out: Path, recipe: Recipe, **changes: object) -> Run:
    """A run of one step."""
    values = {"network": "face-56", "epochs": 1, "batch_size": 16, "faces_per_epoch": 16}
    recipe = recipe.model_copy(update={**values, **changes})
    folder = start_run(out, recipe, [prepared], resume=False)
    parts = parts_of(recipe, [prepared])
    Trainer(recipe, parts.train, parts.validation, folder, "cpu").run(lambda _: None)
    return load_run(out)


def test_the_weights_are_the_mean_and_the_recipe_names_the_seeds(
    prepared: Path, tmp_path: Path, tiny: Recipe
) -> None:
    """One seed decides the beginning, which they share, the other one chance."""
    one = trained(prepared, tmp_path / "1", tiny, seed=7)
    two = trained(prepared, tmp_path / "2", tiny, seed=8, start_seed=7)
    mean = average([one, two], tmp_path / "mean")
    for name, weight in mean.weights().items():
        both = (one.weights()[name], two.weights()[name])
        expected = both[0] if name.endswith("num_batches_tracked") else (both[0] + both[1]) / 2
        torch.testing.assert_close(weight, expected)
    assert any(not torch.equal(one.weights()[n], two.weights()[n]) for n in one.weights())
    assert (mean.recipe.seed, mean.recipe.averaged_seeds) == (7, (7, 8))
    with pytest.raises(ConfigError, match="exists"):
        average([one, two], tmp_path / "mean")
    assert average([two, one], tmp_path / "mean", overwrite=True).recipe.averaged_seeds == (8, 7)
    with pytest.raises(ConfigError, match="is one of the runs"):
        average([one, two], tmp_path / "1", overwrite=True)
    assert load_run(tmp_path / "1").weights()


def test_runs_that_do_not_belong_together_have_no_mean(
    prepared: Path, tmp_path: Path, tiny: Recipe
) -> None:
    """Each reason is a sentence, and nothing is written."""
    one = trained(prepared, tmp_path / "1", tiny, seed=7)
    refused = {
        "two runs or more": [one],
        "began with different weights": [one, trained(prepared, tmp_path / "2", tiny, seed=8)],
        "have the same seed": [one, one],
        "more than their seed": [
            one,
            trained(prepared, tmp_path / "3", tiny, seed=8, start_seed=7, label_smoothing=0.1),
        ],
    }
    for sentence, runs in refused.items():
        with pytest.raises(ConfigError, match=sentence):
            average(runs, tmp_path / "mean")
    other = dataclasses.replace(
        one, recipe=one.recipe.model_copy(update={"seed": 9, "start_seed": 7})
    )
    with pytest.raises(ConfigError, match="on the same data"):
        average([one, dataclasses.replace(other, digests=("0" * 64,))], tmp_path / "mean")
    by_face = [
        dataclasses.replace(run, recipe=run.recipe.model_copy(update={"split": "face"}))
        for run in (one, other)
    ]
    with pytest.raises(ConfigError, match="has seen what would judge it"):
        average(by_face, tmp_path / "mean")
    one.folder.write_weights({"other": torch.zeros(1)})
    narrow = dataclasses.replace(other, folder=refused["more than their seed"][1].folder)
    with pytest.raises(ConfigError, match="of different networks"):
        average([one, narrow], tmp_path / "mean")
    one.folder.weights.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        average([one, other], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
