"""`maskwatch evaluate`: the pipeline end to end over a PASCAL VOC folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.errors import BadDataError, ConfigError
from worker.evaluation.outcome import PictureOutcome, outcome_of
from worker.evaluation.pictures import read_picture
from worker.evaluation.summary import Evaluation, summarise
from worker.evaluation.voc import AnnotationName, ReadReport, SkippedFile, read_folder
from worker.faces.detect import Detector
from worker.inference.align import CropRule
from worker.inference.engine import Engine

MAX_LIST_BYTES = 16 * 1024 * 1024

Progress = Callable[[int, int], None]
"""Told how many pictures are done, of how many."""


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The figures, what they were counted from, and what was left out."""

    figures: Evaluation
    outcomes: tuple[PictureOutcome, ...]
    report: ReadReport

    def to_json(self) -> str:
        """The figures as one JSON object."""
        return self.figures.to_json()


def evaluate(
    data: Path,
    detector: Detector,
    classifier: Engine,
    rule: CropRule,
    pictures: Collection[str] | None = None,
    *,
    names: Mapping[str, AnnotationName] | None = None,
    progress: Progress = lambda _done, _all: None,
) -> EvaluationResult:
    """Find and classify the faces of every picture, and compare with the annotation.

    A picture or annotation that cannot be used is left out and reported.

    Args:
        data: holds ``images/`` and ``annotations/``.
        detector: judged at its own threshold, and over all scores for the curves.
        classifier: an engine; judged on the annotated boxes and on the detector's.
        rule: how its crops are cut.
        pictures: stems of the only ones to look at; those of other folders do no harm.
        names: meaning of further class names.
        progress: called after each picture.

    Raises:
        ConfigError: a folder is missing, or every wanted picture is.
        BadDataError: no picture could be used.
    """
    folder = read_folder(data, names, pictures)
    outcomes: list[PictureOutcome] = []
    skipped: list[SkippedFile] = []
    for number, picture in enumerate(folder.pictures, start=1):
        try:
            image = read_picture(picture.path)
            outcomes.append(outcome_of(picture, image, detector, classifier, rule))
        except BadDataError as error:
            skipped.append(SkippedFile(picture.path, str(error)))
        progress(number, len(folder.pictures))
    report = ReadReport((*folder.report.skipped, *skipped), folder.report.boxes)
    if not outcomes:
        first = f"; the first reason: {report.skipped[0].reason}" if report.skipped else ""
        raise BadDataError(f"{data} holds no picture that can be evaluated{first}")
    return EvaluationResult(summarise(outcomes, detector.threshold), tuple(outcomes), report)


def read_stems(path: Path) -> set[str]:
    """The stems of pictures listed in a file, one a line.

    Raises:
        ConfigError: the file is missing, too large, no text or empty.
    """
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise ConfigError(f"{path} is too large for a list of pictures; name another file")
        stems = {line.strip() for line in path.read_text(encoding="utf-8").splitlines()}
    except OSError as error:
        raise ConfigError(
            f"the list of pictures {path} cannot be read ({error.strerror}); correct the path"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text; list the stems of pictures, one a line") from error
    stems.discard("")
    if not stems:
        raise ConfigError(f"{path} lists no picture; write their stems into it, one a line")
    return stems
