"""`maskwatch predict`: pictures in, annotated pictures and JSON out (the report's section 4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from worker.config import Deciding
from worker.errors import BadDataError, ConfigError, WorkError
from worker.evaluation.draw import Mark, annotate
from worker.evaluation.pictures import list_pictures, read_picture
from worker.faces.detect import Detector
from worker.inference.align import CropRule, cut, sharpness
from worker.inference.engine import Engine
from worker.records import CLASSES, Box, Decision, Detection, Image, UnknownReason

BATCH = 64
JPEG_QUALITY = 95
JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})

Probabilities = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PredictedFace:
    """One face of a still picture; ``probabilities`` is None where it was not classified."""

    box: Box
    detection_score: float
    decision: Decision
    probabilities: Probabilities | None

    def to_dict(self) -> dict[str, Any]:
        """As a face stands in a frame event, without its track."""
        x1, y1, x2, y2 = self.box
        return {
            "box": [round(side, 1) for side in (x1, y1, x2 - x1, y2 - y1)],
            "detection_score": round(self.detection_score, 4),
            "label": self.decision.label,
            "score": round(self.decision.score, 4),
            "reason": self.decision.reason,
            "probabilities": None
            if self.probabilities is None
            else {
                name: round(share, 4)
                for name, share in zip(CLASSES, self.probabilities, strict=True)
            },
            "face_px": round(self.box.face_px, 1),
        }


class Predictor:
    """Finds and labels the faces of single pictures, by the worker's rules for one look.

    A face is ``unknown`` where it is too small or too blurred, or where no class reaches
    ``enter``; evidence over time, which a camera has, is missing here.

    Args:
        detector: finds the faces.
        engine: classifies their crops.
        rule: how crops are cut; stands in the classifier's manifest.
        deciding: sizes and scores from which something is said.
        threshold: the model's own: the least probability of ``with_mask`` to say so.
    """

    def __init__(
        self,
        detector: Detector,
        engine: Engine,
        rule: CropRule,
        deciding: Deciding,
        threshold: float,
    ) -> None:
        self._detector = detector
        self._engine = engine
        self._rule = rule
        self._deciding = deciding
        self._enter = np.full(len(CLASSES), deciding.enter)
        self._enter[CLASSES.index("with_mask")] = max(deciding.enter, threshold)

    def predict(self, image: Image) -> list[PredictedFace]:
        """All faces of a picture, those of the best detection score first.

        Args:
            image: ``uint8 (H, W, 3) BGR``; neither kept nor written to.
        """
        detections = self._detector.detect(image)
        faces: dict[int, PredictedFace] = {}
        crops: dict[int, Image] = {}
        for number, detection in enumerate(detections):
            crop, reason = self._crop(image, detection)
            if crop is None:
                unknown = Decision("unknown", 0.0, reason)
                faces[number] = PredictedFace(detection.box, detection.score, unknown, None)
            else:
                crops[number] = crop
        for number, probabilities in self._classified(crops):
            detection = detections[number]
            decision = self._decision(probabilities)
            faces[number] = PredictedFace(detection.box, detection.score, decision, probabilities)
        return [faces[number] for number in range(len(detections))]

    def _crop(
        self, image: Image, detection: Detection
    ) -> tuple[Image | None, UnknownReason | None]:
        if detection.box.face_px < self._deciding.min_face_px:
            return None, "too_small"
        crop = cut(image, detection.box, self._rule)
        if sharpness(crop) < self._deciding.min_sharpness:
            return None, "blurred"
        return crop, None

    def _classified(self, crops: dict[int, Image]) -> Iterator[tuple[int, Probabilities]]:
        numbers = list(crops)
        for start in range(0, len(numbers), BATCH):
            part = numbers[start : start + BATCH]
            given = self._engine.run(np.stack([crops[number] for number in part]))
            for number, (without, with_, incorrectly) in zip(part, given, strict=True):
                yield number, (float(without), float(with_), float(incorrectly))

    def _decision(self, probabilities: Probabilities) -> Decision:
        best = int(np.argmax(probabilities))
        if probabilities[best] < self._enter[best]:
            return Decision("unknown", probabilities[best], "undecided")
        return Decision(CLASSES[best], probabilities[best])


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to read, and where its annotated copy goes."""

    source: Path
    target: Path


def plan(inputs: Sequence[Path], out: Path) -> list[Job]:
    """Which pictures are read and where each is written; no two to one place.

    Pictures of a folder keep their path below it. Where a name is taken, by another picture
    or by an input itself, a number is added. JPEG stays JPEG, all else becomes PNG.

    Raises:
        ConfigError: a folder has no pictures, or ``out`` lies inside a folder that is read.
    """
    sources: list[tuple[Path, Path]] = []
    for given in inputs:
        if not given.is_dir():
            sources.append((given, Path(given.name)))
            continue
        if out.resolve().is_relative_to(given.resolve()):
            raise ConfigError(
                f"--out {out} lies inside {given}, whose pictures are read; name another folder"
            )
        found = list_pictures(given, recursive=True)
        if not found:
            raise ConfigError(f"{given} holds no pictures; name a folder that does")
        sources.extend((path, path.relative_to(given)) for path in found)
    taken = {source.resolve() for source, _ in sources}
    jobs: list[Job] = []
    for source, below in sources:
        job = Job(source, _free(out / below, taken))
        taken.add(job.target.resolve())
        jobs.append(job)
    return jobs


def run(
    jobs: Iterable[Job],
    predictor: Predictor,
    *,
    on_picture: Callable[[str], None],
    on_fault: Callable[[BadDataError], None],
) -> int:
    """Predict every picture; a bad one is told and the others go on.

    Args:
        jobs: from ``plan``.
        predictor: finds and labels.
        on_picture: given one line of JSON a picture: ``path``, ``annotated``, ``width``,
            ``height`` and ``faces``, the latter as in a frame event.
        on_fault: given what was wrong with a picture.

    Returns:
        The number of pictures that could not be used.

    Raises:
        WorkError: an annotated picture cannot be written.
    """
    failed = 0
    for job in jobs:
        try:
            image = read_picture(job.source)
        except BadDataError as error:
            failed += 1
            on_fault(error)
            continue
        faces = predictor.predict(image)
        _write(job.target, annotate(image, [Mark(face.box, face.decision) for face in faces]))
        height, width = image.shape[:2]
        on_picture(
            json.dumps(
                {
                    "path": str(job.source),
                    "annotated": str(job.target),
                    "width": width,
                    "height": height,
                    "faces": [face.to_dict() for face in faces],
                }
            )
        )
    return failed


def _free(target: Path, taken: set[Path]) -> Path:
    """The target with the ending it is written with, numbered where the name is taken."""
    if target.suffix.lower() not in JPEG_SUFFIXES:
        target = target.with_suffix(".png")
    free, number = target, 2
    while free.resolve() in taken:
        free = target.with_stem(f"{target.stem}-{number}")
        number += 1
    return free


def _write(path: Path, image: Image) -> None:
    jpeg = path.suffix.lower() in JPEG_SUFFIXES
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if jpeg else []
    try:
        _, content = cv2.imencode(path.suffix, image, options)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.tobytes())
    except (OSError, cv2.error) as error:
        cause = getattr(error, "strerror", None) or "it cannot be encoded"
        raise WorkError(f"{path} cannot be written ({cause}); name another --out") from error
