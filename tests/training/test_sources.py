"""Folders of pictures in every form, and what is wrong with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.sources import read_source
from worker.errors import ConfigError
from worker.records import Box


def _picture(path: Path, width: int = 40, height: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


def _yolo(folder: Path, lines: str, names: str = "without_mask\nwith_mask\n") -> Path:
    _picture(folder / "images" / "one.png")
    (folder / "labels").mkdir()
    (folder / "labels" / "one.txt").write_text(lines)
    (folder / "classes.txt").write_text(names)
    return folder


def test_voc_is_read(voc: Path) -> None:
    """The misspelt third class of the Kaggle set is understood."""
    source = read_source(voc)
    assert (source.name, source.form, len(source.pictures)) == ("generated", "voc", 36)
    labels = {face.label for picture in source.pictures for face in picture.faces}
    assert labels == {0, 1, 2}


def test_yolo_is_read(tmp_path: Path) -> None:
    """Centres and sizes in shares become corners in pixels."""
    source = read_source(_yolo(tmp_path / "set", "1 0.5 0.5 0.5 0.4\n"))
    (face,) = source.pictures[0].faces
    assert source.form == "yolo"
    assert face.label == 1
    assert face.box == Box(10, 9, 30, 21)


@pytest.mark.parametrize(
    "text",
    [
        "names: ['without_mask', 'with_mask']\nnc: 2\n",
        "nc: 2\nnames:\n  0: without_mask\n  1: with_mask\n",
        "names:\n# what they mean\n  1: with_mask  # worn\n\n  0: without_mask\nnc: 2\n",
        "names:\n- Without Mask\n- With Mask\n",
    ],
)
def test_yolo_names_from_yaml(tmp_path: Path, text: str) -> None:
    """Both ways in which data.yaml lists its names."""
    folder = _yolo(tmp_path / "set", "1 0.5 0.5 0.5 0.4\n")
    (folder / "classes.txt").unlink()
    (folder / "data.yaml").write_text(text)
    assert read_source(folder).pictures[0].faces[0].name == "with_mask"


def test_yolo_names_may_have_blanks(tmp_path: Path) -> None:
    """One name a line, so a name of two words shifts no other; what is no text is a sentence."""
    folder = _yolo(
        tmp_path / "set", "2 0.5 0.5 0.5 0.4\n", "face shield\nwith_mask\nwithout_mask\n"
    )
    assert read_source(folder).pictures[0].faces[0].name == "without_mask"
    (folder / "labels" / "classes.txt").write_bytes((folder / "classes.txt").read_bytes())
    assert read_source(folder).report.skipped == ()
    (folder / "classes.txt").write_bytes("männer\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"classes\.txt cannot be read as text"):
        read_source(folder)


def test_yolo_without_names_is_refused(tmp_path: Path) -> None:
    """Numbers alone say nothing."""
    folder = _yolo(tmp_path / "set", "1 0.5 0.5 0.5 0.4\n")
    (folder / "classes.txt").unlink()
    with pytest.raises(ConfigError, match=r"add classes\.txt"):
        read_source(folder)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("7 0.5 0.5 0.2 0.2", "not_a_box"),
        ("-1 0.5 0.5 0.2 0.2", "not_a_box"),
        ("1 0.2 0.3 0.6 0.3 0.6 0.9 0.2 0.9", "not_a_box"),
        ("1 0.5 0.5", "not_a_number"),
        ("1 0.5 half 0.2 0.2", "not_a_number"),
        ("1 0.5 0.5 0.0 0.2", "empty"),
        ("1 0.5 0.5 -0.2 0.2", "empty"),
        ("1 3.0 0.5 0.2 0.2", "outside"),
    ],
)
def test_a_bad_yolo_box_is_skipped(tmp_path: Path, line: str, reason: str) -> None:
    """The others of its file stay."""
    source = read_source(_yolo(tmp_path / "set", f"{line}\n0 0.5 0.5 0.5 0.4\n"))
    assert [fault.reason for fault in source.report.boxes] == [reason]
    assert len(source.pictures[0].faces) == 1


def test_unknown_class_names_are_listed_with_the_map_to_give(tmp_path: Path) -> None:
    """The sentence is a command line to copy."""
    folder = _yolo(tmp_path / "set", "1 0.5 0.5 0.5 0.4\n", "bare\nmasked\n")
    (line,) = read_source(folder).report.lines()
    assert "--name masked=MEANING" in line
    assert read_source(folder, {"masked": "with_mask"}).pictures[0].faces[0].label == 1


def test_class_folders_are_read(tmp_path: Path) -> None:
    """One face a picture, labelled by its folder."""
    _picture(tmp_path / "set" / "with_mask" / "a.png")
    _picture(tmp_path / "set" / "without_mask" / "b.png")
    source = read_source(tmp_path / "set")
    assert source.form == "folders"
    assert [p.faces[0].name for p in source.pictures] == ["with_mask", "without_mask"]


def test_a_class_folder_of_an_unknown_name_is_told(tmp_path: Path) -> None:
    """With the map to give; case and blanks make no difference."""
    for place in ("With Mask", "without_mask", "chin_mask"):
        _picture(tmp_path / "set" / place / "a.png")
    (tmp_path / "set" / "notes").mkdir()
    source = read_source(tmp_path / "set")
    assert len(source.pictures) == 2
    (line,) = source.report.lines()
    assert "chin_mask (1 boxes)" in line
    assert "--name chin_mask=MEANING" in line
    named = read_source(tmp_path / "set", {"chin_mask": "mask_worn_incorrectly"})
    assert {picture.faces[0].label for picture in named.pictures} == {0, 1, 2}


def test_pictures_and_annotations_without_each_other_are_reported(
    voc: Path, tmp_path: Path
) -> None:
    """Both ways, and the rest is read."""
    folder = tmp_path / "copy"
    shutil.copytree(voc, folder)
    (folder / "images" / "picture0.png").unlink()
    (folder / "annotations" / "picture1.xml").unlink()
    source = read_source(folder)
    assert len(source.pictures) == 34
    assert sorted(skipped.path.name for skipped in source.report.skipped) == [
        "picture0.xml",
        "picture1.png",
    ]


def test_a_label_without_picture_is_reported(tmp_path: Path) -> None:
    """The reverse, for YOLO."""
    folder = _yolo(tmp_path / "set", "1 0.5 0.5 0.5 0.4\n")
    (folder / "labels" / "two.txt").write_text("1 0.5 0.5 0.5 0.4\n")
    _picture(folder / "images" / "three.png")
    reasons = [skipped.reason for skipped in read_source(folder).report.skipped]
    assert len(reasons) == 2
    assert any("no picture" in reason for reason in reasons)
    assert any("no annotation" in reason for reason in reasons)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """The sentence shows the forms that are known."""
    with pytest.raises(ConfigError, match="PASCAL VOC"):
        read_source(tmp_path)


def test_a_folder_without_usable_picture_is_refused(tmp_path: Path) -> None:
    """The first reason is told."""
    (tmp_path / "with_mask").mkdir()
    (tmp_path / "with_mask" / "text.png").write_text("no picture")
    with pytest.raises(ConfigError, match="no usable picture"):
        read_source(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """A typing error is told as such."""
    with pytest.raises(ConfigError, match="there is no folder"):
        read_source(tmp_path / "nothing")
