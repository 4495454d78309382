"""The detector's measures: matching, bands of sizes, thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from training.detector.measure import Outcome, choose_threshold, false_detections, figures
from worker.evaluation.measures import IGNORED, UNMATCHED


def outcome(detections: list[tuple[float, float, int]], faces: list[float]) -> Outcome:
    """From ``(score, px, match)`` of each detection, and the sizes of the faces."""
    rows = np.asarray(detections, np.float32).reshape(-1, 3)
    return Outcome(
        rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int64), np.asarray(faces, np.float32)
    )


def test_everything_found_is_a_precision_of_one() -> None:
    """Each face found, nothing else said."""
    found = [outcome([(0.9, 30, 0), (0.8, 25, 1)], [30, 25])]
    assert figures(found, 0.5, repeats=3)["all"]["ap_40"] == 1


def test_band_counts_only_faces_of_its_size() -> None:
    """A missed small face lowers the whole, not the figure from 20 px."""
    found = [outcome([(0.9, 30, 0)], [30, 8])]
    rows = figures(found, 0.5, repeats=3)
    assert rows["all"]["ap_40"] == 0.5
    assert rows["20+ px"]["ap_40"] == 1
    assert rows["0-12 px"]["found_at_threshold"] == 0


def test_ignored_detections_count_neither_way() -> None:
    """What lies in an ignored region is no false detection."""
    found = [outcome([(0.9, 30, 0), (0.99, 30, IGNORED)], [30])]
    assert figures(found, 0.5, repeats=3)["all"]["ap_40"] == 1
    assert false_detections(found, 0.5) == 0


def test_false_detections_are_counted_from_the_threshold() -> None:
    """Only what would be said at work is counted."""
    found = [outcome([(0.9, 30, UNMATCHED), (0.3, 9, UNMATCHED)], []), outcome([], [])]
    assert false_detections(found, 0.5) == 0.5


def test_threshold_keeps_the_precision_that_is_asked_for() -> None:
    """The lowest score at which 19 of 20 detections are right."""
    good = [(0.9 - i / 1000, 30, i) for i in range(38)]
    found = [
        outcome(
            [
                *good,
                (0.4, 30, UNMATCHED),
                (0.39, 30, 38),
                (0.2, 30, UNMATCHED),
                (0.19, 9, UNMATCHED),
            ],
            [30.0] * 39,
        )
    ]
    assert choose_threshold(found) == pytest.approx(0.2, abs=0.001)


def test_threshold_without_any_detection_is_a_middle() -> None:
    """Nothing to choose from is no crash."""
    assert choose_threshold([outcome([], [20])]) == 0.5
