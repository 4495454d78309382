"""Tests of reading PASCAL VOC folders, good and bad."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from evaluation.voc_folder import add, annotation, write_picture
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from worker.errors import BadDataError, ConfigError
from worker.evaluation.voc import parse_names, read_annotation, read_folder
from worker.records import Box

BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><annotation>&b;</annotation>"""


def read(tmp_path: Path, text: str) -> tuple[list[tuple[str, Box]], list[str]]:
    file = tmp_path / "one.xml"
    file.write_text(text)
    faces, faults = read_annotation(file, 100, 80)
    return [(face.name, face.box) for face in faces], [fault.reason for fault in faults]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("with_mask", "with_mask"),
        ("without_mask", "without_mask"),
        ("mask_weared_incorrect", "mask_worn_incorrectly"),
        ("mask_wearred_incorrect", "mask_worn_incorrectly"),
        ("mask_worn_incorrectly", "mask_worn_incorrectly"),
        ("With Mask", "with_mask"),
        ("without-mask", "without_mask"),
        ("face", "face"),
        ("ignore", "ignore"),
    ],
)
def test_names_mean_what_their_spelling_says(tmp_path: Path, written: str, meant: str) -> None:
    """Every known spelling, whatever its case and its blanks."""
    faces, faults = read(tmp_path, annotation([(written, (1, 2, 30, 40))]))
    assert faces == [(meant, Box(1, 2, 30, 40))]
    assert faults == []


@pytest.mark.parametrize(
    ("corners", "reason", "kept"),
    [
        ((-5, 10, 20, 30), "clipped", Box(0, 10, 20, 30)),
        ((10, 10, 500, 30), "clipped", Box(10, 10, 100, 30)),
        ((200, 10, 220, 30), "outside", None),
        ((30, 10, 20, 30), "inverted", None),
        ((20, 10, 20, 30), "empty", None),
        (("nan", 10, 20, 30), "not_a_number", None),
        (("", 10, 20, 30), "not_a_number", None),
        (("wide", 10, 20, 30), "not_a_number", None),
        (("1e999", 10, 20, 30), "not_a_number", None),
    ],
)
def test_a_faulty_box_is_reported_and_clipped_or_dropped(
    tmp_path: Path, corners: tuple[object, object, object, object], reason: str, kept: Box | None
) -> None:
    """The fault is told; the next box of the file is read all the same."""
    faces, faults = read(
        tmp_path, annotation([("with_mask", corners), ("without_mask", (5, 5, 9, 9))])
    )
    assert faults == [reason]
    assert [box for _, box in faces] == ([kept] if kept else []) + [Box(5, 5, 9, 9)]


def test_coordinates_may_have_fractions(tmp_path: Path) -> None:
    """Floats are kept as they are."""
    faces, _ = read(tmp_path, annotation([("face", (1.5, 2.25, 30.75, 40.0))]))
    assert faces[0][1] == Box(1.5, 2.25, 30.75, 40.0)


def test_an_object_without_box_is_reported(tmp_path: Path) -> None:
    """It has no numbers."""
    text = "<annotation><object><name>face</name></object></annotation>"
    assert read(tmp_path, text) == ([], ["not_a_number"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "entity bomb"),
        ("<annotation><object>", "malformed"),
        ("", "malformed"),
        ("<html></html>", "root is <html>"),
        ("<?xml version='1.0' encoding='nonsense'?><annotation/>", "malformed"),
    ],
)
def test_a_bad_annotation_file_is_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    """Entity bombs, broken XML and other documents are refused with the file's name."""
    with pytest.raises(BadDataError, match=rf"one\.xml.*{message}"):
        read(tmp_path, text)


def test_a_huge_annotation_is_refused_unread(tmp_path: Path) -> None:
    """The bound is on the bytes, before parsing."""
    with pytest.raises(BadDataError, match="too many for one picture"):
        read(tmp_path, "<annotation>" + " " * 5_000_000 + "</annotation>")


def test_a_folder_gives_pictures_and_what_was_skipped(tmp_path: Path) -> None:
    """A picture without annotation, the reverse, a broken picture and a twin are told."""
    add(tmp_path, "good", [("with_mask", (1, 1, 9, 9))])
    add(tmp_path, "broken", [])
    (tmp_path / "images" / "broken.png").write_bytes(b"no picture")
    write_picture(tmp_path / "images" / "alone.png")
    write_picture(tmp_path / "images" / "good.bmp")
    (tmp_path / "annotations" / "ghost.xml").write_text(annotation([]))
    folder = read_folder(tmp_path)
    assert [picture.stem for picture in folder.pictures] == ["good"]
    lines = "\n".join(folder.report.lines())
    for text in ("alone.png has no annotation", "ghost.xml has no picture", "broken.png", "stem"):
        assert text in lines


def test_one_bad_annotation_does_not_harm_the_others(tmp_path: Path) -> None:
    """The bomb is reported, the rest is read."""
    add(tmp_path, "a", [("with_mask", (1, 1, 9, 9))])
    add(tmp_path, "b", [])
    (tmp_path / "annotations" / "b.xml").write_text(BOMB)
    folder = read_folder(tmp_path)
    assert len(folder.pictures) == 1
    assert "entity bomb" in folder.report.skipped[0].reason


def test_the_pictures_own_size_counts(tmp_path: Path) -> None:
    """Boxes are clipped to the file's pixels, whatever the annotation claims."""
    add(tmp_path, "a", [("face", (0, 0, 5_000, 5_000))])
    picture = read_folder(tmp_path).pictures[0]
    assert (picture.width, picture.height) == (100, 80)
    assert picture.faces[0].box == Box(0, 0, 100, 80)


def test_unknown_names_are_listed_with_the_map_to_give(tmp_path: Path) -> None:
    """They are kept as regions that count neither way."""
    add(tmp_path, "a", [("helmet", (1, 1, 9, 9)), ("helmet", (11, 1, 19, 9))])
    folder = read_folder(tmp_path)
    assert [face.name for face in folder.pictures[0].faces] == ["ignore", "ignore"]
    assert folder.report.unknown_names() == {"helmet": 2}
    assert "helmet (2 boxes); give --name helmet=MEANING" in folder.report.lines()[0]


def test_a_given_map_explains_further_names(tmp_path: Path) -> None:
    """It stands above the built-in one."""
    add(tmp_path, "a", [("Masked", (1, 1, 9, 9)), ("face", (11, 1, 19, 9))])
    folder = read_folder(tmp_path, parse_names(["masked=with_mask", "face=without_mask"]))
    assert [face.name for face in folder.pictures[0].faces] == ["with_mask", "without_mask"]
    assert folder.report.lines() == []


def test_only_the_wanted_pictures_are_read(tmp_path: Path) -> None:
    """Others are no fault, and a list may name pictures of other folders."""
    add(tmp_path, "a", [])
    add(tmp_path, "b", [])
    assert [p.stem for p in read_folder(tmp_path, only={"b", "z"}).pictures] == ["b"]


def test_a_list_that_names_no_picture_here_is_wrong_usage(tmp_path: Path) -> None:
    """An example of what was asked for is told."""
    add(tmp_path, "a", [])
    with pytest.raises(ConfigError, match=r"none of the 2 pictures asked for .* for example y"):
        read_folder(tmp_path, only={"y", "z"})


def test_a_folder_of_another_shape_is_wrong_usage(tmp_path: Path) -> None:
    """The two folders are named."""
    with pytest.raises(ConfigError, match="images/ and annotations/"):
        read_folder(tmp_path)


def test_a_map_of_no_known_meaning_is_wrong_usage() -> None:
    """The meanings are listed."""
    with pytest.raises(ConfigError, match=r"--name hat=cap.*without_mask, with_mask"):
        parse_names(["hat=cap"])


FUZZ = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["with_mask", "1e999", "nan", "-1", "9" * 400, "1_0"]
)
TAGS = st.sampled_from(["object", "name", "bndbox", "xmin", "ymin", "xmax", "ymax", "size", "x"])
ELEMENTS = st.recursive(
    st.tuples(TAGS, TEXTS),
    lambda inner: st.tuples(TAGS, st.lists(inner, max_size=5)),
    max_leaves=20,
)


def xml(element: Any) -> str:
    """An element as text."""
    tag, content = element
    inner = escape(content) if isinstance(content, str) else "".join(map(xml, content))
    return f"<{tag}>{inner}</{tag}>"


def reads_or_tells(path: Path) -> None:
    """Boxes inside the picture, or bad data; any other error is a fault of ours."""
    faces: Any = ()
    faults: Any = ()
    with contextlib.suppress(BadDataError):
        faces, faults = read_annotation(path, 100, 80)
    for face in faces:
        assert 0 <= face.box.x1 < face.box.x2 <= 100
        assert 0 <= face.box.y1 < face.box.y2 <= 80
    assert all(fault.path == path for fault in faults)


@FUZZ
@given(st.lists(ELEMENTS, max_size=4))
def test_any_tree_gives_boxes_or_bad_data(tmp_path: Path, elements: list[Any]) -> None:
    """Our own names in any order, with anything in them."""
    path = tmp_path / "a.xml"
    path.write_text(f"<annotation>{''.join(map(xml, elements))}</annotation>", "utf-8", "replace")
    reads_or_tells(path)


@FUZZ
@given(position=st.integers(0, 300), damage=st.binary(max_size=4), cut=st.integers(0, 60))
@example(position=0, damage=b"<" * 100_000, cut=0)
@example(position=0, damage=b"<a>" * 100_000, cut=0)
@example(position=0, damage=b"\xff\xfe", cut=0)
@example(position=0, damage=b'<?xml version="1.0" encoding="nowhere"?>', cut=0)
def test_any_damage_gives_boxes_or_bad_data(
    tmp_path: Path, position: int, damage: bytes, cut: int
) -> None:
    """Wherever it is."""
    whole = annotation([("with_mask", (10, 10, 40, 50)), ("without_mask", (1, 2, 3, 4))]).encode()
    damaged = whole[:position] + damage + whole[position + len(damage) :]
    (tmp_path / "a.xml").write_bytes(damaged[: len(damaged) - cut])
    reads_or_tells(tmp_path / "a.xml")
