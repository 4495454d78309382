"""What a pipeline did on one annotated picture, as arrays from which every figure is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.errors import BadDataError
from worker.evaluation.measures import Floats, Ints, match
from worker.evaluation.voc import AnnotatedFace, AnnotatedPicture
from worker.faces.detect import Detector
from worker.inference.align import CropRule, cut
from worker.inference.engine import Engine
from worker.records import CLASSES, Box, Detection, Image

FOUND_IOU = 0.4
STRICT_IOU = 0.5

LOWEST_SCORE = 0.02
"""Detections are asked for down to here, so that the precision-recall curve has its tail."""

BATCH = 64
NO_LABEL = -1
WITHOUT, WITH = CLASSES.index("without_mask"), CLASSES.index("with_mask")


@dataclass(frozen=True, slots=True)
class PictureOutcome:
    """One picture: its faces ``(M,)``, its detections ``(N,)``, and how they belong together.

    Attributes:
        width_px: of the faces.
        label: of the faces, index in ``CLASSES`` or ``NO_LABEL``.
        annotated: probabilities ``(M, 3)`` on the annotated boxes; nan without a label.
        detected: probabilities ``(M, 3)`` on the boxes that the detector gave for the faces
            at its own threshold; nan where a face was not found.
        score: of the detections.
        detection_px: width of the detections.
        match_40: ``measures.match`` at ``FOUND_IOU``.
        match_50: ``measures.match`` at ``STRICT_IOU``.
    """

    width_px: Floats
    label: Ints
    annotated: Floats
    detected: Floats
    score: Floats
    detection_px: Floats
    match_40: Ints
    match_50: Ints

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which faces the detector found at its own threshold ``(M,)``."""
        return ~np.isnan(self.detected[:, 0])


def outcome_of(
    picture: AnnotatedPicture, image: Image, detector: Detector, engine: Engine, rule: CropRule
) -> PictureOutcome:
    """Detect and classify on one picture.

    Args:
        picture: its annotation.
        image: ``uint8 (H, W, 3) BGR``; neither kept nor written to.
        detector: asked once, down to ``LOWEST_SCORE``; what it gives above its threshold is
            what it would give at work, since suppression goes from the best score down.
        engine: classifier.
        rule: how its crops are cut.

    Raises:
        BadDataError: the picture has another size than its header said, or the classifier
            gave values that are not finite.
    """
    if image.shape[:2] != (picture.height, picture.width):
        raise BadDataError(f"{picture.path} decodes to another size than its header says; save it")
    faces = [face for face in picture.faces if face.name != "ignore"]
    ignored = [face.box for face in picture.faces if face.name == "ignore"]
    detections = detector.detect(image, min_score=min(LOWEST_SCORE, detector.threshold))
    score = np.array([detection.score for detection in detections], np.float64)
    match_40, match_50 = (
        _matches(detections, faces, ignored, iou) for iou in (FOUND_IOU, STRICT_IOU)
    )
    finders = {
        int(face): detections[index].box
        for index, face in enumerate(match_40)
        if face >= 0 and score[index] >= detector.threshold
    }
    label = np.array([NO_LABEL if f.label is None else f.label for f in faces], np.int64)
    labelled = {number: face.box for number, face in enumerate(faces) if face.label is not None}
    return PictureOutcome(
        width_px=np.array([face.box.width for face in faces], np.float64),
        label=label,
        annotated=_classified(image, labelled, len(faces), engine, rule),
        detected=_classified(image, finders, len(faces), engine, rule),
        score=score,
        detection_px=np.array([detection.box.width for detection in detections], np.float64),
        match_40=match_40,
        match_50=match_50,
    )


def _matches(
    detections: Sequence[Detection],
    faces: Sequence[AnnotatedFace],
    ignored: Sequence[Box],
    min_iou: float,
) -> Ints:
    return match(
        [detection.box for detection in detections],
        [detection.score for detection in detections],
        [face.box for face in faces],
        ignored,
        min_iou,
    )


def _classified(
    image: Image, boxes: dict[int, Box], count: int, engine: Engine, rule: CropRule
) -> Floats:
    """Probabilities ``(count, 3)`` in the rows that have a box; nan in the others."""
    probabilities = np.full((count, len(CLASSES)), np.nan)
    rows = list(boxes)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        given = engine.run(np.stack([cut(image, boxes[row], rule) for row in part]))
        if given.shape != (len(part), len(CLASSES)) or not np.isfinite(given).all():
            raise BadDataError(
                f"the classifier gave {given.shape} for {len(part)} crops, or values that are "
                "not finite; train it again"
            )
        probabilities[part] = given
    return probabilities
