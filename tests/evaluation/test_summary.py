"""Tests of the figures that are counted over pictures, and of their JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from worker.errors import BadDataError
from worker.evaluation.measures import IGNORED, UNMATCHED
from worker.evaluation.outcome import NO_LABEL, PictureOutcome
from worker.evaluation.summary import summarise, table

SAYS = {"without": [0.7, 0.2, 0.1], "with": [0.2, 0.7, 0.1], "incorrectly": [0.35, 0.25, 0.4]}
MISSED = [np.nan] * 3
Face = tuple[int, float, str, str | None]


def outcome(faces: list[Face], detections: list[tuple[float, float, int]]) -> PictureOutcome:
    """One picture.

    Args:
        faces: label, width, what is said on the annotated box and on the found one, if any.
        detections: score, width, match.
    """
    match = np.array([match for _, _, match in detections], np.int64)
    return PictureOutcome(
        width_px=np.array([width for _, width, _, _ in faces], np.float64),
        label=np.array([label for label, _, _, _ in faces], np.int64),
        annotated=np.array(
            [MISSED if label == NO_LABEL else SAYS[said] for label, _, said, _ in faces]
        ).reshape(-1, 3),
        detected=np.array([SAYS[f] if f else MISSED for _, _, _, f in faces]).reshape(-1, 3),
        score=np.array([score for score, _, _ in detections], np.float64),
        detection_px=np.array([width for _, width, _ in detections], np.float64),
        match_40=match,
        match_50=match,
    )


def keys(value: Any) -> Any:
    return {key: keys(item) for key, item in value.items()} if isinstance(value, dict) else None


ONE = outcome(
    [(1, 30, "with", "with"), (0, 30, "without", "with"), (2, 30, "incorrectly", "without")],
    [(0.9, 30, 0), (0.8, 30, 1), (0.7, 30, 2), (0.6, 30, UNMATCHED), (0.1, 30, UNMATCHED)],
)


def test_the_keys_are_the_contract() -> None:
    """No key more, none less."""
    faces = dict.fromkeys(("annotated", "found", "found_and_right"))
    classes = dict.fromkeys(("without_mask", "with_mask", "mask_worn_incorrectly"))
    assert keys(json.loads(summarise([ONE], 0.5).to_json())) == {
        "images": None,
        "faces": faces,
        "faces_20px": faces,
        "false_detections_per_image": None,
        "ap_40": None,
        "ap_50": None,
        "recall_at_precision_90": dict.fromkeys(("all", "20px", "40px")),
        "classification": dict.fromkeys(
            ("confusion", "precision", "recall", "specificity", "npv", "f1")
        ),
        "classification3": {
            **dict.fromkeys(("confusion", "macro_f1", "balanced_accuracy", "ece")),
            "recall": classes,
        },
    }


def test_the_third_class_leaves_the_share_of_found_and_right() -> None:
    """All three are found; of the two others one is right."""
    figures = summarise([ONE], 0.5)
    assert figures.faces.annotated == 3
    assert figures.faces.found == 1
    assert figures.faces.found_and_right == 0.5


def test_a_face_without_label_counts_as_found_only() -> None:
    """It is neither right nor wrong."""
    one = outcome([(NO_LABEL, 30, "with", "with"), (1, 30, "with", None)], [(0.9, 30, 0)])
    figures = summarise([one], 0.5)
    assert (figures.faces.annotated, figures.faces.found) == (2, 0.5)
    assert figures.faces.found_and_right == 0


def test_right_compares_with_and_without_alone() -> None:
    """The third class may be the likeliest: of the other two, without is."""
    one = outcome([(0, 30, "incorrectly", "incorrectly")], [(0.9, 30, 0)])
    figures = summarise([one], 0.5)
    assert figures.faces.found_and_right == 1
    assert figures.classification.confusion == [[1, 0], [0, 0]]
    assert figures.classification3.confusion == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_false_detections_count_from_the_threshold_on() -> None:
    """Of two false ones, one has a score of 0.1; ignored ones are not false."""
    other = outcome([], [(0.9, 30, IGNORED)])
    assert summarise([ONE, other], 0.5).false_detections_per_image == 0.5


def test_small_faces_leave_the_figures_of_large_ones_on_both_sides() -> None:
    """A small face that was found and a small false detection count neither way."""
    one = outcome(
        [(1, 30, "with", "with"), (1, 10, "with", "with"), (1, 12, "with", None)],
        [(0.95, 10, UNMATCHED), (0.9, 10, 1), (0.8, 18, 0)],
    )
    figures = summarise([one], 0.5)
    assert (figures.faces.annotated, figures.faces_20px.annotated) == (3, 1)
    assert figures.faces.found == pytest.approx(2 / 3)
    assert figures.faces_20px.found == 1
    assert figures.recall_at_precision_90.all == 0
    assert figures.recall_at_precision_90.px20 == 1


def test_average_precision_uses_the_detections_under_the_threshold() -> None:
    """The only hit has a score of 0.1."""
    one = outcome([(1, 30, "with", None)], [(0.1, 30, 0)])
    assert summarise([one], 0.5).ap_40 == 1


def test_two_classes_take_the_annotated_boxes() -> None:
    """One of each kind; rows are what is."""
    one = outcome(
        [(0, 30, "without", None), (0, 30, "with", None), (1, 30, "without", None)]
        + [(1, 30, "with", None)] * 3,
        [],
    )
    two = summarise([one], 0.5).classification
    assert two.confusion == [[1, 1], [1, 3]]
    assert (two.precision, two.recall, two.specificity, two.npv) == (0.75, 0.75, 0.5, 0.5)


def test_what_is_not_defined_is_null_in_json() -> None:
    """A set without any face is valid and its JSON holds no NaN."""
    text = summarise([outcome([], [(0.9, 30, UNMATCHED)])], 0.5).to_json()
    figures = json.loads(text, parse_constant=pytest.fail)
    assert figures["faces"] == {"annotated": 0, "found": None, "found_and_right": None}
    assert figures["classification"]["f1"] is None
    assert figures["ap_40"] is None


def test_no_picture_is_bad_data() -> None:
    """There is nothing to count."""
    with pytest.raises(BadDataError, match="no picture could be evaluated"):
        summarise([], 0.5)


def test_the_table_shows_figures_with_intervals() -> None:
    """The main ones, for people."""
    outcomes = [ONE] * 5
    console = Console(file=io.StringIO(), width=100)
    console.print(table(outcomes, summarise(outcomes, 0.5), "five pictures"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "five pictures" in text
    assert "50.0 % to 50.0 %" in text
