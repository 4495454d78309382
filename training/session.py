"""What the commands fit and evaluate do: a run from its options to its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from pydantic import ValidationError
from rich.console import Console

from training import plots
from training.calibrate import masked_share
from training.card import findings
from training.cost import cost
from training.disk import writing
from training.evaluate import Evaluation, parts_of
from training.evaluate import evaluate as judge_run
from training.fit import Trainer, demand_trainable, new_model
from training.folds import pooled, read_pooled
from training.recipe import Recipe
from training.recipe import recipe as checked
from training.runs import Epoch, Run, RunRecord, load_run, start_run
from training.teachers import teachers_of
from worker.errors import ConfigError, WorkError
from worker.records import CLASSES


@dataclass(frozen=True, slots=True)
class Mode:
    """How a run is started.

    Attributes:
        resume: go on with what lies in the folder.
        overwrite: throw it away.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of torch; None takes one a core.
    """

    resume: bool = False
    overwrite: bool = False
    device: str = "auto"
    threads: int | None = None


def read_recipe(path: Path) -> Recipe:
    """A recipe from a JSON file: one alone, or the record of a run.

    Raises:
        ConfigError: it is neither.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "recipe" in content:
            return RunRecord.model_validate(content).recipe
        return Recipe.model_validate(content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); correct the path") from None
    except (ValueError, ValidationError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ConfigError(
            f"{path} is no recipe: {why}; maskwatch-train presets shows some"
        ) from None


def changed(base: Recipe, changes: Sequence[str]) -> Recipe:
    """A recipe with some values changed.

    Args:
        base: the recipe.
        changes: ``key=value``, the value as JSON or plain text; a dot reaches inside.

    Raises:
        ConfigError: there is no such key, or its value is wrong.
    """
    values: dict[str, Any] = base.model_dump()
    for change in changes:
        key, separator, text = change.partition("=")
        if not separator:
            raise ConfigError(f"--set {change}: write KEY=VALUE, for example epochs=10")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        place = values
        *outer, last = key.split(".")
        for part in outer:
            inner = place.get(part)
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {change}: there is nothing inside {part!r} here")
            place = inner
        place[last] = value
    asked = {change.partition("=")[0] for change in changes}
    if "classes" in asked and isinstance(values["classes"], int):
        for name in {"class_shares", "class_weights"} - asked:  # not those of a class left out
            values[name] = values[name] and values[name][: values["classes"]]
    return checked(values)


def fit(recipe: Recipe, data: Sequence[Path], out: Path, *, mode: Mode) -> Run:
    """Train, draw the curve, and say how it goes.

    Raises:
        ConfigError: recipe, data or folder do not fit.
        WorkError: the loss is no number, or the disk is full.
    """
    device = _device(mode.device)
    if mode.threads is not None:
        torch.set_num_threads(mode.threads)
    cv2.setNumThreads(1)
    console = Console(stderr=True)
    parts = parts_of(recipe, data)
    demand_trainable(parts.train, parts.validation, recipe)  # told before a folder is made
    if recipe.start_from is not None:
        new_model(recipe)
    if any(run.folder.path.resolve() == out.resolve() for run in teachers_of(recipe)):
        raise ConfigError(f"--teacher {out} is where this run would be written; name another --out")
    folder = start_run(out, recipe, data, resume=mode.resume, overwrite=mode.overwrite)
    trainer = Trainer(recipe, parts.train, parts.validation, folder, device)
    if trainer.epochs_done:
        console.print(f"going on after epoch {trainer.epochs_done} of {recipe.epochs}")

    def told(epoch: Epoch) -> None:
        validation = ""
        if len(parts.validation):
            validation = (
                f"  validation {epoch.validation_loss:.4f}, {epoch.validation_right:.2%} right"
                + ("  best" if epoch.best else "")
            )
        console.print(
            f"epoch {epoch.number}/{recipe.epochs}  loss {epoch.train_loss:.4f}" + validation,
            highlight=False,
        )
        with writing(folder.path):
            plots.save_curve(folder.path / "curve.png", folder.read_log())

    try:
        trainer.run(told)
    except KeyboardInterrupt:
        raise WorkError(
            f"stopped after epoch {trainer.epochs_done}; the same command goes on, fit by --resume"
        ) from None
    return load_run(out)


def evaluate(path: Path, *, notes: Sequence[str] = (), folds: Path | None = None) -> dict[str, Any]:
    """Judge a run and write figures, plots and the sheet of mistakes into its folder.

    Args:
        path: the run.
        notes: sentences for the model's card.
        folds: figures of ``evaluate_folds`` for the card.

    Raises:
        ConfigError: the run is not finished, its data are gone, or the folds are not its own.
    """
    run = load_run(path)
    pooled_figures = read_pooled(folds, run.recipe) if folds is not None else None
    found = judge_run(run)
    document = dict(found.document)
    document["cost"] = cost(run.model(), run.recipe.rule.size_px)
    if notes:
        document["notes"] = list(notes)
    if pooled_figures is not None:
        document["pooled"] = pooled_figures
    run.folder.write_evaluation(document)
    with writing(run.folder.path):
        (run.folder.path / "evaluation.md").write_text(findings(document), encoding="utf-8")
        _draw(run, found)
    return document


def evaluate_folds(paths: Sequence[Path], out: Path | None) -> dict[str, Any]:
    """Pool the held-out parts of five runs.

    Raises:
        ConfigError: they are not five folds.
    """
    document = pooled([load_run(path) for path in paths])
    if out is not None:
        with writing(out):
            out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return document


def _draw(run: Run, found: Evaluation) -> None:
    folder = run.folder.path
    curves = {}
    for source, judged in found.judged.items():
        three = found.document["sources"][source].get("three_classes")
        counts = found.document["sources"][source]["two_classes"]["confusion"]
        matrix = (
            three["confusion"]
            if three
            else [
                [counts["true_negative"], counts["false_positive"]],
                [counts["false_negative"], counts["true_positive"]],
            ]
        )
        plots.save_confusion(folder / f"confusion-{source}.png", matrix, run.recipe.class_names)
        plots.save_reliability(folder / f"reliability-{source}.png", judged.shares, judged.labels)
        known = judged.labels < 2
        curves[source] = (masked_share(judged.shares)[known], judged.labels[known] == 1)
    plots.save_precision_recall(folder / "precision-recall.png", curves)
    tiles = [
        (mistake.crop, f"{mistake.face.picture[-9:]} {mistake.share:.2f}", CLASSES[mistake.said])
        for mistake in found.mistakes
    ]
    plots.save_picture(folder / "mistakes.png", plots.contact_sheet(tiles))


def _device(name: str) -> str:
    if name not in {"auto", "cpu", "cuda"}:
        raise ConfigError(f"--device {name}: write auto, cpu or cuda")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ConfigError("--device cuda: torch sees no CUDA device; take auto or cpu")
    return "cuda" if name != "cpu" and there else "cpu"
