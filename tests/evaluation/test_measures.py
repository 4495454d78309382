"""Tests of the measures against numbers done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from worker.evaluation.measures import (
    IGNORED,
    UNMATCHED,
    TwoClasses,
    average_precision,
    balanced_accuracy,
    bootstrap_interval,
    calibration_error,
    confusion_matrix,
    macro_f1,
    match,
    overlaps,
    precision_recall,
    recall_at_precision,
    two_classes,
)


def test_two_classes_follow_the_reports_formulae() -> None:
    """Each measure against numbers done by hand."""
    counts = TwoClasses(true_positive=90, false_positive=5, false_negative=10, true_negative=15)
    assert counts.precision == pytest.approx(90 / 95)
    assert counts.recall == pytest.approx(0.9)
    assert counts.specificity == pytest.approx(0.75)
    assert counts.npv == pytest.approx(0.6)
    assert counts.f1 == pytest.approx(2 * (90 / 95) * 0.9 / (90 / 95 + 0.9))


def test_two_classes_are_counted_from_booleans() -> None:
    """One of each kind."""
    assert two_classes([1, 0, 1, 0], [1, 1, 0, 0]) == TwoClasses(1, 1, 1, 1)


def test_a_measure_without_examples_is_not_a_number() -> None:
    """Nothing is made up where the denominator is zero."""
    nothing = two_classes([], [])
    for value in (nothing.precision, nothing.recall, nothing.specificity, nothing.npv, nothing.f1):
        assert math.isnan(value)


def test_three_classes_are_averaged_over_those_that_occur() -> None:
    """Rows are what is; a class that never occurs does not pull the mean down."""
    matrix = confusion_matrix([0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0])
    assert matrix.tolist() == [[1, 1, 0], [1, 3, 0], [0, 0, 0]]
    assert balanced_accuracy(matrix) == pytest.approx((0.5 + 0.75) / 2)
    assert macro_f1(matrix) == pytest.approx((2 / 4 + 6 / 8) / 2)


def test_measures_agree_with_scikit_learn() -> None:
    """On random labels of three classes."""
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(3)
    actual, said = generator.integers(0, 3, 200), generator.integers(0, 3, 200)
    matrix = confusion_matrix(actual, said)
    assert macro_f1(matrix) == pytest.approx(metrics.f1_score(actual, said, average="macro"))
    assert balanced_accuracy(matrix) == pytest.approx(metrics.balanced_accuracy_score(actual, said))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    """Ten calls at 0.8, seven right: a gap of 0.1."""
    probabilities = [[0.8, 0.2]] * 10
    assert calibration_error(probabilities, [0] * 7 + [1] * 3) == pytest.approx(0.1)


def test_calibration_error_of_nothing_is_not_a_number() -> None:
    """There is no confidence to judge."""
    assert math.isnan(calibration_error(np.zeros((0, 3)), []))


def test_overlap_of_boxes() -> None:
    """Half of the first box lies in the second, a third of their union is shared."""
    iou, covered = overlaps([[0, 0, 10, 10]], [[5, 0, 15, 10], [20, 0, 30, 10], [3, 3, 3, 3]])
    assert_allclose(iou, [[1 / 3, 0, 0]])
    assert_allclose(covered, [[0.5, 0, 0]])


def test_a_face_is_found_once_and_by_the_best_score() -> None:
    """The second detection of a face is a false one."""
    boxes = [[1, 0, 11, 10], [0, 0, 10, 10]]
    found = match(boxes, [0.6, 0.9], [[0, 0, 10, 10]], [], 0.4)
    assert found.tolist() == [UNMATCHED, 0]


def test_a_detection_takes_the_face_it_covers_best() -> None:
    """Not the first one in the list."""
    found = match([[6, 0, 16, 10]], [0.9], [[0, 0, 10, 10], [5, 0, 15, 10]], [], 0.2)
    assert found.tolist() == [1]


def test_a_detection_in_an_ignored_region_counts_neither_way() -> None:
    """Several may lie in one region; a face that is found there still counts."""
    boxes = [[0, 0, 10, 10], [12, 0, 20, 10], [40, 0, 50, 10]]
    found = match(boxes, [0.9, 0.8, 0.7], [[0, 0, 10, 10]], [[0, 0, 30, 30]], 0.4)
    assert found.tolist() == [0, IGNORED, UNMATCHED]


def test_matching_nothing_gives_nothing() -> None:
    """No detections, or no faces."""
    assert match([], [], [[0, 0, 1, 1]], [], 0.4).tolist() == []
    assert match([[0, 0, 1, 1]], [0.5], [], [], 0.4).tolist() == [UNMATCHED]


def test_average_precision_by_hand() -> None:
    """Hit, miss, hit of four faces: 1/4 at precision 1, 1/4 at precision 2/3."""
    curve = precision_recall([0.9, 0.8, 0.7], [True, False, True], 4)
    assert average_precision(curve) == pytest.approx(0.25 + 0.25 * 2 / 3)


def test_average_precision_of_a_perfect_detector_is_one() -> None:
    """Whatever the scores are."""
    assert average_precision(precision_recall([0.1, 0.2], [True, True], 2)) == pytest.approx(1)


def test_average_precision_without_detections_is_zero_and_without_faces_undefined() -> None:
    """Finding nothing is bad; nothing to find is no figure."""
    assert average_precision(precision_recall([], [], 3)) == 0
    assert math.isnan(average_precision(precision_recall([0.5], [False], 0)))


@given(st.permutations([True, True, False, False, True]))
def test_the_order_of_equal_scores_does_not_matter(hits: list[bool]) -> None:
    """No threshold lies between them."""
    curve = precision_recall([1.0] * 5, hits, 6)
    assert average_precision(curve) == pytest.approx(3 / 5 * 3 / 6)


def test_recall_at_precision_is_the_best_threshold() -> None:
    """The precision may fall below in between."""
    hits = [True] * 3 + [False] + [True] * 6 + [False] * 5
    curve = precision_recall(np.linspace(1, 0, len(hits)), hits, 12)
    assert recall_at_precision(curve, 0.9) == pytest.approx(9 / 12)
    assert recall_at_precision(precision_recall([1.0], [False], 2)) == 0


def test_the_bootstrap_interval_holds_the_mean_and_repeats() -> None:
    """The same seed gives the same interval."""
    values = np.arange(50.0)
    low, high = bootstrap_interval(lambda picked: float(values[picked].mean()), 50, repeats=200)
    assert low < values.mean() < high
    again = bootstrap_interval(lambda picked: float(values[picked].mean()), 50, repeats=200)
    assert (low, high) == again


def test_the_bootstrap_of_nothing_is_not_a_number() -> None:
    """Without pictures there is no interval."""
    assert all(math.isnan(side) for side in bootstrap_interval(lambda _: 1.0, 0))
