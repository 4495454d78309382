"""The grouped five-fold: every face judged once, by the model that did not see its picture.

A test part holds a dozen faces of the third class; the folds together hold all of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.batches import plain_crops
from training.calibrate import calibrated, probabilities
from training.evaluate import FOLDS, found_by_detector, judge, parts_of
from training.faces import Faces
from training.figures import Judged, figures
from training.fit import logits_of
from training.recipe import Recipe
from training.runs import Run, load_run
from worker.errors import ConfigError
from worker.inference.artifact import Calibration


def pooled(runs: Sequence[Run], repeats: int = 1_000) -> dict[str, Any]:
    """Figures over the held-out parts of five runs.

    The calibration of each fold is fitted on what the others held out of the first source, by the
    annotated boxes; that of a shipped model by the detector's too.

    Args:
        runs: one for each fold, of one recipe.
        repeats: of the bootstrap.

    Raises:
        ConfigError: the runs are not the folds of one recipe.
    """
    _demand_folds(runs)
    rule = runs[0].recipe.rule
    models = [run.model() for run in runs]
    tests = [parts_of(run.recipe, run.data).test for run in runs]
    logits = [
        logits_of(model, plain_crops(test, rule)) for model, test in zip(models, tests, strict=True)
    ]
    calibrations = _fitted_on_others(tests, logits)
    annotated = list(zip(tests, logits, calibrations, strict=True))
    by_detector = [
        (some, logits_of(model, plain_crops(some, rule, detected=True)), calibration)
        for model, test, calibration in zip(models, tests, calibrations, strict=True)
        if len(some := found_by_detector(test))
    ]
    return {
        "folds": FOLDS,
        "epochs": runs[0].recipe.epochs,
        "recipe": _alike(runs[0].recipe),
        "sources": _by_source(annotated, repeats),
        "by_detector": _by_source(by_detector, repeats) if by_detector else {},
    }


def _fitted_on_others(tests: Sequence[Faces], logits: Sequence[Tensor]) -> list[Calibration]:
    """A calibration for each fold, from what the others held out of the first source."""
    first = tests[0][0].source
    own = [torch.tensor([face.source == first for face in test]) for test in tests]
    labels = [torch.from_numpy(test.labels) for test in tests]
    calibrations = []
    for held in range(FOLDS):
        others = [fold for fold in range(FOLDS) if fold != held]
        calibrations.append(
            calibrated(
                torch.cat([logits[fold][own[fold]] for fold in others]),
                torch.cat([labels[fold][own[fold]] for fold in others]),
            )
        )
    return calibrations


def _by_source(folds: Sequence[tuple[Faces, Tensor, Calibration]], repeats: int) -> dict[str, Any]:
    """The figures of each source, over all folds."""
    judged = [judge(faces, probabilities(said, how)) for faces, said, how in folds]
    whole = Judged(
        np.concatenate([some.labels for some in judged]),
        np.concatenate([some.shares for some in judged]),
        [picture for some in judged for picture in some.pictures],
        np.concatenate([some.sizes_px for some in judged]),
    )
    sources = np.array([face.source for faces, _, _ in folds for face in faces])
    return {
        source: figures(whole.where(sources == source), repeats=repeats)
        for source in dict.fromkeys(sources.tolist())
    }


def read_pooled(path: Path, recipe: Recipe) -> dict[str, Any]:
    """Figures that ``pooled`` gave, for the card of a model of the same recipe.

    Args:
        path: the JSON file.
        recipe: of the model; its epochs and its fold may differ.

    Raises:
        ConfigError: the file holds something else, or figures of another recipe.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        made_by, _, _ = document["recipe"], document["epochs"], document["sources"]
        made_by = _alike(Recipe.model_validate(made_by))  # keys that came later have defaults
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} holds no figures of folds ({error}); run maskwatch-train evaluate on the five "
            "folds first"
        ) from None
    if made_by != _alike(recipe):
        raise ConfigError(
            f"{path} is of folds of another recipe than this run's; evaluate folds of its recipe"
        )
    return document


def _alike(recipe: Recipe) -> dict[str, Any]:
    """What the folds and the model that they stand for have in common."""
    return recipe.model_dump(mode="json", exclude={"fold", "epochs", "teachers"})


def _demand_folds(runs: Sequence[Run]) -> None:
    folds = [run.recipe.fold for run in runs]
    if sorted(fold for fold in folds if fold is not None) != list(range(FOLDS)):
        raise ConfigError(f"these runs hold out the folds {folds}; name one run for each of five")
    recipes = [_without_fold(run.recipe) for run in runs]
    given = {(run.data, run.digests, run.start) for run in runs}
    if any(recipe != recipes[0] for recipe in recipes) or len(given) > 1:
        raise ConfigError(
            "these runs differ in more than their fold; fit them with one recipe, on the same data "
            "and from the same weights"
        )


def _without_fold(recipe: Recipe) -> list[Recipe]:
    """A recipe and its teachers', but for the parts that every fold has of its own."""
    teachers = [load_run(path).recipe for path in recipe.teachers]
    own: dict[str, object] = {"fold": None, "teachers": ()}
    return [some.model_copy(update=own) for some in (recipe, *teachers)]
