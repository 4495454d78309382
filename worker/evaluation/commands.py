"""What ``maskwatch evaluate`` and ``maskwatch predict`` do between their options and their end."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from worker.config import Deciding, Detection
from worker.errors import BadDataError, ConfigError
from worker.evaluation.evaluate import evaluate, read_stems
from worker.evaluation.predict import Job, Predictor, plan, run
from worker.evaluation.summary import table
from worker.evaluation.voc import parse_names
from worker.faces.detect import Detector, expect_pictures, open_detector
from worker.inference import artifact
from worker.inference.artifact import Artifact
from worker.inference.engine import Device, Engine, open_engine
from worker.models import default_classifier

STILL_MIN_FACE_PX = 8
"""Smallest face looked for in a still picture: it has no next frame in which a face is larger."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which detector and classifier are used, by default those that ship."""

    model: Path | None = None
    detector: str | None = None
    min_face_px: int = STILL_MIN_FACE_PX
    min_score: float | None = None
    device: Device = "auto"


@dataclass(frozen=True, slots=True)
class Parts:
    """A detector and a classifier, ready to work."""

    detector: Detector
    engine: Engine
    artifact: Artifact

    @property
    def title(self) -> str:
        """Names exactly what was used."""
        model = self.artifact
        return (
            f"{self.detector.name} from score {self.detector.threshold:g}, "
            f"{model.name} {model.version} ({model.digest[:12]}) on {self.engine.device}"
        )


def open_parts(choice: Choice) -> Parts:
    """Load what was chosen.

    Raises:
        ConfigError: there is no such detector, model or device.
    """
    model = artifact.load(choice.model or default_classifier(), kind="classifier")
    expect_pictures()
    detector = open_detector(
        choice.detector or Detection().detector,
        min_face_px=choice.min_face_px,
        min_score=choice.min_score,
        device=choice.device,
    )
    return Parts(detector, open_engine(model, choice.device), model)


def evaluate_folder(
    choice: Choice,
    data: Path,
    *,
    json_out: Path | None = None,
    pictures: Path | None = None,
    names: Collection[str] = (),
) -> None:
    """Evaluate over a PASCAL VOC folder: a table on standard output, the figures as JSON.

    Args:
        choice: what is evaluated.
        data: holds ``images/`` and ``annotations/``.
        json_out: the file for the figures.
        pictures: a file that lists the stems of the only pictures to look at.
        names: ``NAME=MEANING`` for class names that are not known.

    Raises:
        ConfigError: an option is wrong; told before any work.
        BadDataError: no picture could be used.
    """
    meanings = parse_names(names)
    stems = read_stems(pictures) if pictures else None
    parts = open_parts(choice)
    if json_out:
        _demand_writable(json_out)
    with _progress("pictures") as advance:
        result = evaluate(
            data, parts.detector, parts.engine, parts.artifact.rule, stems,
            names=meanings, progress=advance,
        )  # fmt: skip
    if json_out:
        _write_whole(json_out, result.to_json())
    for line in result.report.lines():
        print(line, file=sys.stderr)
    title = f"{result.figures.images} pictures of {data}: {parts.title}"
    Console().print(table(result.outcomes, result.figures, title))


def predict_pictures(choice: Choice, inputs: Sequence[Path], out: Path) -> int:
    """Annotate pictures and folders of pictures: one line of JSON each on standard output.

    Args:
        choice: what finds and classifies.
        inputs: pictures and folders.
        out: where the annotated copies go.

    Returns:
        How many pictures could not be used; each was told on standard error.

    Raises:
        ConfigError: an option is wrong.
        WorkError: an annotated picture cannot be written.
    """
    jobs = plan(inputs, out)
    parts = open_parts(choice)
    predictor = Predictor(
        parts.detector, parts.engine, parts.artifact.rule, Deciding(), parts.artifact.threshold
    )

    def counted(advance: Advance) -> Iterator[Job]:
        for number, job in enumerate(jobs):
            advance(number, len(jobs))
            yield job

    def tell(error: BadDataError) -> None:
        print(error, file=sys.stderr)

    with _progress("pictures") as advance:
        failed = run(counted(advance), predictor, on_picture=_say, on_fault=tell)
    if failed:
        print(f"{failed} of {len(jobs)} pictures could not be used", file=sys.stderr)
    return failed


class Advance:
    """Shows how much of the work is done."""

    def __init__(self, bar: Progress, what: str) -> None:
        self._bar = bar
        self._task = bar.add_task(what, total=None)

    def __call__(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        self._bar.update(self._task, completed=done, total=total)


@contextmanager
def _progress(what: str) -> Iterator[Advance]:
    """A bar on standard error; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True,
        disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        yield Advance(bar, what)


def _say(line: str) -> None:
    print(line, flush=True)


def _demand_writable(path: Path) -> None:
    """Find out before the work whether its result has a place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--json {path}: {error.strerror}; name another file") from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError(f"--json {path} cannot be written; name a file in a folder of yours")


def _write_whole(path: Path, text: str) -> None:
    """Write beside and rename, so that nobody reads half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
