"""Heat-map detectors: maps to boxes, scaling, parts, and what is no detector."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import ArrayPicture
from onnx import TensorProto, helper

from worker.capture.portraits import figure
from worker.errors import BadDataError, ModelError
from worker.faces.detect import Detector, open_detector
from worker.faces.heatmap import (
    LOOK_PX,
    ROOM_PX,
    HeatmapDetector,
    decode_points,
    fitted,
    kept,
    open_artifact,
    open_centerface,
)
from worker.faces.maps import MULTIPLE_PX, FaceMaps, OnnxMaps
from worker.inference.align import CropRule
from worker.inference.artifact import CENTER_POINT, ONNX, Manifest, load, save
from worker.records import Box, Image, Tiling


def bright_spots() -> HeatmapDetector:
    """A detector for which a bright pixel at a point of the grid is a face of 4 px."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("MaxPool", ["planes"], ["tops"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Slice", ["tops", "zero", "one", "axis"], ["blue"]),
        helper.make_node("Div", ["blue", "white"], ["heat"]),
        helper.make_node("Slice", ["tops", "zero", "two", "axis"], ["pair"]),
        helper.make_node("Mul", ["pair", "nothing"], ["size"]),
        helper.make_node("Mul", ["pair", "nothing"], ["offset"]),
    ]
    constants = [
        helper.make_tensor(name, TensorProto.INT64, [1], [value])
        for name, value in (("zero", 0), ("one", 1), ("two", 2), ("axis", 1))
    ] + [
        helper.make_tensor(name, TensorProto.FLOAT, [1], [value])
        for name, value in (("white", 255.0), ("nothing", 0.0))
    ]
    graph = helper.make_graph(
        nodes,
        "spots",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, "h", "w", 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in ("heat", "size", "offset")
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return HeatmapDetector("spots", OnnxMaps(model), threshold=0.5, smallest_px=12, min_face_px=12)


def test_decoding_puts_the_box_around_its_point() -> None:
    """A point at row 5, column 3 with a size of 4 x 2 strides gives the box around it."""
    heat = np.zeros((8, 8), np.float32)
    heat[5, 3] = 0.9
    size = np.zeros((2, 8, 8), np.float32)
    size[0, 5, 3], size[1, 5, 3] = np.log(4), np.log(2)
    boxes, scores = decode_points(FaceMaps(heat, size, np.zeros_like(size)), 0.5)
    np.testing.assert_allclose(boxes, [[10, 14, 18, 30]], rtol=1e-5)
    assert scores.tolist() == [pytest.approx(0.9)]


def test_overlapping_boxes_are_suppressed_and_clipped() -> None:
    """Of two boxes on one face the better stays; boxes end at the picture's edge."""
    boxes = np.array([[-5, 0, 20, 20], [-4, 0, 21, 20], [50, 50, 90, 90]], np.float32)
    found = kept(boxes, np.array([0.8, 0.9, 0.7], np.float32), 64, 64)
    assert [face.box for face in found] == [(0, 0, 21, 20), (50, 50, 64, 64)]


def test_box_comes_back_in_pixels_of_the_picture() -> None:
    """A spot in a picture that was not a multiple of 32 is found where it is."""
    image = np.zeros((50, 70, 3), np.uint8)
    image[21, 41] = 255
    (face,) = bright_spots().detect(image)
    assert face.box == (40, 20, 44, 24)
    assert face.score == 1


def test_picture_is_scaled_and_padded_with_black() -> None:
    """The input has sides that are multiples of 32, black where the picture ends."""
    pixels, (wide, high) = fitted(np.full((50, 70, 3), 9, np.uint8), 0.5)
    assert pixels.shape == (32, 64, 3)
    assert (wide, high) == (35, 25)
    assert (pixels[:25, :35] == 9).all()
    assert not pixels[25:].any()


@pytest.mark.parametrize("shape", [(4_320, 7_680), (7_680, 4_320)])
def test_large_pictures_are_bounded(shape: tuple[int, int]) -> None:
    """Whatever is asked for, the network never sees more than 2,048 px a side."""
    pixels, _ = fitted(np.zeros((*shape, 3), np.uint8), 2.0)
    assert max(pixels.shape) == 2_048


def test_large_frames_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Once a size: what is asked for cannot be had there, and what can."""
    caplog.set_level(logging.WARNING, "worker.faces")
    detector = open_detector("fast", min_face_px=12)
    for _ in range(2):
        detector.detect(np.zeros((64, 4_096, 3), np.uint8))
        detector.detect(np.zeros((64, 640, 3), np.uint8))
    (record,) = caplog.records
    assert "finds faces from 16 px on, not from 12 px" in record.message


def test_values_that_are_no_numbers_are_no_empty_hall(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that overflows says nothing, and that is told."""
    detector = bright_spots()
    maps = FaceMaps(*(np.full((n, 8, 8), np.nan, np.float32).squeeze() for n in (1, 2, 2)))
    monkeypatch.setattr(detector._engine, "run", lambda _pixels: maps)
    with pytest.raises(BadDataError, match="not finite"):
        detector.detect(np.zeros((32, 32, 3), np.uint8))


def test_centerface_takes_pixels_as_they_are() -> None:
    """Black pixels give no face, and the graph takes uint8 BGR."""
    detector = open_centerface(12)
    assert detector.detect(np.zeros((64, 96, 3), np.uint8)) == []


@pytest.mark.parametrize("name", ["accurate", "fast"])
def test_shipped_detector_finds_a_portrait(name: str) -> None:
    """The artifact in the package is whole, and sees the one face of a portrait."""
    data = pytest.importorskip("skimage.data")
    image = np.ascontiguousarray(data.astronaut()[..., ::-1])
    (face,) = open_detector(name, min_face_px=40).detect(image)
    x, y = (face.box.x1 + face.box.x2) / 2, (face.box.y1 + face.box.y2) / 2
    assert (x, y) == (pytest.approx(222, abs=25), pytest.approx(115, abs=30))


def _manifest(**changes: object) -> Manifest:
    values = {
        "schema": "maskwatch.artifact/1",
        "kind": "detector",
        "name": "tiny",
        "version": "1",
        "network": CENTER_POINT,
        "classes": (),
    }
    return Manifest.model_validate({**values, **changes})


def test_classifier_given_as_detector_is_refused(tmp_path: Path) -> None:
    """An artifact of the other kind is named as such."""
    manifest = _manifest(kind="classifier", crop=CropRule(64, 0.2, square=True))
    save(tmp_path / "model", manifest, {ONNX: b"x"})
    with pytest.raises(ModelError, match="is a classifier, but a detector is wanted"):
        open_detector(str(tmp_path / "model"), min_face_px=20)


def test_other_network_is_refused(tmp_path: Path) -> None:
    """A detector of another family would be decoded wrongly."""
    save(tmp_path / "model", _manifest(network="boxes"), {ONNX: b"x"})
    with pytest.raises(ModelError, match="holds the network 'boxes'"):
        open_artifact(load(tmp_path / "model", kind="detector"), 12)


def test_damaged_network_is_refused(tmp_path: Path) -> None:
    """Bytes that are no network are a sentence with the file's name."""
    save(tmp_path / "model", _manifest(), {ONNX: b"no network"})
    with pytest.raises(ModelError, match=r"model\.onnx"):
        open_artifact(load(tmp_path / "model", kind="detector"), 12)


def _people() -> Image:
    """Eight people of 34 px heads in a view of 720 lines."""
    rng = np.random.default_rng(5)
    view = cv2.GaussianBlur(rng.integers(60, 180, (720, 1280, 3), np.uint8), (0, 0), 9)
    for n in range(8):
        person = figure(n, "without_mask", 34, rng)
        top, left = 100 + 320 * (n % 2), 40 + 300 * (n // 2)
        spot = view[top : top + person.pixels.shape[0], left : left + person.pixels.shape[1]]
        pixels = person.pixels[: spot.shape[0], : spot.shape[1]]
        spot[:] = spot * (1 - pixels[..., 3:] / 255.0) + pixels[..., :3]
    return np.asarray(view, np.uint8)


@pytest.mark.parametrize("name", ["accurate", "fast"])
def test_a_small_face_is_found_in_a_part_with_the_room_that_the_detector_asks_for(
    name: str,
) -> None:
    """Near its limit it is found by what is around it: a fourth of that room loses some."""
    detector = open_detector(name, min_face_px=30)
    tiling = detector.tiling(1280, 720)
    assert tiling is not None
    room = tiling.room_px
    view = _people()
    faces = detector.detect(view)
    assert len(faces) >= 6

    def found(room: float) -> int:
        return sum(_finds(detector, view, face.box, room) for face in faces)

    assert found(room) == len(faces)
    assert found(room / 4) < len(faces)


@pytest.mark.parametrize("name", ["accurate", "fast"])
def test_a_frame_is_looked_at_without_converting_all_of_it(name: str) -> None:
    """The same faces as in the whole picture, in its pixels, in a part and in all of it."""
    detector = open_detector(name, min_face_px=30)
    view = _people()
    faces = [face for face in detector.detect(view) if face.score > detector.threshold + 0.05]
    assert len(faces) >= 4
    frame = ArrayPicture(view)
    frame.bgr = _never  # type: ignore[method-assign]
    found = detector.look(frame, Box(0, 0, 1280, 720))
    assert all(any(_same(a.box, b.box) for b in found) for a in faces)
    part = Box(301, 61, 1280, 720)
    within = detector.look(frame, part)
    assert within
    assert all(any(_same(a.box, b.box) for b in found) for a in within)
    assert all(a.box.x1 >= part.x1 and a.box.y1 >= part.y1 for a in within)
    large = open_detector(name, min_face_px=15)
    with pytest.raises(AssertionError):
        large.look(frame, Box(0, 0, 640, 360))  # to be scaled down a little, it needs every pixel


def test_a_frame_too_large_for_the_smallest_face_is_looked_at_as_small_as_detect_does() -> None:
    """The limit holds for both ways."""
    detector = open_detector("fast", min_face_px=20)
    frame = ArrayPicture(np.zeros((160, 8_192, 3), np.uint8))
    sizes = []
    run = detector._engine.run
    detector._engine.run = lambda pixels: sizes.append(pixels.shape) or run(pixels)  # type: ignore[func-returns-value,method-assign]
    detector.detect(frame.image)
    detector.look(frame, Box(0, 0, 8_192, 160))
    assert sizes == [(64, 2_048, 3)] * 2


def _never() -> Image:
    raise AssertionError


def _same(a: Box, b: Box) -> bool:
    wide = min(a.x2, b.x2) - max(a.x1, b.x1)
    high = min(a.y2, b.y2) - max(a.y1, b.y1)
    common = max(0.0, wide) * max(0.0, high)
    return common > 0.6 * (a.width * a.height + b.width * b.height - common)


def _finds(detector: Detector, view: Image, box: Box, room: float) -> bool:
    """True where a part with so much room around a face shows it too."""
    x1, y1, x2, y2 = (int(side) for side in box)
    left, top = max(0, x1 - int(room)), max(0, y1 - int(room))
    part = view[top : y2 + int(room), left : x2 + int(room)]
    centres = [
        (left + (f.box.x1 + f.box.x2) / 2, top + (f.box.y1 + f.box.y2) / 2)
        for f in detector.detect(part)
    ]
    return any(x1 < x < x2 and y1 < y < y2 for x, y in centres)


def test_what_is_too_small_or_too_large_to_be_cut_is_looked_at_as_a_whole() -> None:
    """A look has its price; and a part of a huge picture would be seen better than the whole."""
    detector = open_detector("fast", min_face_px=8)
    assert detector.tiling(1280, 720) == Tiling(ROOM_PX, MULTIPLE_PX, LOOK_PX)
    assert detector.tiling(200, 100) is None
    assert detector.tiling(3840, 2160) is None
    detector.device = "cuda"
    assert detector.tiling(1280, 720) is None
