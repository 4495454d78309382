"""Tests of what is noted about one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation.painted import PaintEngine, painted
from fakes import ScriptedDetector, ScriptedEngine

from worker.errors import BadDataError
from worker.evaluation.measures import IGNORED, UNMATCHED
from worker.evaluation.outcome import NO_LABEL, WITH, WITHOUT, PictureOutcome, outcome_of
from worker.evaluation.voc import AnnotatedFace, AnnotatedPicture, AnnotationName
from worker.inference.align import CropRule
from worker.records import Box, Detection

LEFT, MIDDLE, RIGHT = Box(5, 5, 25, 25), Box(40, 5, 60, 25), Box(75, 5, 95, 25)
RULE = CropRule(16)


def outcome(
    faces: dict[Box, AnnotationName], detections: list[Detection], drawn: dict[Box, str]
) -> PictureOutcome:
    picture = AnnotatedPicture(
        Path("x.png"), 100, 80, tuple(AnnotatedFace(box, name) for box, name in faces.items())
    )
    return outcome_of(picture, painted(drawn), ScriptedDetector(detections), PaintEngine(), RULE)


def test_found_faces_are_classified_on_the_detected_box() -> None:
    """The annotated box shows a mask, the detector's box beside it the bare face."""
    shifted = Box(13, 5, 33, 25)
    one = outcome(
        {LEFT: "with_mask"},
        [Detection(shifted, 0.9)],
        {Box(5, 5, 18, 25): "with_mask", Box(18, 5, 33, 25): "without_mask"},
    )
    assert one.found.tolist() == [True]
    assert one.annotated[0].argmax() == WITH
    assert one.detected[0].argmax() == WITHOUT


def test_a_detection_under_the_threshold_finds_nothing_but_is_kept_for_the_curve() -> None:
    """ScriptedDetector counts from 0.5."""
    one = outcome({LEFT: "with_mask"}, [Detection(LEFT, 0.3)], {LEFT: "with_mask"})
    assert one.found.tolist() == [False]
    assert np.isnan(one.detected).all()
    assert one.match_40.tolist() == [0]


def test_a_loose_box_counts_at_forty_and_not_at_fifty() -> None:
    """IoU 0.43."""
    one = outcome({LEFT: "with_mask"}, [Detection(Box(13, 5, 33, 25), 0.9)], {})
    assert one.match_40.tolist() == [0]
    assert one.match_50.tolist() == [UNMATCHED]


def test_ignored_regions_are_no_faces_and_excuse_detections() -> None:
    """What is found in one counts neither way."""
    one = outcome(
        {LEFT: "with_mask", RIGHT: "ignore"},
        [Detection(LEFT, 0.9), Detection(RIGHT, 0.8), Detection(MIDDLE, 0.7)],
        {},
    )
    assert one.match_40.tolist() == [0, IGNORED, UNMATCHED]
    assert len(one.label) == 1


def test_a_face_without_label_is_found_and_not_classified_as_annotated() -> None:
    """There is nothing to compare with."""
    one = outcome({LEFT: "face"}, [Detection(LEFT, 0.9)], {})
    assert one.label.tolist() == [NO_LABEL]
    assert np.isnan(one.annotated).all()
    assert one.found.tolist() == [True]


def test_a_picture_without_faces_has_only_detections() -> None:
    """Empty arrays, no error."""
    one = outcome({}, [Detection(LEFT, 0.9)], {})
    assert one.label.shape == (0,)
    assert one.match_40.tolist() == [UNMATCHED]


def test_an_engine_that_gives_no_numbers_is_bad_data() -> None:
    """A figure is never made of nan."""
    picture = AnnotatedPicture(Path("x.png"), 100, 80, (AnnotatedFace(LEFT, "with_mask"),))
    engine = ScriptedEngine([np.nan] * 3)
    with pytest.raises(BadDataError, match="not finite"):
        outcome_of(picture, painted({}), ScriptedDetector([]), engine, RULE)


def test_a_picture_of_another_size_is_bad_data() -> None:
    """Its boxes would not fit."""
    picture = AnnotatedPicture(Path("x.png"), 640, 480, ())
    with pytest.raises(BadDataError, match=r"x\.png decodes to another size"):
        outcome_of(picture, painted({}), ScriptedDetector([]), PaintEngine(), RULE)
