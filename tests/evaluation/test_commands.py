"""Tests of the two commands as a whole, with the classifier that ships."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluation.painted import PaintEngine, painted
from evaluation.voc_folder import add, write_picture
from fakes import ScriptedDetector

from worker.errors import ConfigError, ModelError
from worker.evaluation import commands
from worker.evaluation.commands import Choice, Parts, evaluate_folder, open_parts, predict_pictures
from worker.inference import artifact
from worker.models import default_classifier
from worker.records import Box, Detection

BOX = Box(10, 10, 50, 60)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector and an engine that know the painted pictures, in place of the real ones."""

    def parts(_choice: Choice) -> Parts:
        model = artifact.load(default_classifier(), kind="classifier")
        return Parts(ScriptedDetector([Detection(BOX, 0.9)]), PaintEngine(), model)

    monkeypatch.setattr(commands, "open_parts", parts)


def test_what_ships_can_be_opened() -> None:
    """The title names detector, model and device."""
    title = open_parts(Choice(detector="haar", device="cpu")).title
    assert "haar" in title
    assert "on cpu" in title


@pytest.mark.usefixtures("scripted")
def test_evaluate_writes_json_and_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures to the file, the table to standard output, what was skipped to standard error."""
    add(tmp_path, "a", [("with_mask", BOX)], painted({BOX: "with_mask"}))
    add(tmp_path, "b", [("cap", BOX)])
    out = tmp_path / "new" / "figures.json"
    evaluate_folder(Choice(), tmp_path, json_out=out)
    printed = capsys.readouterr()
    assert json.loads(out.read_text())["faces"]["found_and_right"] == 1
    assert "found and right" in printed.out
    assert "cap (1 boxes); give --name cap=MEANING" in printed.err
    assert [path.name for path in out.parent.iterdir()] == ["figures.json"]


@pytest.mark.usefixtures("scripted")
def test_predict_prints_a_line_a_picture_and_counts_the_bad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON to standard output, faults to standard error."""
    write_picture(tmp_path / "in" / "a.png", painted({BOX: "with_mask"}))
    write_picture(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "c.png").write_bytes(b"no picture")
    failed = predict_pictures(Choice(), [tmp_path / "in"], tmp_path / "out")
    printed = capsys.readouterr()
    assert failed == 1
    assert [Path(json.loads(line)["path"]).name for line in printed.out.splitlines()] == [
        "a.png",
        "b.png",
    ]
    assert "c.png is no picture" in printed.err
    assert "1 of 3 pictures could not be used" in printed.err


@pytest.mark.usefixtures("scripted")
def test_a_result_without_a_place_is_told_before_the_work(tmp_path: Path) -> None:
    """The data folder is not even looked at."""
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "figures.json"):
        with pytest.raises(ConfigError, match="--json"):
            evaluate_folder(Choice(), tmp_path / "nowhere", json_out=place)


def test_a_missing_model_is_told(tmp_path: Path) -> None:
    """By its folder."""
    with pytest.raises(ModelError, match=str(tmp_path)):
        open_parts(Choice(model=tmp_path))
