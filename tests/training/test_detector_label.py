"""Labels from two detectors."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.detector.centerface import centerface_path
from training.detector.data import read_parts
from training.detector.label import agreement, label_folder
from training.detector.teachers import open_teacher
from worker.errors import ConfigError
from worker.records import Box, Detection, Image


class Says:
    """A detector that always says the same."""

    name = "says"
    threshold = 0.5

    def __init__(self, *boxes: Box) -> None:
        self._boxes = boxes

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:
        return [Detection(box, 0.9) for box in self._boxes]


def test_agreement_is_the_mean_and_the_rest_is_doubtful() -> None:
    """Two that overlap are one face; one that stands alone is to be ignored."""
    faces, doubtful = agreement(
        Says(Box(0, 0, 10, 10), Box(50, 50, 60, 60)).detect(np.zeros((1, 1, 3), np.uint8)),
        Says(Box(2, 0, 12, 10)).detect(np.zeros((1, 1, 3), np.uint8)),
    )
    assert faces == [(1, 0, 11, 10)]
    assert doubtful == [(50, 50, 60, 60)]


def test_labelled_folder_can_be_learned_from(tmp_path: Path) -> None:
    """What label writes, fit-detector reads; pictures without agreement stay away."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(12):
        cv2.imwrite(str(pictures / f"{number}.png"), np.zeros((40, 60, 3), np.uint8))
    (pictures / "broken.png").write_bytes(b"nothing")
    one, two = Says(Box(4, 4, 24, 24), Box(30, 4, 50, 24)), Says(Box(5, 4, 25, 24))
    done = label_folder(pictures, tmp_path / "out", (one, two))
    assert (done.pictures, done.faces, done.ignored, len(done.skipped)) == (12, 12, 12, 1)
    source = read_parts(tmp_path / "out", 1, ["train"])[0]
    assert source.samples[0].faces.tolist() == [[4.5, 4, 24.5, 24]]
    assert source.samples[0].ignored.tolist() == [[30, 4, 50, 24]]
    assert label_folder(pictures, tmp_path / "none", (one, Says())).pictures == 0


def test_pictures_and_corrections_are_left_alone(tmp_path: Path) -> None:
    """Links never take the place of the pictures; an annotation that is there stays as it is."""
    hall = tmp_path / "hall"
    (hall / "images").mkdir(parents=True)
    cv2.imwrite(str(hall / "images" / "a.png"), np.zeros((40, 60, 3), np.uint8))
    two = (Says(Box(4, 4, 24, 24)), Says(Box(5, 4, 25, 24)))
    with pytest.raises(ConfigError, match="links would take the place"):
        label_folder(hall / "images", hall, two)
    assert not (hall / "images" / "a.png").is_symlink()

    out = tmp_path / "out"
    (out / "images").mkdir(parents=True)
    (out / "images" / "a.png").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="a picture of its own"):
        label_folder(hall / "images", out, two)
    (out / "images" / "a.png").unlink()
    assert label_folder(hall / "images", out, two).pictures == 1
    (out / "annotations" / "a.xml").write_text("corrected")
    done = label_folder(hall / "images", out, two)
    assert (done.pictures, done.kept) == (0, 1)
    assert (out / "annotations" / "a.xml").read_text() == "corrected"


def test_another_network_is_no_yunet() -> None:
    """It is refused before the first picture."""
    with pytest.raises(ConfigError, match="is no YuNet that OpenCV reads"):
        open_teacher(str(centerface_path()), 12)


def test_teacher_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing or wrong file is a sentence."""
    with pytest.raises(ConfigError, match="there is no file"):
        open_teacher(str(tmp_path / "y.onnx"), 12)
    (tmp_path / "y.onnx").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="is no YuNet"):
        open_teacher(str(tmp_path / "y.onnx"), 12)


def test_a_box_without_end_is_no_face(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """YuNet gives one now and then, in pictures with little in them."""

    class Network:
        def setInputSize(self, size: tuple[int, int]) -> None:
            pass

        def detect(self, pixels: Image) -> tuple[int, np.ndarray]:
            whole, endless = np.full(15, 8.0), np.full(15, 8.0)
            endless[2] = np.inf
            endless[3] = np.nan
            return 2, np.stack([endless, whole]).astype(np.float32)

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Network())
    (tmp_path / "y.onnx").write_bytes(b"as it was")
    (face,) = open_teacher(str(tmp_path / "y.onnx"), 12).detect(np.zeros((64, 64, 3), np.uint8))
    assert face.box == Box(8, 8, 16, 16)
