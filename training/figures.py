"""The figures of a classifier: what the report counts, and what it left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.calibrate import masked_share
from worker.config import Deciding
from worker.evaluation.measures import (
    TwoClasses,
    balanced_accuracy,
    bootstrap_interval,
    calibration_error,
    confusion_matrix,
    macro_f1,
    recalls,
    two_classes,
)

SIZES_PX = (0, 12, 20, 32, 64, math.inf)
"""Limits of the ranges of face widths that are told apart."""

MEASURES = ("precision", "recall", "specificity", "npv", "f1")


@dataclass(frozen=True, slots=True)
class Judged:
    """Faces with what is, and what a classifier said; all arrays ``(N, ...)``.

    Attributes:
        labels: indices in ``CLASSES``.
        shares: probabilities ``(N, classes)``.
        pictures: the picture of each face.
        sizes_px: widths.
    """

    labels: NDArray[np.int64]
    shares: NDArray[np.float64]
    pictures: Sequence[str]
    sizes_px: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_]) -> Judged:
        """Some of them."""
        index = np.flatnonzero(chosen)
        return Judged(
            self.labels[index],
            self.shares[index],
            [self.pictures[int(i)] for i in index],
            self.sizes_px[index],
        )


def figures(judged: Judged, threshold: float = 0.5, repeats: int = 1_000) -> dict[str, Any]:
    """All figures of a set of faces, as JSON takes them; what is not defined is None.

    Args:
        judged: the faces.
        threshold: on p(with) against p(without), for the figures of two classes.
        repeats: of the bootstrap over pictures behind the intervals.
    """
    told: dict[str, Any] = {
        "faces": len(judged.labels),
        "pictures": len(set(judged.pictures)),
        "two_classes": _two(judged, threshold, repeats),
        "by_size": [
            {
                "from_px": low,
                "below_px": high if math.isfinite(high) else None,
                **_two(
                    judged.where((judged.sizes_px >= low) & (judged.sizes_px < high)), threshold, 0
                ),
            }
            for low, high in pairwise(SIZES_PX)
        ],
        "below_20px": _two(judged.where(judged.sizes_px < 20), threshold, repeats),
    }
    told["decided"] = _decided(judged, Deciding().enter)
    if judged.shares.shape[1] > 2:
        told["three_classes"] = _three(judged, repeats)
    document: dict[str, Any] = _without_nan(told)
    return document


def confusion(judged: Judged, threshold: float = 0.5) -> TwoClasses:
    """The confusion of two classes; faces of the third are left out."""
    known = judged.labels < 2
    said = masked_share(judged.shares)[known] >= threshold
    return two_classes(judged.labels[known] == 1, said)


def _two(judged: Judged, threshold: float, repeats: int) -> dict[str, Any]:
    counts = confusion(judged, threshold)
    told: dict[str, Any] = {
        "confusion": {
            "true_positive": counts.true_positive,
            "false_positive": counts.false_positive,
            "false_negative": counts.false_negative,
            "true_negative": counts.true_negative,
        },
        **{name: _measure(counts, name) for name in MEASURES},
    }
    if repeats:
        told["intervals"] = {
            name: _interval(judged, partial(_measured, name, threshold), repeats)
            for name in MEASURES
        }
    return told


def _decided(judged: Judged, enter: float) -> dict[str, Any]:
    """One look as the worker goes by it: a label from a share on, else ``unknown``.

    Over the faces of the first two classes; the figures are of those that get one of these labels.
    """
    some = judged.where(judged.labels < 2)
    said = np.where(some.shares.max(1) >= enter, some.shares.argmax(1), -1)
    two = (said == 0) | (said == 1)
    counts = two_classes(some.labels[two] == 1, said[two] == 1)
    return {
        "enter": enter,
        "unknown": float((said == -1).mean()) if len(said) else math.nan,
        "called_third": float((said == 2).mean()) if len(said) else math.nan,
        **{name: _measure(counts, name) for name in MEASURES},
    }


def _measured(name: str, threshold: float, judged: Judged) -> float:
    return _measure(confusion(judged, threshold), name)


def _measure(counts: TwoClasses, name: str) -> float:
    """A measure; not a number where the faces are all of one class and it would say nothing."""
    positives = counts.true_positive + counts.false_negative
    negatives = counts.true_negative + counts.false_positive
    if not (negatives if name in {"specificity", "npv"} else positives):
        return math.nan
    return float(getattr(counts, name))


def _three(judged: Judged, repeats: int) -> dict[str, Any]:
    def matrix(some: Judged) -> NDArray[np.int64]:
        return confusion_matrix(some.labels, some.shares.argmax(1), 3)

    measures: dict[str, Callable[[Judged], float]] = {
        "macro_f1": lambda some: _whole_macro_f1(matrix(some)),
        "balanced_accuracy": lambda some: balanced_accuracy(matrix(some)),
        "recall_of_third": lambda some: float(recalls(matrix(some))[2]),
        "accuracy": lambda some: float((some.shares.argmax(1) == some.labels).mean()),
        "ece": lambda some: calibration_error(some.shares, some.labels),
    }
    return {
        "confusion": matrix(judged).tolist(),
        "recall": recalls(matrix(judged)).tolist(),
        **{name: measure(judged) for name, measure in measures.items()},
        "intervals": {name: _interval(judged, m, repeats) for name, m in measures.items()},
    }


def _whole_macro_f1(matrix: NDArray[np.int64]) -> float:
    """Macro F1 where every class has an example; else it would mix different classes."""
    return macro_f1(matrix) if matrix.sum(1).all() else math.nan


def _interval(
    judged: Judged, measure: Callable[[Judged], float], repeats: int
) -> tuple[float, float]:
    """95 % by bootstrap over pictures."""
    names = sorted(set(judged.pictures))
    number = {name: i for i, name in enumerate(names)}
    owner = np.array([number[name] for name in judged.pictures], np.int64)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(len(names) + 1))

    def of(drawn: NDArray[np.int64]) -> float:
        if not len(drawn):
            return math.nan
        index = np.concatenate([order[starts[i] : starts[i + 1]] for i in drawn])
        some = Judged(judged.labels[index], judged.shares[index], (), judged.sizes_px[index])
        return measure(some)

    return bootstrap_interval(of, len(names), repeats=repeats)


def _without_nan(value: Any) -> Any:
    """The same with None in place of what is not a number, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
