"""What trained networks think of the crops that another one learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batches import TrainingBatches
from training.faces import Faces
from training.frozen import CHUNK
from training.recipe import Recipe
from training.runs import Run, load_run
from worker.errors import ConfigError


class Teachers:
    """The mean opinion of some runs, each of which looks at the faces by its own rule.

    Face, box and label are the student's; light and noise are drawn anew for another size.

    A batch depends on its number alone, so what was thought of it is kept: that takes twelve
    bytes a crop, and looking again would cost several times what a student's own step does.

    Args:
        recipe: the student's; names the teachers.
        train: the faces that it learns from.
        device: where the teachers run.

    Raises:
        ConfigError: a teacher is not finished, knows other classes, or may have seen what
            judges the student.
    """

    def __init__(self, recipe: Recipe, train: Faces, device: torch.device) -> None:
        runs = teachers_of(recipe)
        self._models = [run.model().to(device) for run in runs]
        self._views = [
            TrainingBatches(train, recipe.model_copy(update=_rule_of(run.recipe))) for run in runs
        ]
        self._device = device
        self._kept: dict[int, list[Tensor]] = {}

    def epoch(self, number: int) -> Iterator[Tensor]:
        """Probabilities ``(N, classes)`` for every batch of an epoch, in order."""
        if number not in self._kept:
            told = []
            for views in zip(*(view.epoch(number) for view in self._views), strict=True):
                told.append(self._opinion([view.crops for view in views]))
                if len(told) == self._views[0].steps:  # before the last is handed over
                    self._kept[number] = told
                yield told[-1].to(self._device)
            return
        for opinion in self._kept[number]:
            yield opinion.to(self._device)

    def _opinion(self, crops: Sequence[NDArray[np.uint8]]) -> Tensor:
        with torch.no_grad():
            shares = [
                torch.cat([model(part.to(self._device)) for part in _chunks(some)])
                for model, some in zip(self._models, crops, strict=True)
            ]
        return torch.stack(shares).mean(0).cpu()


def _chunks(crops: NDArray[np.uint8]) -> Iterator[Tensor]:
    pixels = torch.from_numpy(crops)
    return (pixels[i : i + CHUNK] for i in range(0, len(pixels), CHUNK))


def teachers_of(recipe: Recipe) -> list[Run]:
    """The runs that a recipe names as teachers.

    Raises:
        ConfigError: one is not finished, knows other classes, or may have seen what judges the
            student.
    """
    runs = [load_run(path) for path in recipe.teachers]
    if runs and recipe.split == "face":
        raise ConfigError(
            "with split=face nobody can say which faces a teacher has seen; split by picture"
        )
    for run in runs:
        path, teacher = run.folder.path, run.recipe
        if teacher.classes != recipe.classes:
            raise ConfigError(
                f"the teacher {path} knows {teacher.classes} classes, this run {recipe.classes}; "
                "name one that knows the same"
            )
        if (teacher.split, teacher.fold) != (recipe.split, recipe.fold):
            raise ConfigError(
                f"the teacher {path} was trained on another part of the pictures than this run "
                "will be, so it has seen some that judge it; name one of the same split and fold"
            )
        run.weights()
    return runs


def _rule_of(teacher: Recipe) -> dict[str, object]:
    """What decides how a recipe's crops are cut."""
    return {"network": teacher.network, "margin": teacher.margin, "square": teacher.square}
