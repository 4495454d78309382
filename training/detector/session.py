"""The commands' work: fit in a run folder, measure what came out, and export it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import torch

from training.detector.card import card
from training.detector.curve import save_curves
from training.detector.data import Source, parse_folder, parse_start, read_parts
from training.detector.export import SMALLEST_PX, as_detector, to_onnx
from training.detector.fit import Fit, Step, read_network
from training.detector.measure import (
    average_precision_of,
    choose_threshold,
    cost_ms,
    false_detections,
    figures,
    outcomes,
)
from training.detector.recipe import DetectorRecipe, DetectorRun
from training.detector.teachers import open_teacher
from training.disk import writing
from training.progress import Told
from training.runs import RunFolder, append_row, read_rows
from worker.errors import ConfigError
from worker.evaluation.voc import AnnotationName
from worker.faces.detect import Detector
from worker.inference.artifact import (
    CARD,
    ONNX,
    TEST_PICTURES,
    WEIGHTS,
    Artifact,
    manifest_of,
    save,
)

log = logging.getLogger(__name__)

RECIPE = "recipe.json"
STEPS = "log.csv"
VALIDATION = "validation.csv"
CURVES = "curves.png"

SMALLEST_FACE_PX, LARGEST_FACE_PX = 6, 512
"""Sizes that a detector may be asked to look for."""


def fit(
    recipe: DetectorRecipe,
    data: Sequence[str],
    out: Path,
    *,
    start: Sequence[str],
    teacher: Path | None,
    names: Mapping[str, AnnotationName],
    resume: bool,
    threads: int,
    validate_every: int,
    told: Told,
) -> dict[str, float]:
    """Fit a detector in a run folder; validated now and then, on the validation part.

    Args:
        recipe: how.
        data: ``FOLDER=WEIGHT`` each.
        out: the run folder.
        start: ``FILE=PART`` each, see ``parse_start``.
        teacher: weights of a network to agree with besides.
        names: meaning of further names of boxes.
        resume: go on with the run that is there.
        threads: of torch.
        validate_every: steps between validations.
        told: of the progress in steps.

    Returns:
        Average precision on validation at the end, by source; false detections a picture where
        a source shows no faces.

    Raises:
        ConfigError: the data, the weights or the run folder cannot be used; a folder that was
            not there before is not made.
        WorkError: the disk does not take it, or the loss is not a number.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    folders = _folders(data)
    begun = dict(parse_start(text) for text in start)
    record = DetectorRun(
        recipe=recipe,
        start={_short(p): part for p, part in begun.items()},
        teacher=_short(teacher) if teacher else None,
        data={str(folder.resolve()): weight for folder, weight in folders},
        names=dict(names),
    )
    _demand_new_or_same(out, record, resume)
    learned_from, held_out = zip(
        *(read_parts(path, w, ("train", "validation"), names) for path, w in folders), strict=True
    )
    folder = RunFolder(out)
    run = Fit(folder, recipe, learned_from, begun, teacher)
    if run.step > recipe.steps:
        raise ConfigError(
            f"the run in {out} has done {run.step} steps already; ask for more by --set steps="
        )
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    folder.write_json(RECIPE, record.model_dump(mode="json"))
    found: dict[str, float] = {}

    def after_step(step: Step) -> None:
        nonlocal found
        append_row(out / STEPS, asdict(step))
        told(step.number, recipe.steps)
        if step.number % validate_every == 0 or step.number == recipe.steps:
            found = validate(run, held_out)
            append_row(out / VALIDATION, {"number": step.number, **found})
            save_curves(out / CURVES, read_rows(out / STEPS), read_rows(out / VALIDATION))

    run.run(after_step)
    return found


def validate(run: Fit, sources: Sequence[Source]) -> dict[str, float]:
    """What the averaged weights are worth now, by source; see ``fit``."""
    detector = as_detector(run.averaged, min_face_px=round(SMALLEST_PX))
    return {source.name: round(average_precision_of(source, detector), 4) for source in sources}


def evaluate(
    run: Path,
    data: Sequence[str],
    beside: Sequence[str],
    told: Told,
    *,
    names: Mapping[str, AnnotationName] | None = None,
    smallest_px: float = SMALLEST_PX,
) -> dict[str, Any]:
    """Measure a run on the test part, beside other detectors; written into the run folder.

    The threshold is chosen on the validation part of the same folders before.

    Args:
        run: the run folder.
        data: ``FOLDER=MIN_FACE_PX`` each: the smallest face to look for in these pictures.
        beside: detectors to compare with, see ``open_teacher``.
        told: of the progress in folders.
        names: meaning of further names of boxes.
        smallest_px: size to which the smallest face wanted is scaled for the run's detector.

    Raises:
        ConfigError: no such run, folder or detector, or two of one name.
    """
    cv2.setNumThreads(1)
    network = read_network(RunFolder(run).weights)
    folders = _folders(data)
    for text, (_, px) in zip(data, folders, strict=True):
        if not (text.rpartition("=")[1] and SMALLEST_FACE_PX <= px <= LARGEST_FACE_PX):
            raise ConfigError(
                f"--data {text}: write FOLDER=PX, the smallest face to look for, "
                f"{SMALLEST_FACE_PX} to {LARGEST_FACE_PX} px"
            )

    def opened(min_face_px: float) -> list[Detector]:
        others = [open_teacher(name, round(min_face_px)) for name in beside]
        ours = as_detector(network, round(min_face_px), smallest_px=smallest_px)
        _demand_distinct("detector", [ours.name, *(other.name for other in others)])
        return [ours, *others]

    held_out, tests = zip(
        *(read_parts(path, 1, ("validation", "test"), names) for path, _ in folders), strict=True
    )
    known = [
        outcome
        for source, (_, px) in zip(held_out, folders, strict=True)
        for outcome in outcomes(opened(px)[0], source.samples)
    ]
    threshold = choose_threshold(known)
    document: dict[str, Any] = {
        "network": network.name,
        "smallest_px": smallest_px,
        "threshold": threshold,
        "sources": {},
        "test_pictures": [],
    }
    for number, (source, (_, px)) in enumerate(zip(tests, folders, strict=True), start=1):
        document["test_pictures"] += [sample.path.stem for sample in source.samples]
        rows: dict[str, Any] = {}
        for detector in opened(px):
            name = detector.name
            at = threshold if name == network.name else detector.threshold
            found = outcomes(detector, source.samples)
            rows[name] = {"false_detections_per_picture": round(false_detections(found, at), 4)}
            if source.faces:
                rows[name]["by_size"] = figures(found, at)
        document["sources"][source.name] = {
            "pictures": len(source.samples),
            "min_face_px": round(px),
            "detectors": rows,
        }
        told(number, len(folders))
    document["cost_ms"] = cost_ms(opened(SMALLEST_PX))
    RunFolder(run).write_evaluation(document)
    return document


def export(run: Path, out: Path, *, name: str, version: str) -> Artifact:
    """Write the artifact that the worker takes, once the run was evaluated.

    Raises:
        ConfigError: it was not evaluated, or has no weights.
        ModelError: the artifact cannot be written.
    """
    folder = RunFolder(run)
    network = read_network(folder.weights)
    evaluation = folder.read_evaluation("evaluate-detector")
    try:
        record = DetectorRun.model_validate_json((run / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{run / RECIPE} is no detector's recipe; name a run folder of fit-detector"
        ) from error
    manifest = manifest_of(
        {
            "kind": "detector",
            "name": name,
            "version": version,
            "network": network.name,
            "classes": [],
            "threshold": evaluation["threshold"],
            "settings": {"smallest_px": evaluation["smallest_px"]},
            "measured": _brief(evaluation),
        }
    )
    files = {
        ONNX: to_onnx(network).SerializeToString(),
        WEIGHTS: folder.weights.read_bytes(),
        TEST_PICTURES: "".join(f"{stem}\n" for stem in evaluation["test_pictures"]).encode(),
        CARD: card(manifest, record, evaluation).encode(),
    }
    return save(out, manifest, files)


def _folders(data: Sequence[str]) -> list[tuple[Path, float]]:
    """The folders of the command line and their numbers; figures go by the folders' names."""
    folders = [parse_folder(text) for text in data]
    _demand_distinct("folder", [path.name for path, _ in folders])
    return folders


def _demand_distinct(what: str, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(
            f"two {what}s are named {twice[0]}, and figures go by names; rename one, or measure "
            "them one after the other"
        )


def _demand_new_or_same(path: Path, run: DetectorRun, resume: bool) -> None:
    """A run's folder is new, or is gone on with.

    Raises:
        ConfigError: it exists and is not to be resumed, or was begun in another way.
    """
    record = path / RECIPE
    if record.exists():
        if not resume:
            raise ConfigError(
                f"the run folder {path} exists; go on with it by --resume, or name another"
            )
        try:
            before = DetectorRun.model_validate_json(record.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{record} is no detector's recipe; name another folder") from error
        if not run.goes_on_with(before):
            raise ConfigError(
                f"the run in {path} was begun with another recipe, start or data; resume it with "
                "the same options (steps may differ), or name another folder"
            )


def _short(path: Path) -> str:
    """The file's name, with its folder's where every run has a file of that name."""
    return path.name if path.suffix == ".onnx" else str(Path(*path.resolve().parts[-2:]))


def _brief(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What fits the manifest: our own figures over all sizes, and the cost."""
    brief: dict[str, Any] = {"cost_ms_640x384": evaluation["cost_ms"]}
    for name, source in evaluation["sources"].items():
        ours = source["detectors"][evaluation["network"]]
        everything = ours.get("by_size", {}).get("all", {})
        brief[name] = {
            "min_face_px": source["min_face_px"],
            "false_detections_per_picture": ours["false_detections_per_picture"],
            **everything,
        }
    return brief
