"""Tests of labelling pictures and of where the annotated copies go."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation.painted import PaintEngine, painted
from evaluation.voc_folder import write_picture
from fakes import ScriptedDetector, ScriptedEngine, noise
from PIL import Image as Pillow

from worker.config import Deciding
from worker.errors import BadDataError, ConfigError, WorkError
from worker.evaluation.predict import Predictor, plan, run
from worker.inference.align import CropRule
from worker.inference.engine import Engine
from worker.records import Box, Detection

BOX = Box(10, 10, 50, 60)
ANY_SHARPNESS = Deciding(min_sharpness=0)


def predictor(
    *boxes: Box, engine: Engine | None = None, deciding: Deciding = ANY_SHARPNESS
) -> Predictor:
    detector = ScriptedDetector([Detection(box, 0.9) for box in boxes])
    return Predictor(detector, engine or PaintEngine(), CropRule(16), deciding, 0.5)


@pytest.mark.parametrize("label", ["with_mask", "without_mask", "mask_worn_incorrectly"])
def test_a_face_gets_its_label_and_score(label: str) -> None:
    """By the strongest class."""
    (face,) = predictor(BOX).predict(painted({BOX: label}))
    assert face.decision.label == label
    assert face.decision.score == pytest.approx(0.8)


def test_small_faces_are_unknown_and_not_classified() -> None:
    """The reason is told; order is that of the detections."""
    engine = PaintEngine()
    small = Box(60, 10, 68, 18)
    faces = predictor(small, BOX, engine=engine).predict(painted({BOX: "with_mask"}))
    assert [face.decision.label for face in faces] == ["unknown", "with_mask"]
    assert faces[0].decision.reason == "too_small"
    assert faces[0].probabilities is None
    assert engine.crops == 1


def test_blurred_faces_are_unknown() -> None:
    """A flat crop has no edges."""
    (face,) = predictor(BOX, deciding=Deciding()).predict(painted({}))
    assert face.decision.reason == "blurred"


def test_undecided_faces_keep_their_probabilities() -> None:
    """No class reaches what it has to."""
    engine = ScriptedEngine([0.45, 0.5, 0.05])
    (face,) = predictor(BOX, engine=engine).predict(noise(100, 80))
    assert face.decision.reason == "undecided"
    assert face.probabilities == pytest.approx((0.45, 0.5, 0.05))


def test_the_models_own_threshold_holds_for_masks() -> None:
    """A bare face called masked costs most."""
    detector, engine = ScriptedDetector([Detection(BOX, 0.9)]), ScriptedEngine([0.2, 0.8, 0.0])
    strict = Predictor(detector, engine, CropRule(16), ANY_SHARPNESS, 0.85)
    assert strict.predict(noise(100, 80))[0].decision.label == "unknown"


def results(jobs_of: list[Path], out: Path, *boxes: Box) -> tuple[list[dict], list[str], int]:
    lines: list[str] = []
    faults: list[BadDataError] = []
    failed = run(
        plan(jobs_of, out), predictor(*boxes), on_picture=lines.append, on_fault=faults.append
    )
    return [json.loads(line) for line in lines], [str(fault) for fault in faults], failed


def test_json_tells_faces_as_a_frame_event_does(tmp_path: Path) -> None:
    """Box as x, y, width, height; probabilities by class name."""
    source = write_picture(tmp_path / "a.png", painted({BOX: "with_mask"}))
    told, _, _ = results([source], tmp_path / "out", BOX)
    assert told[0]["path"] == str(source)
    assert (told[0]["width"], told[0]["height"]) == (100, 80)
    assert told[0]["faces"] == [
        {
            "box": [10, 10, 40, 50],
            "detection_score": 0.9,
            "label": "with_mask",
            "score": 0.8,
            "reason": None,
            "probabilities": {"without_mask": 0.1, "with_mask": 0.8, "mask_worn_incorrectly": 0.1},
            "face_px": 40,
        }
    ]


def test_the_annotated_copy_lies_where_json_says(tmp_path: Path) -> None:
    """Same size, drawn on; the input is untouched."""
    source = write_picture(tmp_path / "a.png", painted({BOX: "with_mask"}))
    before = source.read_bytes()
    told, _, _ = results([source], tmp_path / "out", BOX)
    with Pillow.open(told[0]["annotated"]) as drawn, Pillow.open(source) as original:
        assert drawn.size == original.size
        assert (np.asarray(drawn) != np.asarray(original)).any()
    assert source.read_bytes() == before


def test_bad_pictures_are_told_and_the_others_go_on(tmp_path: Path) -> None:
    """Both kinds are counted."""
    (tmp_path / "bad.png").write_bytes(b"no picture")
    good = write_picture(tmp_path / "good.png")
    told, faults, failed = results(
        [tmp_path / "bad.png", tmp_path / "gone.png", good], tmp_path / "out"
    )
    assert [Path(line["path"]).name for line in told] == ["good.png"]
    assert failed == 2
    assert "bad.png is no picture" in faults[0]
    assert "no file" in faults[1]


def test_pictures_of_a_folder_keep_their_place_below_it(tmp_path: Path) -> None:
    """Two folders with the same names do not overwrite each other."""
    for name in ("x/1.png", "x/sub/1.jpg", "y/1.png"):
        write_picture(tmp_path / name)
    jobs = plan([tmp_path / "x", tmp_path / "y"], tmp_path / "out")
    targets = [str(job.target.relative_to(tmp_path / "out")) for job in jobs]
    assert targets == ["1.png", "sub/1.jpg", "1-2.png"]


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    """Not its own copy, nor that of another picture."""
    first, second = write_picture(tmp_path / "1.png"), write_picture(tmp_path / "in" / "1.bmp")
    targets = [job.target.name for job in plan([first, second], tmp_path)]
    assert targets == ["1-2.png", "1-3.png"]


def test_an_output_folder_inside_the_input_is_wrong_usage(tmp_path: Path) -> None:
    """The next run would read what this one wrote."""
    write_picture(tmp_path / "1.png")
    with pytest.raises(ConfigError, match=r"--out .* lies inside"):
        plan([tmp_path], tmp_path / "out")


def test_a_folder_without_pictures_is_wrong_usage(tmp_path: Path) -> None:
    """It is named."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty holds no pictures"):
        plan([tmp_path / "empty"], tmp_path / "out")


def test_an_output_that_cannot_be_written_ends_the_work(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    source = write_picture(tmp_path / "a.png")
    (tmp_path / "out").write_text("")
    with pytest.raises(WorkError, match="cannot be written"):
        results([source], tmp_path / "out")
