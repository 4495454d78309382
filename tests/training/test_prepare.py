"""Preparing: patches to train from, and the report's crops."""

from __future__ import annotations

import csv
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.faces import load_faces
from training.patches import LARGEST_PATCH_PX, patch_of, same_face
from training.prepare import _parallel, prepare, prepare_report
from training.sources import read_source
from worker.errors import ConfigError, WorkError
from worker.records import Box


def test_the_report_s_form(voc: Path, tmp_path: Path) -> None:
    """Crops of 224 px numbered from 0, labels by row, the third class skipped."""
    done = prepare_report(read_source(voc), tmp_path / "out", workers=1)
    with (tmp_path / "out" / "annotation.csv").open() as stream:
        labels = [int(row[0]) for row in csv.reader(stream)]
    assert set(labels) == {0, 1}
    assert len(labels) == done.faces["without_mask"] + done.faces["with_mask"]
    images = sorted((tmp_path / "out" / "images").iterdir())
    assert len(images) == len(labels)
    assert cv2.imread(str(images[0])).shape == (224, 224, 3)


def test_the_third_class_is_kept_by_choice(voc: Path, tmp_path: Path) -> None:
    """With label 2."""
    done = prepare_report(read_source(voc), tmp_path / "out", third=True, workers=1)
    labels = (tmp_path / "out" / "annotation.csv").read_text().split()
    assert labels.count("2") == done.faces["mask_worn_incorrectly"] > 0


def test_a_face_s_box_lies_right_in_its_patch() -> None:
    """The pixels under the box are the face's."""
    image = np.zeros((400, 600, 3), np.uint8)
    image[100:150, 200:240] = 255
    face, patch = patch_of(image, Box(200, 100, 240, 150), None, source="s", picture="p", label=1)
    x1, y1, x2, y2 = (round(side) for side in face.box)
    assert (patch[y1:y2, x1:x2] == 255).all()
    assert int((patch == 255).sum()) == 40 * 50 * 3


def test_a_large_face_s_patch_is_shrunk() -> None:
    """So that a data set fits into memory."""
    image = np.zeros((900, 900, 3), np.uint8)
    image[200:700, 200:600] = 255
    face, patch = patch_of(image, Box(200, 200, 600, 700), None, source="s", picture="p", label=1)
    assert max(patch.shape) <= LARGEST_PATCH_PX
    assert face.face_px == 400
    assert face.box.height / face.box.width == pytest.approx(1.25, abs=0.01)


def test_a_patch_of_any_shape_is_shrunk() -> None:
    """Down to one pixel, where a picture is a thin strip."""
    image = np.zeros((3000, 6, 3), np.uint8)
    _, patch = patch_of(image, Box(0, 0, 6, 2900), None, source="s", picture="p", label=1)
    assert patch.shape == (LARGEST_PATCH_PX, 1, 3)


def test_the_detector_s_box_of_the_same_face_is_kept() -> None:
    """The one that overlaps most, if it overlaps enough."""
    box = Box(0, 0, 10, 10)
    assert same_face(box, [Box(50, 50, 60, 60), Box(1, 1, 11, 11)]) == Box(1, 1, 11, 11)
    assert same_face(box, [Box(8, 8, 18, 18)]) is None
    assert same_face(box, []) is None


@pytest.mark.parametrize("width", [60, 120, 480])
def test_a_near_face_is_found_in_a_picture_of_any_size(tmp_path: Path, width: int) -> None:
    """Also in a small picture that it fills, where only a fine look finds it."""
    data = pytest.importorskip("skimage.data")
    face = cv2.resize(data.astronaut()[10:210, 130:310, ::-1], (width, round(width / 0.9)))
    (tmp_path / "data" / "without_mask").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "data" / "without_mask" / "one.png"), face)
    done = prepare([read_source(tmp_path / "data")], tmp_path / "out", workers=1)
    assert done.faces == {"without_mask": 1}
    (record,) = load_faces(tmp_path / "out")
    assert record.face_px == pytest.approx(0.5 * width, rel=0.25)


def test_bad_pictures_are_skipped_by_reason(voc: Path, tmp_path: Path) -> None:
    """A picture that is no picture, one that is cut, one box of a pixel: all told, none fatal."""
    folder = tmp_path / "copy"
    shutil.copytree(voc, folder)
    (folder / "images" / "picture0.png").write_text("no picture")
    whole = (folder / "images" / "picture1.png").read_bytes()
    (folder / "images" / "picture1.png").write_bytes(whole[: len(whole) // 2])
    file = folder / "annotations" / "picture2.xml"
    file.write_text(
        file.read_text().replace("</annotation>", _object(1, 1, 2, 2) + "</annotation>")
    )
    done = prepare([read_source(folder)], tmp_path / "out", detector=None, workers=1)
    assert done.skipped == {"unusable_file": 1, "unusable_picture": 1, "face_too_small": 1}
    assert len(load_faces(tmp_path / "out")) == 2 * 34
    assert "picture1.png" in (tmp_path / "out" / "problems.csv").read_text()


def test_the_report_s_form_tells_what_it_leaves_out(voc: Path, tmp_path: Path) -> None:
    """As the other form does; a set of which nothing is left is refused."""
    folder = tmp_path / "copy"
    shutil.copytree(voc, folder)
    (folder / "images" / "picture0.png").write_text("no picture")
    file = folder / "annotations" / "picture2.xml"
    file.write_text(
        file.read_text().replace("</annotation>", _object(1, 1, 2, 2) + "</annotation>")
    )
    done = prepare_report(read_source(folder), tmp_path / "out", workers=1)
    thirds = done.skipped.pop("third_class")
    assert done.skipped == {"unusable_file": 1, "face_too_small": 1}
    assert sum(done.faces.values()) + thirds == 70
    assert "picture0.png" in (tmp_path / "out" / "problems.csv").read_text()
    for file in (folder / "annotations").iterdir():
        file.write_text(re.sub("<name>.*?</name>", "<name>face</name>", file.read_text()))
    with pytest.raises(WorkError, match="not one usable face was found"):
        prepare_report(read_source(folder), tmp_path / "none", workers=1)


def test_two_folders_of_one_name_are_refused(voc: Path, tmp_path: Path) -> None:
    """Figures, weights and splits go by it."""
    shutil.copytree(voc, tmp_path / "copy" / voc.name)
    sources = [read_source(voc), read_source(tmp_path / "copy" / voc.name)]
    with pytest.raises(ConfigError, match=f"are both named {voc.name}"):
        prepare(sources, tmp_path / "out", detector=None)


def test_faces_are_the_same_with_more_processes(voc: Path, prepared: Path, tmp_path: Path) -> None:
    """The order is that of the pictures, however many work."""
    prepare([read_source(voc)], tmp_path / "out", detector=None, workers=2)
    for name in ("faces.csv", "patches.npy"):
        assert (tmp_path / "out" / name).read_bytes() == (prepared / name).read_bytes()


def _dies(_task: object) -> object:
    """As a process that the system kills for its memory."""
    os._exit(9)


def test_a_process_that_is_killed_is_told() -> None:
    """In a sentence, and the work ends."""
    with pytest.raises(WorkError, match="was killed, as it happens where memory is short"):
        list(_parallel(_dies, [("s", False, None)] * 20, 2))  # type: ignore[list-item]


def test_a_folder_that_holds_something_is_refused(voc: Path, tmp_path: Path) -> None:
    """Nothing of anybody's is written over."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        prepare([read_source(voc)], tmp_path, detector=None)


def test_a_folder_without_boxes_needs_a_detector(tmp_path: Path) -> None:
    """The sentence names the option."""
    (tmp_path / "set" / "with_mask").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "set" / "with_mask" / "a.png"), np.zeros((30, 30, 3), np.uint8))
    source = read_source(tmp_path / "set")
    with pytest.raises(ConfigError, match="--detector"):
        prepare([source], tmp_path / "out", detector=None)
    with pytest.raises(ConfigError, match="has no boxes"):
        prepare_report(source, tmp_path / "report")


def test_no_usable_face_at_all_fails(voc: Path, tmp_path: Path) -> None:
    """With the first reason."""
    folder = tmp_path / "copy"
    shutil.copytree(voc, folder)
    for picture in (folder / "images").iterdir():
        picture.write_bytes(picture.read_bytes()[:200])
    with pytest.raises(WorkError, match="not one usable face"):
        prepare([read_source(folder)], tmp_path / "out", detector=None, workers=1)


def _object(x1: int, y1: int, x2: int, y2: int) -> str:
    return (
        f"<object><name>with_mask</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
    )


@pytest.mark.parametrize("form", ["patches", "report"])
def test_a_full_disk_is_a_sentence(
    voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Whatever is written when it happens."""

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.faces.np.save", full)
    monkeypatch.setattr("training.prepare.save_picture", full)
    source, out = read_source(voc), tmp_path / "out"
    written = {
        "patches": lambda: prepare([source], out, detector=None, workers=1),
        "report": lambda: prepare_report(source, out, workers=1),
    }
    with pytest.raises(WorkError, match="No space left on device"):
        written[form]()
