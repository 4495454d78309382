"""Figures, calibration and threshold."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from training.calibrate import calibrated, cheapest_threshold, masked_share, probabilities
from training.figures import Judged, figures
from worker.inference.artifact import Calibration


def _judged(labels: list[int], said: list[int], classes: int = 3) -> Judged:
    shares = np.full((len(labels), classes), 0.05)
    shares[np.arange(len(labels)), said] = 1 - 0.05 * (classes - 1)
    return Judged(
        np.array(labels),
        shares,
        [f"p{i // 2}" for i in range(len(labels))],
        np.array([10.0 + 5 * i for i in range(len(labels))]),
    )


def test_figures_are_those_of_the_report_s_definitions() -> None:
    """Precision, recall, specificity, negative predictive value, F1."""
    told = figures(_judged([1, 1, 1, 0, 0, 2], [1, 1, 0, 0, 1, 2]), repeats=20)
    two = told["two_classes"]
    assert two["confusion"] == {
        "true_positive": 2,
        "false_positive": 1,
        "false_negative": 1,
        "true_negative": 1,
    }
    assert two["precision"] == pytest.approx(2 / 3, abs=1e-6)
    assert two["specificity"] == 0.5
    assert two["npv"] == 0.5
    assert told["three_classes"]["recall"] == [0.5, pytest.approx(2 / 3, abs=1e-6), 1.0]


def test_what_is_not_defined_is_none_in_json() -> None:
    """No face of a class, no figure of it."""
    told = figures(_judged([1, 1], [1, 1]), repeats=5)
    assert told["two_classes"]["specificity"] is None
    assert told["two_classes"]["npv"] is None
    assert told["three_classes"]["macro_f1"] is None
    assert "NaN" not in json.dumps(told)


def test_faces_are_told_apart_by_size() -> None:
    """Each range has the faces of its widths."""
    told = figures(_judged([1, 1, 0, 1], [1, 0, 0, 1]), repeats=0)
    assert sum(sum(size["confusion"].values()) for size in told["by_size"]) == 4
    assert told["below_20px"]["confusion"]["false_negative"] == 1


def test_calibration_brings_overconfidence_down() -> None:
    """Logits that are three times too large are scaled back."""
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(4_000, 2, generator=generator)
    labels = torch.multinomial(torch.softmax(true, 1), 1, generator=generator).ravel()
    found = calibrated(true * 3, labels)
    assert found.scale == pytest.approx(1 / 3, rel=0.15)


def test_few_faces_hardly_move_the_calibration() -> None:
    """A handful that happens to be right does not make it certain."""
    found = calibrated(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1]))
    assert 0.8 < found.scale < 1.6


def test_without_faces_nothing_is_calibrated() -> None:
    """Scale 1, bias 0."""
    assert calibrated(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == Calibration(
        bias=(0.0, 0.0, 0.0)
    )


def test_probabilities_sum_to_one() -> None:
    """With scale and bias."""
    shares = probabilities(torch.randn(5, 3), Calibration(scale=0.5, bias=(0.1, 0.2, -0.3)))
    assert shares.sum(1) == pytest.approx(1.0)


def test_a_false_mask_costs_more() -> None:
    """The threshold moves up until the bare face is called bare, though a masked one is lost."""
    shares = np.array([[0.3, 0.7], [0.4, 0.6], [0.1, 0.9], [0.9, 0.1]])
    labels = np.array([0, 1, 1, 0])
    assert cheapest_threshold(shares, labels, cost=3) > 0.7
    assert cheapest_threshold(shares, labels, cost=0.5) < 0.6


def test_a_threshold_is_no_guess() -> None:
    """Where masked faces have low shares and no bare face has any, it is one half at least."""
    shares = np.array([[0.8, 0.2], [0.7, 0.3], [0.99, 0.01]])
    assert cheapest_threshold(shares, np.array([1, 1, 0])) >= 0.5


def test_what_the_worker_would_not_decide_is_unknown() -> None:
    """Doubtful faces get no label, and the measures are of those that get one of the two."""
    shares = np.array(
        [[0.9, 0.1, 0], [0.4, 0.6, 0], [0.1, 0.9, 0], [0.3, 0.0, 0.7], [0.0, 0.0, 1.0]]
    )
    judged = Judged(np.array([0, 0, 1, 0, 2]), shares, list("abcde"), np.full(5, 30.0))
    found = figures(judged, repeats=10)
    assert found["two_classes"]["specificity"] == pytest.approx(2 / 3, abs=1e-6)
    decided = found["decided"]
    assert (decided["unknown"], decided["called_third"]) == (0.25, 0.25)
    assert (decided["specificity"], decided["npv"], decided["f1"]) == (1, 1, 1)


def test_the_third_class_is_left_aside() -> None:
    """A face that is half worn incorrectly is still with or without a mask."""
    assert masked_share(np.array([[0.1, 0.3, 0.6]])) == pytest.approx([0.75])
