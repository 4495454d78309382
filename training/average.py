"""One model from several runs that began with the same weights: the mean of theirs.

Runs that begin with the same weights, which know something, and differ in chance alone end on the
slopes of one valley; their mean lies nearer to its floor, and costs the worker nothing (Wortsman et
al. 2022, "Model soups", arXiv:2203.05482).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.recipe import Recipe
from training.runs import Run, load_run, start_run
from worker.errors import ConfigError


def average(runs: Sequence[Run], out: Path, *, overwrite: bool = False) -> Run:
    """A run whose weights are the mean of those of others.

    Args:
        runs: finished, of one recipe on the same data, each with a ``seed`` of its own and all
            with one ``start_seed``.
        out: its folder.
        overwrite: throw away what is there.

    Raises:
        ConfigError: the runs do not belong together, or one is not finished.
        WorkError: the folder cannot be written.
    """
    recipe = _common(runs)
    weights = [run.weights() for run in runs]
    shapes = [{name: tensor.shape for name, tensor in some.items()} for some in weights]
    if any(some != shapes[0] for some in shapes):
        raise ConfigError("the weights of these runs are of different networks; fit them again")
    mean = {name: _mean([some[name] for some in weights]) for name in weights[0]}
    if any(run.folder.path.resolve() == out.resolve() for run in runs):
        raise ConfigError(f"--out {out} is one of the runs; name another folder")
    first = runs[0]
    folder = start_run(
        out, recipe, first.data, resume=False, overwrite=overwrite, start=first.start
    )
    folder.write_weights(mean)
    return load_run(out)


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """Of what counts steps, the first: all counted alike."""
    stacked = torch.stack(list(tensors))
    return stacked.mean(0) if stacked.is_floating_point() else stacked[0]


def _beginning(recipe: Recipe) -> int:
    """The seed of the weights before the first step."""
    return recipe.seed if recipe.start_seed is None else recipe.start_seed


def _common(runs: Sequence[Run]) -> Recipe:
    """The recipe of all of them, with their seeds."""
    if len(runs) < 2:
        raise ConfigError("a mean needs two runs or more; name them all")
    recipes = [run.recipe for run in runs]
    seeds = tuple(recipe.seed for recipe in recipes)
    begin = _beginning(recipes[0])
    if any(_beginning(recipe) != begin for recipe in recipes):
        raise ConfigError(
            "these runs began with different weights, whose mean is nothing; fit them with one "
            "--set start_seed"
        )
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"two of these runs have the same seed ({seeds}); give each its own")
    shared = [recipe.model_copy(update={"seed": begin, "start_seed": None}) for recipe in recipes]
    given = {(run.data, run.digests, run.start) for run in runs}
    if any(some != shared[0] for some in shared) or len(given) > 1:
        raise ConfigError(
            "these runs differ in more than their seed; fit them with one recipe, on the same data "
            "and from the same weights"
        )
    if shared[0].split == "face":
        raise ConfigError(
            "a split by face is another one for each seed, so a mean has seen what would judge it; "
            "fit the runs with split=picture"
        )
    if shared[0].averaged_seeds:
        raise ConfigError("a mean of means is no run that fit could make; name the runs themselves")
    return shared[0].model_copy(update={"averaged_seeds": seeds})
