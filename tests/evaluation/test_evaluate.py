"""Tests of the evaluation over a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation.painted import PaintEngine, painted
from evaluation.voc_folder import Object, add
from fakes import ScriptedDetector

from worker.errors import BadDataError, ConfigError
from worker.evaluation.evaluate import evaluate, read_stems
from worker.inference.align import CropRule
from worker.records import Box, Detection

RULE = CropRule(16)
LEFT, RIGHT = Box(5, 5, 25, 25), Box(60, 5, 80, 25)
OBJECTS: list[Object] = [("with_mask", LEFT), ("without_mask", RIGHT)]


def picture(folder: Path, stem: str) -> None:
    add(folder, stem, OBJECTS, painted({LEFT: "with_mask", RIGHT: "without_mask"}))


def test_a_folder_is_evaluated_end_to_end(tmp_path: Path) -> None:
    """One face of two is found in each picture, and every one is rightly classified."""
    picture(tmp_path, "a")
    picture(tmp_path, "b")
    seen: list[tuple[int, int]] = []
    detector = ScriptedDetector([Detection(LEFT, 0.9)])
    result = evaluate(tmp_path, detector, PaintEngine(), RULE, progress=lambda *at: seen.append(at))
    assert result.figures.images == 2
    assert result.figures.faces.found == 0.5
    assert result.figures.faces.found_and_right == 0.5
    assert result.figures.classification.f1 == 1
    assert seen == [(1, 2), (2, 2)]


def test_a_damaged_picture_is_reported_and_the_others_count(tmp_path: Path) -> None:
    """The file is cut in the middle of its pixels, after a good header."""
    picture(tmp_path, "good")
    picture(tmp_path, "cut")
    file = tmp_path / "images" / "cut.png"
    file.write_bytes(file.read_bytes()[:-60])
    result = evaluate(tmp_path, ScriptedDetector([]), PaintEngine(), RULE)
    assert result.figures.images == 1
    assert "cut.png is damaged" in result.report.lines()[0]


def test_only_listed_pictures_are_evaluated(tmp_path: Path) -> None:
    """The list holds stems."""
    picture(tmp_path, "a")
    picture(tmp_path, "b")
    assert evaluate(tmp_path, ScriptedDetector([]), PaintEngine(), RULE, {"b"}).figures.images == 1


def test_a_folder_without_usable_picture_is_bad_data(tmp_path: Path) -> None:
    """The first reason is told."""
    picture(tmp_path, "a")
    (tmp_path / "annotations" / "a.xml").write_text("<annotation>")
    with pytest.raises(BadDataError, match=r"no picture that can be evaluated.*malformed"):
        evaluate(tmp_path, ScriptedDetector([]), PaintEngine(), RULE)


def test_stems_are_read_one_a_line(tmp_path: Path) -> None:
    """Blank lines are nothing."""
    (tmp_path / "list.txt").write_text("a\n\n b \n")
    assert read_stems(tmp_path / "list.txt") == {"a", "b"}


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), (b"\n", "no picture"), (b"\xff", "no text")]
)
def test_a_bad_list_is_wrong_usage(tmp_path: Path, content: bytes | None, message: str) -> None:
    """Missing, empty or binary."""
    file = tmp_path / "list.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_stems(file)
