"""Every command, from pictures to an artifact, on generated faces; and how commands fail."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.batches import plain_crops
from training.cli import main
from training.evaluate import parts_of
from training.faces import load_faces, write_faces
from training.runs import load_run
from worker.inference.artifact import load
from worker.inference.engine import open_engine
from worker.records import Box

BATCH = ("--set", "batch_size=16")
TINY = ("epochs=2", "batch_size=16", "faces_per_epoch=48", "source_weights={}")


class Done(Exception):
    """The exit code of a command."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command line; gives its exit code, standard output and standard error."""
    torch.set_num_threads(1)

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["maskwatch-train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), told.out, told.err

    return command


def _fit_options() -> list[str]:
    return [part for change in TINY for part in ("--set", change)]


def test_from_pictures_to_an_artifact(run: Any, voc: Path, tmp_path: Path) -> None:
    """Explore, prepare, fit, evaluate, export; the worker's engine gives the trainer's figures."""
    code, out, _ = run("explore", "--data", voc, "--out", tmp_path / "seen")
    assert code == 0
    assert json.loads(out)["sources"]["generated"]["faces"] == 72
    assert {"index.html", "explore.json", "classes.png"} <= {
        p.name for p in (tmp_path / "seen").iterdir()
    }

    prepared, fitted = tmp_path / "prepared", tmp_path / "tiny"
    code, out, _ = run("prepare", "-d", voc, "-o", prepared, "--detector", "none", "--workers", 1)
    assert (code, sum(json.loads(out)["faces"].values())) == (0, 72)

    code, _, err = run("fit", "-d", prepared, "-o", fitted, *_fit_options())
    assert code == 0
    assert "epoch 2/2" in err
    assert {"curve.png", "log.csv", "state.json", "weights.safetensors"} <= {
        p.name for p in fitted.iterdir()
    }

    code, _, err = run("export", fitted, "-o", tmp_path / "model")
    assert code == 2
    assert "was not evaluated" in err

    code, out, _ = run("evaluate", fitted, "--note", "made in a test")
    assert code == 0
    assert "by picture" in json.loads(out)["split"]
    assert (fitted / "mistakes.png").exists()

    code, out, _ = run("export", fitted, "-o", tmp_path / "model", "--version", "2.1")
    assert code == 0
    artifact = load(tmp_path / "model", kind="classifier")
    assert (artifact.version, artifact.digest) == ("2.1", json.loads(out)["digest"])
    card = (tmp_path / "model" / "README.md").read_text()
    assert "made in a test" in card
    assert "nan" not in card

    told = load_run(fitted)
    test = parts_of(told.recipe, told.data).test
    shares = open_engine(artifact, "cpu").run(plain_crops(test, artifact.rule))
    matrix = np.zeros((3, 3), int)
    np.add.at(matrix, (test.labels, shares.argmax(1)), 1)
    three = told.read_evaluation()["sources"]["generated"]["three_classes"]
    assert matrix.tolist() == three["confusion"]
    assert set(artifact.test_pictures()) == {face.picture for face in test}


@pytest.mark.parametrize("form", ["patches", "report"])
def test_faces_of_no_class_are_told(run: Any, voc: Path, tmp_path: Path, form: str) -> None:
    """A detector's labels say ``face``: left out and counted, or all of the class one names."""
    folder = tmp_path / "found"
    shutil.copytree(voc, folder)
    for file in (folder / "annotations").iterdir():
        file.write_text(re.sub("<name>.*?</name>", "<name>face</name>", file.read_text()))
    options = ("--form", form, "--detector", "none", "--workers", 1)
    code, _, err = run("prepare", "-d", folder, "-o", tmp_path / "alone", *options)
    assert code == 1
    assert "give --name face=CLASS" in err
    if form == "patches":
        code, out, err = run("prepare", "-d", folder, "-d", voc, "-o", tmp_path / "a", *options)
        assert code == 0
        assert json.loads(out)["skipped"] == {"face_without_label": 72}
        assert "72 faces are left out" in err
        assert "--name face=without_mask" in err
    named = ("--name", "face=without_mask")
    code, out, err = run("prepare", "-d", folder, "-o", tmp_path / "b", *options, *named)
    assert (code, json.loads(out)["faces"]) == (0, {"without_mask": 72})
    assert "left out" not in err


def test_the_report_s_table(run: Any, prepared: Path, tmp_path: Path) -> None:
    """A row of the report, trained and set beside what was published."""
    options = ("--row", "report-3-60-40", "--epochs", 2, "--split", "face", "--threads", 1)
    code, out, _ = run("report", "-d", prepared, "-o", tmp_path / "table", *options)
    assert code == 0
    assert "| 91.98 | 92.17 | 66.08 | 66.67 | 92.08 |" in out
    assert "flatters" in out
    assert (tmp_path / "table" / "table.html").exists()
    assert (tmp_path / "table" / "table.png").exists()


def test_the_report_is_judged_by_the_larger_logit(run: Any, prepared: Path, tmp_path: Path) -> None:
    """No calibration and no threshold is fitted to its rows, which had none."""
    options = ("--row", "report-2-50-50", "--epochs", 1, "--threads", 1)
    code, _, _ = run("report", "-d", prepared, "-o", tmp_path / "table", *options)
    assert code == 0
    found = load_run(tmp_path / "table" / "report-2-50-50").read_evaluation()
    assert found["calibration"] == {"scale": 1.0, "bias": [0.0, 0.0]}
    assert found["threshold"] == 0.5


def test_the_presets_are_told(run: Any) -> None:
    """As JSON, one of which fit takes."""
    code, out, _ = run("presets")
    assert code == 0
    assert {"shipped", "scratch", "report-3-60-40", "report-transfer"} <= json.loads(out).keys()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--preset", "nothing"), "there is no preset 'nothing'"),
        (("--set", "epochs=0"), "epochs"),
        (("--set", "epoch=3"), "epoch"),
        (("--set", "epochs"), "KEY=VALUE"),
        (("--set", "batch_size=5000"), "make it smaller"),
        (("--set", "batch_size=1"), "0 or at least 2"),
        (("--set", "class_shares=[0,0,0]", *BATCH), "no face to draw"),
        (("--set", "class_shares=[-1,1,1]", *BATCH), "class_shares.0"),
        (("--set", "augmentation.zoom=-1", *BATCH), "augmentation.zoom"),
        (("--set", "learning_rate=1e30", *BATCH), "learning_rate"),
        (("--set", "fold=0", "--set", "patience=3", *BATCH), "patience"),
        (("--set", "fold=0", "--set", "start_from=maskwatch-classifier", *BATCH), "may have seen"),
        (("--preset", "quick", "--recipe", "recipe.json"), "give one"),
        (("--set", "network=resnet-9000"), "there is no network"),
        (("--set", "class_weights=[1,2]"), "2 values for 3 classes"),
        (("--recipe", "nowhere.json"), "cannot be read"),
        (("--device", "tpu"), "auto, cpu or cuda"),
        (("--set", "start_from=nowhere.safetensors", *BATCH), "cannot be read"),
    ],
)
def test_a_wrong_option_is_told(
    run: Any, prepared: Path, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    """One sentence, exit code 2, no traceback, and no run folder is in the way afterwards."""
    code, _, err = run("fit", "-d", prepared, "-o", tmp_path / "run", *options)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_ctrl_c_says_how_to_go_on(
    run: Any, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done is kept, and the exit code is that of failed work."""

    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.session.plots.save_curve", interrupted)
        code, _, err = run("fit", "-d", prepared, "-o", tmp_path / "run", *_fit_options())
    assert code == 1
    assert "the same command goes on, fit by --resume" in err
    code, _, err = run("fit", "-d", prepared, "-o", tmp_path / "run", *_fit_options(), "--resume")
    assert code == 0
    assert "going on after epoch 1 of 2" in err


def test_five_folds_are_pooled(run: Any, prepared: Path, tmp_path: Path) -> None:
    """Every face is judged once, by the run that did not see it; nor did that run's teacher.

    Those that the detector found are judged by its boxes too.
    """
    prepared = _half_found(prepared, tmp_path / "faces")
    runs = []
    for fold in range(5):
        teacher, student = tmp_path / f"teacher{fold}", tmp_path / f"fold{fold}"
        options = ("--set", f"fold={fold}", "--set", "epochs=1", "--set", "augmentation=null")
        options += ("--set", "faces_per_epoch=32", "--set", "batch_size=16")
        assert run("fit", "-d", prepared, "-o", teacher, *options)[0] == 0
        assert run("fit", "-d", prepared, "-o", student, "--teacher", teacher, *options)[0] == 0
        runs.append(student)
    code, out, _ = run("evaluate", *runs, "--out", tmp_path / "folds.json")
    assert code == 0
    told = json.loads(out)
    assert told["sources"]["generated"]["faces"] == 72
    assert told["by_detector"]["generated"]["faces"] == 36

    code, _, err = run("evaluate", *runs[:4], tmp_path / "teacher4")
    assert code == 2
    assert "differ in more than their fold" in err

    code, _, err = run("evaluate", *runs[:4])
    assert code == 2
    assert "one run for each of five" in err

    record = runs[4] / "recipe.json"
    before = record.read_text()
    other = json.loads(before) | {"start": "0" * 64}  # the same name, other weights
    record.write_text(json.dumps(other))
    code, _, err = run("evaluate", *runs)
    assert code == 2
    assert "from the same weights" in err
    record.write_text(before)

    code, _, err = run("evaluate", runs[0], "--folds", tmp_path / "folds.json")
    assert code == 0
    other = tmp_path / "other"
    assert run("fit", "-d", prepared, "-o", other, *_fit_options())[0] == 0
    code, _, err = run("evaluate", other, "--folds", tmp_path / "folds.json")
    assert code == 2
    assert "of another recipe" in err
    code, _, err = run("evaluate", other, "--folds", other / "recipe.json")
    assert code == 2
    assert "holds no figures of folds" in err


def _half_found(prepared: Path, out: Path) -> Path:
    """A copy in which the detector found every second face, a little aside."""
    shutil.copytree(prepared, out)
    faces = load_faces(prepared)
    records = [
        replace(face, detected=Box(*(side + 1 for side in face.box)) if i % 2 else None)
        for i, face in enumerate(faces)
    ]
    write_faces(out, records, [faces.patch(i) for i in range(len(faces))])
    return out


def test_two_classes_of_a_recipe_of_three(run: Any, prepared: Path, tmp_path: Path) -> None:
    """The share of the class that is left out goes with it."""
    out = tmp_path / "two"
    assert run("fit", "-d", prepared, "-o", out, *_fit_options(), "--set", "classes=2")[0] == 0
    assert load_run(out).recipe.class_shares == (0.46, 0.46)


def test_nothing_of_a_user_s_is_lost(run: Any, prepared: Path, tmp_path: Path) -> None:
    """By an export into a folder of other things, or by a fit over a run that cannot begin."""
    fitted, kept = tmp_path / "runs" / "one", tmp_path / "runs" / "notes.txt"
    assert run("fit", "-d", prepared, "-o", fitted, *_fit_options())[0] == 0
    kept.write_text("mine")
    assert run("evaluate", fitted)[0] == 0
    code, _, err = run("export", fitted, "-o", tmp_path / "runs")
    assert (code, kept.read_text()) == (2, "mine")
    assert "holds something else than a model" in err

    two = tmp_path / "two"
    shutil.copytree(prepared, two)
    rows = (two / "faces.csv").read_text().splitlines(keepends=True)
    (two / "faces.csv").write_text(
        "".join(row for row in rows[:-1] if "mask_worn_incorrectly" not in row) + rows[-1]
    )
    code, _, err = run("fit", "-d", two, "-o", fitted, *_fit_options(), "--overwrite")
    assert code == 2
    assert "no example of mask_worn_incorrectly" in err
    assert load_run(fitted).weights()


def test_figures_belong_to_weights_and_runs_to_data(
    run: Any, voc: Path, prepared: Path, tmp_path: Path
) -> None:
    """Other weights are not exported with them; other faces do not go on with a run."""
    data, fitted = tmp_path / "data", tmp_path / "run"
    shutil.copytree(prepared, data)
    assert run("fit", "-d", data, "-o", fitted, *_fit_options())[0] == 0
    assert run("evaluate", fitted)[0] == 0
    folder = load_run(fitted).folder
    folder.write_weights({key: value + 1 for key, value in load_run(fitted).weights().items()})
    code, _, err = run("export", fitted, "-o", tmp_path / "model")
    assert code == 2
    assert "run maskwatch-train evaluate" in err

    rows = (data / "faces.csv").read_text()
    (data / "faces.csv").write_text(rows.replace(",without_mask,", ",with_mask,", 1))
    code, _, err = run("fit", "-d", data, "-o", fitted, *_fit_options(), "--resume")
    assert code == 2
    assert "other data" in err


def test_a_fold_is_not_calibrated_and_says_so(run: Any, prepared: Path, tmp_path: Path) -> None:
    """It has no validation part; nor does its card claim one."""
    options = (*_fit_options(), "--set", "fold=0")
    assert run("fit", "-d", prepared, "-o", tmp_path / "run", *options)[0] == 0
    assert run("evaluate", tmp_path / "run")[0] == 0
    assert "nothing is calibrated" in (tmp_path / "run" / "evaluation.md").read_text()


def test_pictures_split_by_face_are_not_called_unseen(
    run: Any, prepared: Path, tmp_path: Path
) -> None:
    """Those of which a face was trained on do not stand among the test pictures."""
    options = (*_fit_options(), "--set", "split=face")
    assert run("fit", "-d", prepared, "-o", tmp_path / "run", *options)[0] == 0
    assert run("evaluate", tmp_path / "run")[0] == 0
    made = load_run(tmp_path / "run")
    parts = parts_of(made.recipe, made.data)
    named = made.read_evaluation()["test_pictures"]["generated"]
    assert not {face.picture for face in parts.train} & set(named)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("evaluate", "run", "-o", "x.json"), "--out is for five folds"),
        (("evaluate", "a", "b", "--note", "x"), "for the card of one run"),
        (("prepare", "-d", ".", "-o", "x", "--third"), "--third is for --form report"),
    ],
)
def test_options_without_effect_are_refused(
    run: Any, arguments: tuple[str, ...], sentence: str
) -> None:
    """Rather than left aside."""
    code, _, err = run(*arguments)
    assert code == 2
    assert sentence in err


def test_a_card_names_the_teachers(run: Any, prepared: Path, tmp_path: Path) -> None:
    """What it learned from, and the commands that make it again, in their order."""
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    assert run("fit", "-d", prepared, "-o", teacher, *_fit_options())[0] == 0
    options = ("--teacher", teacher, *_fit_options())
    assert run("fit", "-d", prepared, "-o", student, *options)[0] == 0
    assert run("evaluate", student)[0] == 0
    assert run("export", student, "-o", tmp_path / "model")[0] == 0
    card = (tmp_path / "model" / "README.md").read_text()
    assert "The opinion of 1 network trained on the same part of these pictures" in card
    commands = card.split("```")[1]
    first, second = commands.index("-o runs/teacher"), commands.index("--teacher runs/teacher")
    assert first < second < commands.index("-o runs/student")
