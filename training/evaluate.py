"""What a run's model is worth: figures by source, calibration, threshold, worst mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.augment import INCORRECT, MASKED
from training.batches import plain_crops
from training.calibrate import (
    COST_OF_FALSE_MASK,
    calibrated,
    cheapest_threshold,
    probabilities,
)
from training.faces import Face, Faces, joined, load_faces
from training.figures import Judged, figures
from training.fit import logits_of
from training.recipe import Recipe
from training.runs import Run
from training.split import Part, fold_of, parts_by_face
from worker.errors import ConfigError
from worker.inference.artifact import Calibration
from worker.records import Image

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Parts:
    """The faces of a run by what they are for."""

    train: Faces
    validation: Faces
    test: Faces


@dataclass(frozen=True, slots=True)
class Mistake:
    """A face that the model got wrong, and how sure it was."""

    face: Face
    crop: Image
    said: int
    share: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What ``evaluate`` found.

    Attributes:
        document: all of it as JSON takes it.
        judged: the test faces by annotated boxes, by source.
        mistakes: the worst first.
    """

    document: dict[str, Any]
    judged: dict[str, Judged]
    mistakes: Sequence[Mistake]


def parts_of(recipe: Recipe, folders: Sequence[Path]) -> Parts:
    """Split the faces of prepared folders as a recipe says.

    With a fold, a fifth of the pictures is test and nothing validation. By face there is no
    validation part either, as in the original report.

    Raises:
        ConfigError: a folder is not prepared, or a part is empty.
    """
    faces = joined([load_faces(folder) for folder in folders])
    faces = faces.relabelled(MASKED, INCORRECT, recipe.below_nose).of_classes(recipe.classes)
    faces = _where(faces, [f.picture not in recipe.excluded.get(f.source, ()) for f in faces])
    if recipe.split == "face":
        by_face = parts_by_face(len(faces), recipe.seed)
        parts = Parts(*(_where(faces, [there == part for there in by_face]) for part in _NAMES))
    elif recipe.fold is not None:
        if recipe.fold >= FOLDS:
            raise ConfigError(f"fold {recipe.fold}: there are {FOLDS}, from 0 to {FOLDS - 1}")
        held = [fold_of(face.picture, FOLDS) == recipe.fold for face in faces]
        parts = Parts(
            _where(faces, [not out for out in held]), faces.chosen([]), _where(faces, held)
        )
    else:
        parts = Parts(*(faces.of_part(part) for part in _NAMES))
    if not len(parts.test):
        raise ConfigError(f"none of the {len(faces)} faces falls into the test part; add pictures")
    return parts


_NAMES: tuple[Part, Part, Part] = ("train", "validation", "test")


def _where(faces: Faces, wanted: Sequence[bool]) -> Faces:
    return faces.chosen([i for i, want in enumerate(wanted) if want])


def evaluate(run: Run, *, repeats: int = 1_000, most: int = 96) -> Evaluation:
    """Calibrate on validation, then look at the test part, once.

    Args:
        run: finished.
        repeats: of the bootstrap.
        most: mistakes that are shown.
    """
    parts = parts_of(run.recipe, run.data)
    model = run.model()
    own = _own(parts)
    calibration, threshold = _fitted(run, own)
    judged: dict[str, Judged] = {}
    by_detector: dict[str, Judged] = {}
    mistakes: list[Mistake] = []
    for source in dict.fromkeys(face.source for face in parts.test):
        test = _where(parts.test, [face.source == source for face in parts.test])
        crops = plain_crops(test, run.recipe.rule)
        judged[source] = judge(test, probabilities(logits_of(model, crops), calibration))
        mistakes += _mistakes(test, crops, judged[source])
        found = found_by_detector(test)
        if len(found):
            crops = plain_crops(found, run.recipe.rule, detected=True)
            shares = probabilities(logits_of(model, crops), calibration)
            by_detector[source] = judge(found, shares)
    document = {
        "split": _split_sentence(run.recipe),
        "calibration": calibration.model_dump(mode="json"),
        "threshold": threshold,
        "threshold_chosen": _threshold_sentence(run.recipe, len(own)),
        "faces": {name: len(getattr(parts, name)) for name in _NAMES},
        "sources": {name: figures(some, repeats=repeats) for name, some in judged.items()},
        "at_threshold": {
            name: figures(some, threshold, repeats=0)["two_classes"]
            for name, some in judged.items()
        },
        "by_detector": {name: figures(some, repeats=repeats) for name, some in by_detector.items()},
        "test_pictures": {source: _unseen(parts, source) for source in judged},
    }
    document["summary"] = summary(document)
    mistakes.sort(key=lambda mistake: -mistake.share)
    return Evaluation(document, judged, mistakes[:most])


def found_by_detector(faces: Faces) -> Faces:
    """The faces that the detector found too, of sources that have other boxes than its own."""
    other = {f.source for f in faces if f.detected is not None and f.detected != f.box}
    return _where(faces, [f.detected is not None and f.source in other for f in faces])


def judge(faces: Faces, shares: NDArray[np.float64]) -> Judged:
    """Faces with what was said of them."""
    return Judged(
        faces.labels,
        shares,
        [face.picture for face in faces],
        np.array([face.face_px for face in faces]),
    )


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """The few figures that stand in the manifest: each source's F1, specificity and so on."""
    told: dict[str, Any] = {}
    for source, found in document["sources"].items():
        two = found["two_classes"]
        told[source] = {key: two[key] for key in ("f1", "specificity", "npv")}
        if "three_classes" in found:
            three = found["three_classes"]
            told[source] |= {key: three[key] for key in ("macro_f1", "recall_of_third", "ece")}
    return told


def _own(parts: Parts) -> Faces:
    """Validation faces of the first source, which is the one that looks like the work to come."""
    first = parts.train[0].source
    return _where(parts.validation, [face.source == first for face in parts.validation])


def _unseen(parts: Parts, source: str) -> list[str]:
    """Test pictures of which no face stands in another part, as may be in a split by face."""
    seen = {face.picture for part in (parts.train, parts.validation) for face in part}
    return sorted({face.picture for face in parts.test if face.source == source} - seen)


def _fitted(run: Run, own: Faces) -> tuple[Calibration, float]:
    """Calibration and threshold from validation faces, by annotated and detector's boxes.

    A recipe that wants none is judged by its larger logit, as the original report was.
    """
    import torch  # noqa: PLC0415

    classes = run.recipe.classes
    if not len(own) or not run.recipe.calibrate:
        return Calibration(bias=(0.0,) * classes), 0.5
    model = run.model()
    crops = [plain_crops(own, run.recipe.rule, detected=detected) for detected in (False, True)]
    logits = torch.cat([logits_of(model, some) for some in crops])
    labels = np.tile(own.labels, 2)
    calibration = calibrated(logits, torch.from_numpy(labels))
    return calibration, cheapest_threshold(probabilities(logits, calibration), labels)


def _mistakes(faces: Faces, crops: NDArray[np.uint8], judged: Judged) -> list[Mistake]:
    said = judged.shares.argmax(1)
    return [
        Mistake(faces[int(i)], crops[i], int(said[i]), float(judged.shares[i, said[i]]))
        for i in np.flatnonzero(said != judged.labels)
    ]


def _threshold_sentence(recipe: Recipe, faces: int) -> str:
    if not recipe.calibrate:
        return "by nobody: the larger logit decides, as in the original report"
    if not faces:
        return (
            "by nobody, and nothing is calibrated: no face of the first source is in the "
            "validation part"
        )
    return (
        f"on the validation part, where a bare face called masked costs {COST_OF_FALSE_MASK:g} "
        "times a masked face called bare"
    )


def _split_sentence(recipe: Recipe) -> str:
    if recipe.split == "face":
        return (
            "by face, 70:30, as the original report: faces of one picture may stand on both "
            "sides, which flatters the figures"
        )
    if recipe.fold is not None:
        return f"by picture, fold {recipe.fold} of {FOLDS} held out"
    return "by picture, 70:10:20: no picture stands on two sides"
