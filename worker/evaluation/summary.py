"""From the outcomes of pictures to the figures of ``maskwatch evaluate``, as JSON and a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rich.table import Table

from worker.errors import BadDataError
from worker.evaluation import measures
from worker.evaluation.measures import IGNORED, UNMATCHED, Ints, PrecisionRecall
from worker.evaluation.outcome import NO_LABEL, WITH, WITHOUT, PictureOutcome
from worker.records import CLASSES

Figure = float
"""A share; nan inside, null in JSON, where there was nothing to take a share of."""

SIZES_PX = (0, 20, 40)
TABLE_REPEATS = 200
"""Bootstrap draws for the table's intervals: two digits do not need more."""


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Faces(_Figures):
    """What became of the annotated faces of a size.

    ``found`` is a share of all of them, ``found_and_right`` of those with or without a mask.
    """

    annotated: int
    found: Figure
    found_and_right: Figure


class RecallAtPrecision(_Figures):
    """Largest recall at a precision of 0.9, of all faces and of those at least so wide."""

    all: Figure
    px20: Figure = Field(serialization_alias="20px")
    px40: Figure = Field(serialization_alias="40px")


class TwoClassFigures(_Figures):
    """Annotated boxes, two classes; positive is ``with_mask``.

    ``confusion``: rows are what is, columns what was said, in the order of ``CLASSES``:
    ``[[TN, FP], [FN, TP]]``.
    """

    confusion: list[list[int]]
    precision: Figure
    recall: Figure
    specificity: Figure
    npv: Figure
    f1: Figure


class ThreeClassFigures(_Figures):
    """Annotated boxes, three classes; rows of ``confusion`` are what is."""

    confusion: list[list[int]]
    recall: dict[str, Figure]
    macro_f1: Figure
    balanced_accuracy: Figure
    ece: Figure


class Evaluation(_Figures):
    """The figures of ``maskwatch evaluate``; its JSON keys are a contract."""

    images: int
    faces: Faces
    faces_20px: Faces
    false_detections_per_image: Figure
    ap_40: Figure
    ap_50: Figure
    recall_at_precision_90: RecallAtPrecision
    classification: TwoClassFigures
    classification3: ThreeClassFigures

    def to_json(self) -> str:
        """One JSON object; null where a figure is not defined."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def summarise(outcomes: Sequence[PictureOutcome], threshold: float) -> Evaluation:
    """All figures over a set of pictures.

    Args:
        outcomes: one a picture.
        threshold: score from which a detection counts at work.

    Raises:
        BadDataError: there is no picture.
    """
    if not outcomes:
        raise BadDataError("no picture could be evaluated; see what was skipped and why")
    false = sum(
        int(np.sum((one.match_40 == UNMATCHED) & (one.score >= threshold))) for one in outcomes
    )
    recall = {px: measures.recall_at_precision(curve(outcomes, px)) for px in SIZES_PX}
    return Evaluation(
        images=len(outcomes),
        faces=_faces(outcomes, 0),
        faces_20px=_faces(outcomes, 20),
        false_detections_per_image=false / len(outcomes),
        ap_40=_ap_40(outcomes),
        ap_50=measures.average_precision(curve(outcomes, strict=True)),
        recall_at_precision_90=RecallAtPrecision(all=recall[0], px20=recall[20], px40=recall[40]),
        classification=_two_classes(outcomes),
        classification3=_three_classes(outcomes),
    )


def curve(
    outcomes: Sequence[PictureOutcome], min_px: float = 0, *, strict: bool = False
) -> PrecisionRecall:
    """Precision over recall for faces at least ``min_px`` wide.

    As in COCO, what is smaller leaves the figure on both sides: a detection that found a
    smaller face, and a false one that is smaller itself, count neither way.
    """
    scores, hits, faces = [np.zeros(0)], [np.zeros(0, bool)], 0
    for one in outcomes:
        matched = one.match_50 if strict else one.match_40
        width = one.detection_px.copy()
        width[matched >= 0] = one.width_px[matched[matched >= 0]]
        counts = (matched != IGNORED) & (width >= min_px)
        scores.append(one.score[counts])
        hits.append(matched[counts] >= 0)
        faces += int(np.sum(one.width_px >= min_px))
    return measures.precision_recall(np.concatenate(scores), np.concatenate(hits), faces)


def table(outcomes: Sequence[PictureOutcome], result: Evaluation, title: str) -> Table:
    """The figures for people, the main ones with a 95 % interval by bootstrap over pictures."""

    def interval(part: Callable[[Sequence[PictureOutcome]], Any], name: str = "") -> str:
        def measure(picked: Ints) -> float:
            value = part([outcomes[index] for index in picked])
            return float(getattr(value, name) if name else value)

        low, high = measures.bootstrap_interval(measure, len(outcomes), repeats=TABLE_REPEATS)
        return f"{_percent(low)} to {_percent(high)}"

    shown = Table(title=title, title_justify="left")
    shown.add_column("figure")
    shown.add_column("value", justify="right")
    shown.add_column("95 % interval", justify="right")
    for words, faces, min_px in (
        ("all faces", result.faces, 0),
        ("faces from 20 px", result.faces_20px, 20),
    ):
        part = partial(_faces, min_px=min_px)
        shown.add_row(words, str(faces.annotated), "")
        shown.add_row("  found", _percent(faces.found), interval(part, "found"))
        right = interval(part, "found_and_right")
        shown.add_row("  found and right", _percent(faces.found_and_right), right)
    shown.add_row("false detections a picture", f"{result.false_detections_per_image:.2f}", "")
    shown.add_row("AP at IoU 0.4", _percent(result.ap_40), interval(_ap_40))
    shown.add_row("AP at IoU 0.5", _percent(result.ap_50), "")
    recall = result.recall_at_precision_90
    for words, value in (("all", recall.all), ("20 px", recall.px20), ("40 px", recall.px40)):
        shown.add_row(f"recall at precision 0.9, {words}", _percent(value), "")
    two, three = result.classification, result.classification3
    for name in ("f1", "precision", "recall", "specificity", "npv"):
        shown.add_row(
            f"two classes, {name}", _percent(getattr(two, name)), interval(_two_classes, name)
        )
    for label, value in three.recall.items():
        shown.add_row(f"three classes, recall {label}", _percent(value), "")
    shown.add_row("three classes, macro F1", _percent(three.macro_f1), "")
    shown.add_row("three classes, calibration error", _percent(three.ece), "")
    return shown


def _faces(outcomes: Sequence[PictureOutcome], min_px: float) -> Faces:
    wide = np.concatenate([one.width_px for one in outcomes]) >= min_px
    label = np.concatenate([one.label for one in outcomes])
    found = np.concatenate([one.found for one in outcomes]) & wide
    detected = np.concatenate([one.detected for one in outcomes])
    binary = wide & ((label == WITH) | (label == WITHOUT))
    right = found & binary & (_says_with(detected) == (label == WITH))
    return Faces(
        annotated=int(wide.sum()),
        found=measures.ratio(int(found.sum()), int(wide.sum())),
        found_and_right=measures.ratio(int(right.sum()), int(binary.sum())),
    )


def _ap_40(outcomes: Sequence[PictureOutcome]) -> float:
    return measures.average_precision(curve(outcomes))


def _two_classes(outcomes: Sequence[PictureOutcome]) -> TwoClassFigures:
    label = np.concatenate([one.label for one in outcomes])
    probabilities = np.concatenate([one.annotated for one in outcomes])
    binary = (label == WITH) | (label == WITHOUT)
    counts = measures.two_classes(label[binary] == WITH, _says_with(probabilities[binary]))
    return TwoClassFigures(
        confusion=[
            [counts.true_negative, counts.false_positive],
            [counts.false_negative, counts.true_positive],
        ],
        precision=counts.precision,
        recall=counts.recall,
        specificity=counts.specificity,
        npv=counts.npv,
        f1=counts.f1,
    )


def _three_classes(outcomes: Sequence[PictureOutcome]) -> ThreeClassFigures:
    label = np.concatenate([one.label for one in outcomes])
    labelled = label != NO_LABEL
    probabilities = np.concatenate([one.annotated for one in outcomes])[labelled]
    matrix = measures.confusion_matrix(label[labelled], probabilities.argmax(axis=1), len(CLASSES))
    recall = measures.recalls(matrix)
    return ThreeClassFigures(
        confusion=matrix.tolist(),
        recall={name: float(recall[index]) for index, name in enumerate(CLASSES)},
        macro_f1=measures.macro_f1(matrix),
        balanced_accuracy=measures.balanced_accuracy(matrix),
        ece=measures.calibration_error(probabilities, label[labelled]),
    )


def _says_with(probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Two classes, no abstention; a tie is a bare face, since missing one costs more."""
    return np.asarray(probabilities[:, WITH] > probabilities[:, WITHOUT])


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f} %"
