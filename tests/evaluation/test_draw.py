"""Tests of boxes and labels on pictures."""

from __future__ import annotations

import numpy as np
import pytest

from worker.evaluation.draw import Mark, annotate
from worker.records import Box, Decision
from worker.web.preview import COLOURS

WITH, WITHOUT = Decision("with_mask", 0.97), Decision("without_mask", 0.8)


def blank(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def test_the_label_says_in_words_what_the_colour_says() -> None:
    """Word and score; a reason where nothing is said."""
    box = Box(0, 0, 9, 9)
    assert Mark(box, WITH).text == "mask 97%"
    assert Mark(box, Decision("unknown", 0.0, "too_small")).text == "? too small"


def test_the_colour_is_that_of_the_label() -> None:
    """Green with, red without; the picture given stays as it is."""
    image = blank(200, 200)
    marks = [Mark(Box(20, 100, 60, 140), WITH), Mark(Box(120, 100, 160, 140), WITHOUT)]
    drawn = annotate(image, marks)
    assert drawn[100, 40].tolist() == list(COLOURS["with_mask"])
    assert drawn[100, 140].tolist() == list(COLOURS["without_mask"])
    assert (image == 120).all()


@pytest.mark.parametrize("box", [Box(0, 0, 20, 20), Box(280, 0, 300, 20), Box(280, 180, 300, 200)])
def test_a_label_in_a_corner_stays_inside_the_picture(box: Box) -> None:
    """Its whole plate is seen: as many filled pixels as in the middle."""

    def filled(at: Box) -> int:
        drawn = annotate(blank(300, 200), [Mark(at, WITHOUT)])
        return int((drawn != 120).any(axis=2).sum())

    assert filled(box) >= 0.95 * filled(Box(140, 90, 160, 110))


def test_labels_of_neighbours_do_not_cover_faces_where_there_is_room() -> None:
    """The upper label goes elsewhere than onto the face above it."""
    upper, lower = Box(100, 60, 140, 100), Box(100, 104, 140, 144)
    drawn = annotate(blank(300, 200), [Mark(upper, WITH), Mark(lower, WITHOUT)])
    assert (drawn[65:95, 105:135] == 120).all()
    assert (drawn[109:139, 105:135] == 120).all()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (12, 9), (64, 64), (30, 2_000)])
def test_pictures_of_any_size_can_be_drawn_on(width: int, height: int) -> None:
    """Even where no letter fits."""
    drawn = annotate(blank(width, height), [Mark(Box(0, 0, width, height), WITH)])
    assert drawn.shape == (height, width, 3)


def test_lines_and_letters_grow_with_the_picture() -> None:
    """The share of drawn pixels is about the same."""

    def share(scale: int) -> float:
        box = Box(60 * scale, 60 * scale, 100 * scale, 100 * scale)
        drawn = annotate(blank(400 * scale, 300 * scale), [Mark(box, WITH)])
        return float((drawn != 120).any(axis=2).mean())

    assert share(5) > 0.3 * share(1)
