"""The crops that training sees, in an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.augment import Augmenter
from training.faces import Faces
from training.recipe import Recipe
from worker.errors import ConfigError
from worker.inference.align import CropRule, cut


class Batch(NamedTuple):
    """Crops and their labels: ``uint8 (N, S, S, 3) BGR`` and ``int64 (N,)``.

    Where a frozen body has seen the crops already, its features stand in their place.
    """

    crops: NDArray[Any]
    labels: NDArray[np.int64]


def plain_crops(faces: Faces, rule: CropRule, *, detected: bool = False) -> NDArray[np.uint8]:
    """Every face as the worker cuts it, ``uint8 (N, S, S, 3) BGR``.

    Args:
        faces: which.
        rule: how.
        detected: by the detector's box where there is one, instead of the annotated one.
    """
    crops = [
        cut(faces.patch(i), face.detected if detected and face.detected else face.box, rule)
        for i, face in enumerate(faces)
    ]
    return np.stack(crops)


class TrainingBatches:
    """Iterates over one epoch after another.

    With an augmentation crops are made anew at every look, on a thread that runs ahead by a
    few batches; without one they are cut once.

    Args:
        faces: the training part.
        recipe: order, balance, batch size and augmentation.
        seen: what stands for each face's crop ``(N, ...)``, where nothing is augmented.
    """

    def __init__(self, faces: Faces, recipe: Recipe, seen: NDArray[Any] | None = None) -> None:
        self._recipe = recipe
        self._labels = faces.labels
        self._count = recipe.faces_per_epoch or len(faces)
        self._size = min(recipe.batch_size or self._count, self._count)
        self._weights = drawing_weights(faces, recipe)
        self._augmenter: Augmenter | None = None
        self._seen = seen
        if recipe.augmentation is None:
            self._seen = plain_crops(faces, recipe.rule) if seen is None else seen
        else:
            self._augmenter = Augmenter(faces, recipe.rule, recipe.augmentation, recipe.classes)

    @property
    def steps(self) -> int:
        """Batches an epoch; a last one that is not full is left out."""
        return self._count // self._size

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch, the same whenever it is asked for."""
        rng = np.random.default_rng([self._recipe.seed, number])
        if self._weights is None:
            order = rng.permutation(len(self._labels))[: self._count]
            order = np.resize(order, self._count)
        else:
            order = rng.choice(len(self._labels), self._count, p=self._weights)
        chunks = [order[i * self._size : (i + 1) * self._size] for i in range(self.steps)]
        with ThreadPoolExecutor(1) as ahead:
            waiting = []
            for step, chunk in enumerate(chunks):
                waiting.append(ahead.submit(self._batch, chunk, number, step))
                if len(waiting) > 3:
                    yield waiting.pop(0).result()
            for batch in waiting:
                yield batch.result()

    def _batch(self, chosen: NDArray[np.int64], epoch: int, step: int) -> Batch:
        if self._seen is not None:
            return Batch(self._seen[chosen], self._labels[chosen])
        assert self._augmenter is not None  # noqa: S101 (set whenever nothing was seen before)
        made = [
            self._augmenter.crop(
                int(index), np.random.default_rng([self._recipe.seed, epoch, step, place])
            )
            for place, index in enumerate(chosen)
        ]
        return Batch(np.stack([crop for crop, _ in made]), np.array([label for _, label in made]))


def drawing_weights(faces: Faces, recipe: Recipe) -> NDArray[np.float64] | None:
    """How likely each face is drawn, so that classes and sources have their shares.

    Args:
        faces: the training part.
        recipe: the shares.

    Returns:
        ``(N,)``, summing to 1; None where every face is drawn as often as any.

    Raises:
        ConfigError: by these shares none would be drawn.
    """
    if recipe.class_shares is None and not recipe.source_weights:
        return None
    weights = np.array([recipe.source_weights.get(face.source, 1.0) for face in faces])
    labels = faces.labels
    if recipe.class_shares is not None:
        for label, share in enumerate(recipe.class_shares):
            total = weights[labels == label].sum()
            if total > 0:
                weights[labels == label] *= share / total
    if not weights.sum() > 0:
        raise ConfigError("class_shares and source_weights leave no face to draw; raise one")
    return np.asarray(weights / weights.sum(), np.float64)
