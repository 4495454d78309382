"""The detector's commands on a handful of generated pictures."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from training.detector import session
from training.detector.centerface import centerface_path
from training.detector.data import Pictures, parse_folder, read_parts
from training.detector.fit import Fit, Step, mean_network, read_network
from training.detector.measure import outcomes
from training.detector.presets import PRESETS, detector_preset
from training.detector.recipe import DetectorRecipe, detector_recipe
from training.runs import RunFolder, read_rows
from training.split import part_of
from worker.errors import ConfigError, WorkError
from worker.evaluation.voc import AnnotationName
from worker.faces.detect import open_detector
from worker.inference.center_point import CenterPoint

RECIPE = DetectorRecipe(steps=3, batch=2, crop_px=64, warmup_steps=1)

VOC = """<annotation><object><name>face</name><bndbox><xmin>20</xmin><ymin>20</ymin>
<xmax>52</xmax><ymax>60</ymax></bndbox></object></annotation>"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Thirty small pictures, each with one box: enough for every part."""
    folder = tmp_path / "faces"
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(30):
        image = rng.integers(0, 256, (80, 96, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        (folder / "annotations" / f"{number}.xml").write_text(VOC)
    return folder


def fit(
    data: Path,
    out: Path,
    recipe: DetectorRecipe = RECIPE,
    *,
    also: Path | None = None,
    names: dict[str, AnnotationName] | None = None,
    resume: bool = False,
    teacher: Path | None = None,
) -> None:
    session.fit(
        recipe,
        [str(data), *([str(also)] if also else [])],
        out,
        start=[str(centerface_path())],
        teacher=teacher,
        names=names or {},
        resume=resume,
        threads=1,
        validate_every=100,
        told=lambda _done, _all: None,
    )


class Stop(Exception):
    """Stands for a kill in the middle."""


def test_resumed_run_ends_where_an_undisturbed_one_does(data: Path, tmp_path: Path) -> None:
    """A run that was stopped after a step gives the same weights, bit for bit."""
    fit(data, tmp_path / "whole")

    def stop(step: Step) -> None:
        if step.number == 2:
            raise Stop

    sources = read_parts(data, 1, ["train"])
    folder = RunFolder(tmp_path / "parts")
    folder.path.mkdir()
    begun = Fit(folder, RECIPE, sources, {centerface_path(): 1})
    with pytest.raises(Stop):
        begun.run(stop, save_every_s=-1)
    resumed = Fit(folder, RECIPE, sources, {centerface_path(): 1})
    assert resumed.step == 1
    resumed.run(lambda _step: None)
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_run_becomes_a_detector_that_the_worker_opens(data: Path, tmp_path: Path) -> None:
    """fit, evaluate, export: the artifact opens by its folder and says what it was measured as."""
    run, out = tmp_path / "run", tmp_path / "artifact"
    fit(data, run)
    with pytest.raises(ConfigError, match="was not evaluated"):
        session.export(run, out, name="face-detector", version="1.0")
    document = session.evaluate(run, [f"{data}=12"], ["centerface"], lambda _done, _all: None)
    assert set(document["cost_ms"]) == {"center-point", "centerface"}
    artifact = session.export(run, out, name="face-detector", version="1.0")
    assert artifact.threshold == document["threshold"]
    assert open_detector(str(out), min_face_px=12).detect(np.zeros((64, 64, 3), np.uint8)) == []
    card = (out / "README.md").read_text()
    assert "MIT" in card
    assert "| all |" in card
    assert (run / "curves.png").stat().st_size > 1_000


def test_run_folder_is_not_overwritten_by_accident(data: Path, tmp_path: Path) -> None:
    """A second run needs --resume and the same recipe; only the steps may change."""
    fit(data, tmp_path / "run", RECIPE.model_copy(update={"steps": 1}))
    with pytest.raises(ConfigError, match="exists; go on with it by --resume"):
        fit(data, tmp_path / "run")
    with pytest.raises(ConfigError, match="begun with another recipe"):
        fit(data, tmp_path / "run", RECIPE.model_copy(update={"seed": 9}), resume=True)
    fit(data, tmp_path / "run", RECIPE.model_copy(update={"steps": 2}), resume=True)
    rows = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert rows["recipe"]["steps"] == 2
    with pytest.raises(ConfigError, match="has done 2 steps already"):
        fit(data, tmp_path / "run", RECIPE.model_copy(update={"steps": 1}), resume=True)


def test_run_that_went_on_is_not_exported_with_old_figures(data: Path, tmp_path: Path) -> None:
    """Threshold and card belong to the weights that were measured."""
    run = tmp_path / "run"
    fit(data, run, RECIPE.model_copy(update={"steps": 1}))
    session.evaluate(run, [f"{data}=12"], [], lambda _done, _all: None)
    fit(data, run, RECIPE.model_copy(update={"steps": 2}), resume=True)
    with pytest.raises(ConfigError, match="went on after it was evaluated"):
        session.export(run, tmp_path / "out", name="mine", version="1.0")


def test_mistake_at_the_start_leaves_no_run_folder(data: Path, tmp_path: Path) -> None:
    """So that the corrected command works; here, what was made narrow has to learn everywhere."""
    slim = RECIPE.model_copy(update={"network": "center-point-slim"})
    with pytest.raises(ConfigError, match="set frozen_stages=0"):
        fit(data, tmp_path / "run", slim)
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WorkError, match="cannot be written"):
        fit(data, tmp_path / "file" / "run", RECIPE)


def test_what_is_unusable_is_told_once(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a folder that is learned from and held out."""
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    (folder / "annotations" / "lost.xml").write_text("<annotation/>")
    fit(folder, tmp_path / "run")
    assert sum("lost.xml" in record.message for record in caplog.records) == 1


def test_unreadable_pictures_are_left_out_of_figures(data: Path, tmp_path: Path) -> None:
    """One that is cut short costs nothing but itself; a run does not end at its validation."""
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    held = [p for p in sorted((folder / "images").iterdir()) if part_of(p.stem) == "validation"]
    held[0].write_bytes(held[0].read_bytes()[:60])
    fit(folder, tmp_path / "run")
    source = read_parts(folder, 1, ["validation"])[0]
    assert len(outcomes(open_detector("fast", min_face_px=12), source.samples)) == len(held) - 1
    for path in held:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ConfigError, match=f"not one of {len(held)} pictures can be read"):
        outcomes(open_detector("fast", min_face_px=12), source.samples)


def test_names_of_boxes_are_explained_or_refused(data: Path, tmp_path: Path) -> None:
    """A folder of heads is no folder without faces."""
    folder = tmp_path / "heads"
    shutil.copytree(data, folder)
    for file in (folder / "annotations").iterdir():
        file.write_text(re.sub("<name>.*?</name>", "<name>head</name>", file.read_text()))
    with pytest.raises(ConfigError, match=r"has no face: .*head \(.*--name head=MEANING"):
        fit(folder, tmp_path / "run")
    source = read_parts(folder, 1, ["train"], {"head": "face"})[0]
    assert source.faces == read_parts(data, 1, ["train"])[0].faces > 0


def test_two_of_one_name_are_refused(data: Path, tmp_path: Path) -> None:
    """Figures go by names, so one would be lost."""
    shutil.copytree(data, tmp_path / "other" / data.name)
    with pytest.raises(ConfigError, match=f"two folders are named {data.name}"):
        fit(data, tmp_path / "run", also=tmp_path / "other" / data.name)
    fit(data, tmp_path / "run", RECIPE.model_copy(update={"steps": 1}))
    with pytest.raises(ConfigError, match="two detectors are named"):
        session.evaluate(
            tmp_path / "run", [f"{data}=12"], ["fast", "fast"], lambda _done, _all: None
        )
    for wrong in (str(data), f"{data}=0.4", f"{data}=9000"):
        with pytest.raises(ConfigError, match="write FOLDER=PX"):
            session.evaluate(tmp_path / "run", [wrong], [], lambda _done, _all: None)


@pytest.mark.parametrize(
    ("name", "version", "sentence"),
    [
        ("Hall", "1.0", "name 'Hall': write small letters"),
        ("hall", "v1", "version 'v1': write num"),
    ],
)
def test_names_that_no_artifact_has_are_refused(
    data: Path, tmp_path: Path, name: str, version: str, sentence: str
) -> None:
    """In a sentence."""
    fit(data, tmp_path / "run", RECIPE.model_copy(update={"steps": 1}))
    session.evaluate(tmp_path / "run", [f"{data}=12"], [], lambda _done, _all: None)
    with pytest.raises(ConfigError, match=sentence):
        session.export(tmp_path / "run", tmp_path / "out", name=name, version=version)


def test_pictures_in_memory_are_bounded(data: Path) -> None:
    """By bytes; the one that was used longest ago goes, and can be read again."""
    first, second = sorted((data / "images").iterdir())[:2]
    size_mb = cv2.imread(str(first)).nbytes / 2**20
    pictures = Pictures(0)
    assert np.array_equal(pictures.read(first), pictures.read(first))
    kept = pictures.read(second)
    assert pictures.read(second) is kept
    assert pictures.read(first) is not kept
    roomy = Pictures(int(4 * size_mb) + 1)
    assert roomy.read(first) is (roomy.read(second), roomy.read(first))[1]


def test_loss_that_is_no_number_stops(data: Path, tmp_path: Path) -> None:
    """A run that diverges says so, and does not save what it became."""
    folder = RunFolder(tmp_path)
    run = Fit(folder, RECIPE, read_parts(data, 1, ["train"]), {centerface_path(): 1})
    with torch.no_grad():
        run.network.heat.bias.fill_(float("nan"))
    with pytest.raises(WorkError, match="the loss is not a number at step 0"):
        run.run(lambda _step: None)
    assert not folder.checkpoint.exists()


def test_no_steps_only_average(data: Path, tmp_path: Path) -> None:
    """A run of no steps is the mean that it began with."""
    fit(data, tmp_path / "run", RECIPE.model_copy(update={"steps": 0}))
    run = read_network(tmp_path / "run" / "weights.safetensors")
    assert torch.equal(run.mix.weight, read_network(centerface_path()).mix.weight)


def test_run_can_begin_between_two(data: Path, tmp_path: Path) -> None:
    """What fit writes can be begun with; of several files the mean is taken."""
    fit(data, tmp_path / "run", RECIPE.model_copy(update={"steps": 1}))
    tuned = tmp_path / "run" / "weights.safetensors"
    one, two = read_network(centerface_path()), read_network(tuned)
    mean = mean_network({centerface_path(): 1, tuned: 3})
    torch.testing.assert_close(mean.mix.weight, one.mix.weight / 4 + two.mix.weight * 3 / 4)


def test_slim_network_is_begun_from_the_wide_one_and_taught_by_it(
    data: Path, tmp_path: Path
) -> None:
    """A run of the slim network, resumed, ends as an undisturbed one, and is exported as slim."""
    slim = RECIPE.model_copy(update={"network": "center-point-slim", "frozen_stages": 0})
    fit(data, tmp_path / "whole", slim, teacher=centerface_path())
    short = slim.model_copy(update={"steps": 2})
    longer = short.model_copy(update={"steps": 3})
    fit(data, tmp_path / "parts", short, teacher=centerface_path())
    fit(data, tmp_path / "parts", longer, teacher=centerface_path(), resume=True)
    one, two = (read_network(tmp_path / n / "weights.safetensors") for n in ("whole", "parts"))
    assert one.name == two.name == "center-point-slim"
    rows = read_rows(tmp_path / "whole" / "log.csv")
    assert all(float(row["teacher"]) > 0 for row in rows)
    session.evaluate(tmp_path / "whole", [f"{data}=12"], [], lambda _done, _all: None)
    artifact = session.export(tmp_path / "whole", tmp_path / "slim", name="slim", version="1")
    assert artifact.network == "center-point-slim"
    card = (tmp_path / "slim" / "README.md").read_text()
    assert "was made narrow" in card
    assert open_detector(str(tmp_path / "slim"), min_face_px=12).name == "slim"


def test_slim_weights_do_not_make_a_wide_network(data: Path, tmp_path: Path) -> None:
    """Starting a wide run from slim weights, or from both, is a sentence."""
    slim = tmp_path / "slim.safetensors"
    save_file(CenterPoint("center-point-slim").state_dict(), slim)
    with pytest.raises(ConfigError, match="cannot be made from weights of center-point-slim"):
        Fit(RunFolder(tmp_path), RECIPE, read_parts(data, 1, ["train"]), {slim: 1})
    with pytest.raises(ConfigError, match="only weights of one network have a mean"):
        mean_network({slim: 1, centerface_path(): 1})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("nowhere", "there is no folder"), (".=0", "no weight"), (".=much", "no weight")],
)
def test_wrong_folders_and_weights_are_named(text: str, sentence: str) -> None:
    """Each is a sentence with the option as it was written."""
    with pytest.raises(ConfigError, match=sentence):
        parse_folder(text)


def test_presets_begin_from_what_is_shipped() -> None:
    """Each preset is a valid recipe; values can be changed; an unknown name is a sentence."""
    venue = detector_preset("venue")
    assert venue.recipe({"steps": "5"}).steps == 5
    assert venue.recipe({}).learning_rate == 1e-4
    assert all(preset.recipe({}) for preset in PRESETS.values())
    assert read_network(venue.start_path).name == "center-point"
    with pytest.raises(ConfigError, match="no preset 'best' of a detector; take one of tuned"):
        detector_preset("best")


def test_wrong_recipe_names_its_key() -> None:
    """A crop that the network cannot halve is refused by name."""
    with pytest.raises(ConfigError, match="crop_px"):
        detector_recipe(crop_px="100")


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    """An empty folder is a sentence, not a division by nothing."""
    with pytest.raises(ConfigError, match="holds no picture that can be used"):
        read_parts(tmp_path, 1, ["train"])
