"""The measures by which detectors and classifiers are judged: pure functions on arrays.

A measure whose denominator is zero is nan ("not defined"), never 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CALIBRATION_BINS = 15
BOOTSTRAP_REPEATS = 1_000


@dataclass(frozen=True, slots=True)
class TwoClasses:
    """The confusion of two classes; positive is ``with_mask``, as in the original report.

    The report's "negative rate" is the negative predictive value.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def precision(self) -> float:
        """Share of the positive calls that are right: TP / (TP + FP)."""
        return ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """Share of the positives that are called so: TP / (TP + FN)."""
        return ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float:
        """Share of the negatives that are called so: TN / (TN + FP)."""
        return ratio(self.true_negative, self.true_negative + self.false_positive)

    @property
    def npv(self) -> float:
        """Negative predictive value, the share of the negative calls that are right."""
        return ratio(self.true_negative, self.true_negative + self.false_negative)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
        wrong = self.false_positive + self.false_negative
        return ratio(2 * self.true_positive, 2 * self.true_positive + wrong)


def ratio(part: float, whole: float) -> float:
    """A share; nan where there is nothing to take a share of."""
    return part / whole if whole else math.nan


def two_classes(actual: ArrayLike, predicted: ArrayLike) -> TwoClasses:
    """The confusion of two classes from booleans ``(N,)``, True where ``with_mask``."""
    truth, said = np.asarray(actual, bool), np.asarray(predicted, bool)
    return TwoClasses(
        true_positive=int(np.sum(truth & said)),
        false_positive=int(np.sum(~truth & said)),
        false_negative=int(np.sum(truth & ~said)),
        true_negative=int(np.sum(~truth & ~said)),
    )


def confusion_matrix(actual: ArrayLike, predicted: ArrayLike, classes: int = 3) -> Ints:
    """Counts ``(classes, classes)``; rows are what is, columns what was said."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (np.asarray(actual, np.int64), np.asarray(predicted, np.int64)), 1)
    return matrix


def recalls(matrix: Ints) -> Floats:
    """Recall of each class ``(classes,)``; nan where a class has no example."""
    return _ratios(np.diag(matrix), matrix.sum(axis=1))


def f1_scores(matrix: Ints) -> Floats:
    """F1 of each class ``(classes,)``; nan where a class neither is nor was said."""
    return _ratios(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def macro_f1(matrix: Ints) -> float:
    """Mean F1 over the classes that are, or were said."""
    return _mean_defined(f1_scores(matrix))


def balanced_accuracy(matrix: Ints) -> float:
    """Mean recall over the classes that have examples."""
    return _mean_defined(recalls(matrix))


def calibration_error(
    probabilities: ArrayLike, actual: ArrayLike, bins: int = CALIBRATION_BINS
) -> float:
    """Expected calibration error of the top class (Guo et al. 2017, arXiv:1706.04599).

    Bins are of equal width, ``(low, high]``; each weighs with its share of the examples.

    Args:
        probabilities: ``(N, classes)``, rows sum to 1.
        actual: class indices ``(N,)``.
        bins: number of bins from 0 to 1.
    """
    shares, truth = np.asarray(probabilities, np.float64), np.asarray(actual, np.int64)
    if not len(truth):
        return math.nan
    confidence = shares.max(axis=1)
    right = shares.argmax(axis=1) == truth
    slot = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(slot, minlength=bins)
    gap = np.bincount(slot, right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / counts.sum())


def overlaps(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    """Of boxes ``(N, 4)`` and ``(M, 4)`` xyxy: IoU, and the share of each first box covered.

    Returns:
        Two arrays ``(N, M)``, 0 to 1; 0 for boxes without area.
    """
    a = np.asarray(first, np.float64).reshape(-1, 4)
    b = np.asarray(second, np.float64).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(axis=1)[:, None]
    area_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=1)[None, :]
    return _ratios(shared, area_a + area_b - shared, 0.0), _ratios(
        shared, np.broadcast_to(area_a, shared.shape), 0.0
    )


UNMATCHED = -1
IGNORED = -2


def match(
    boxes: ArrayLike, scores: ArrayLike, faces: ArrayLike, ignored: ArrayLike, min_iou: float
) -> Ints:
    """Which face each detection of a picture found.

    Greedy: the best score chooses first, of the faces still free the one of the largest IoU.
    A detection without a face that lies with a share of ``min_iou`` in an ``ignored`` region
    counts neither way.

    Args:
        boxes: detections ``(N, 4)`` xyxy.
        scores: ``(N,)``.
        faces: annotated faces ``(M, 4)``; each is found once.
        ignored: regions ``(K, 4)``.
        min_iou: smallest IoU of a find.

    Returns:
        ``(N,)``: index of the face, ``UNMATCHED`` or ``IGNORED``.
    """
    iou, _ = overlaps(boxes, faces)
    _, covered = overlaps(boxes, ignored)
    found = np.full(len(iou), UNMATCHED, np.int64)
    for row in np.argsort(-np.asarray(scores, np.float64), kind="stable"):
        if iou.shape[1] and iou[row].max() >= min_iou:
            face = int(iou[row].argmax())
            found[row] = face
            iou[:, face] = -1.0
        elif covered.shape[1] and covered[row].max() >= min_iou:
            found[row] = IGNORED
    return found


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Precision and recall at every distinct score, from the highest down; all ``(K,)``."""

    scores: Floats
    precision: Floats
    recall: Floats


def precision_recall(scores: ArrayLike, hits: ArrayLike, faces: int) -> PrecisionRecall:
    """The curve of a detector over a whole set.

    Args:
        scores: of all detections that count ``(N,)``.
        hits: True where a detection found a face ``(N,)``.
        faces: number of faces there are.
    """
    score, hit = np.asarray(scores, np.float64), np.asarray(hits, bool)
    order = np.argsort(-score, kind="stable")
    score, hit = score[order], hit[order]
    # Equal scores come together or not at all: no threshold lies between them.
    last = np.flatnonzero(np.append(np.diff(score) != 0, True)) if len(score) else order
    found = np.cumsum(hit)[last]
    recall = found / faces if faces else np.full(len(last), math.nan)
    return PrecisionRecall(score[last], found / (last + 1), recall)


def average_precision(curve: PrecisionRecall) -> float:
    """Area under the interpolated curve: precision is the best at that recall or beyond.

    As PASCAL VOC counts since 2010. 0 without detections; nan without faces.
    """
    if np.isnan(curve.recall).any():
        return math.nan
    best = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * best))


def recall_at_precision(curve: PrecisionRecall, precision: float = 0.9) -> float:
    """The largest recall at which the precision is at least this; 0 where it never is."""
    if np.isnan(curve.recall).any():
        return math.nan
    good = curve.recall[curve.precision >= precision]
    return float(good.max()) if len(good) else 0.0


def bootstrap_interval(
    measure: Callable[[Ints], float],
    pictures: int,
    *,
    repeats: int = BOOTSTRAP_REPEATS,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a measure when pictures, not faces, are drawn anew.

    Faces of one picture resemble each other, so drawing faces would make it too narrow.

    Args:
        measure: from picture indices ``(pictures,)``, some of them several times.
        pictures: how many there are.
        repeats: draws; those without a defined value are left out.
        level: share of the draws inside the interval.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    values = np.array(
        [
            measure(generator.integers(0, pictures, pictures))
            for _ in range(repeats if pictures else 0)
        ]
    )
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _ratios(
    part: NDArray[np.generic], whole: NDArray[np.generic], otherwise: float = math.nan
) -> Floats:
    result = np.full(np.shape(part), otherwise)
    np.divide(part, whole, out=result, where=np.asarray(whole) > 0)
    return result


def _mean_defined(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan
