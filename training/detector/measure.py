"""How well a detector finds what is annotated: by face size, with intervals, beside its cost.

A face is found by a detection whose IoU with it is at least 0.4; each counts once. What lies
in an ignored region counts neither way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.detector.data import Floats, Sample, Source
from worker.errors import BadDataError, ConfigError
from worker.evaluation.measures import (
    IGNORED,
    UNMATCHED,
    Ints,
    average_precision,
    bootstrap_interval,
    match,
    precision_recall,
    recall_at_precision,
)
from worker.evaluation.pictures import read_picture
from worker.faces.detect import Detector

log = logging.getLogger(__name__)

MIN_IOU = 0.4
LOWEST_SCORE = 0.05
"""Curves are drawn from here; what is less sure changes no figure."""

SIZES_PX: tuple[tuple[float, float], ...] = (
    (0, np.inf),
    (12, np.inf),
    (20, np.inf),
    (0, 12),
    (12, 20),
    (20, 40),
    (40, 80),
    (80, np.inf),
)
"""Bands of the shorter side of a face, from the first to below the second."""

GOOD_PRECISION = 0.95
"""The threshold is the lowest score at which so many detections are right, on validation."""

REPEATS = 300


Counted = tuple[Floats, NDArray[np.bool_], int]
"""Scores and hits of the detections that count, and the number of faces."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a detector made of one picture.

    Attributes:
        scores: of its detections ``(N,)``.
        detection_px: their shorter sides ``(N,)``.
        matched: index of the face that each found, or ``UNMATCHED`` or ``IGNORED`` ``(N,)``.
        face_px: shorter sides of the faces ``(M,)``.
    """

    scores: Floats
    detection_px: Floats
    matched: Ints
    face_px: Floats

    def counted(self, low: float, high: float) -> Counted:
        """Scores and hits of the detections that count in a band of sizes, and its faces.

        What found a face of another size, or found nothing and has another size, is left out.
        """
        of_face = np.append(self.face_px, 0)[np.maximum(self.matched, 0)]
        hit = self.matched >= 0
        px = np.where(hit, of_face, self.detection_px)
        use = (self.matched != IGNORED) & (px >= low) & (px < high)
        faces = int(((self.face_px >= low) & (self.face_px < high)).sum())
        return self.scores[use], hit[use], faces


def outcomes(detector: Detector, samples: Sequence[Sample]) -> list[Outcome]:
    """Run a detector over annotated pictures; one that cannot be read is logged, left out.

    Raises:
        ConfigError: none of them can be read.
    """
    found: list[Outcome] = []
    for sample in samples:
        try:
            found.append(_outcome(detector, sample))
        except BadDataError as error:
            log.warning("%s; it is left out", error)
    if not found:
        raise ConfigError(f"not one of {len(samples)} pictures can be read; see the log, add some")
    return found


def figures(found: Sequence[Outcome], threshold: float, repeats: int = REPEATS) -> dict[str, Any]:
    """Figures of pictures with faces, by band of sizes; intervals are 95 %, over pictures."""
    rows: dict[str, Any] = {}
    for low, high in SIZES_PX:
        counted = [outcome.counted(low, high) for outcome in found]
        faces = sum(count for _, _, count in counted)
        if not faces:
            continue
        ap, recall, at_threshold = _figures_of(counted, np.arange(len(counted)), threshold)
        interval = bootstrap_interval(partial(_ap_of, counted), len(counted), repeats=repeats)
        name = f"{low:g}+ px" if high == np.inf else f"{low:g}-{high:g} px"
        rows["all" if (low, high) == SIZES_PX[0] else name] = {
            "faces": faces,
            "ap_40": round(ap, 4),
            "ap_40_interval": [round(end, 4) for end in interval],
            "recall_at_precision_90": round(recall, 4),
            "found_at_threshold": round(at_threshold, 4),
        }
    return rows


def false_detections(found: Sequence[Outcome], threshold: float) -> float:
    """Detections a picture that found no face."""
    wrong = sum(int(((o.scores >= threshold) & (o.matched == UNMATCHED)).sum()) for o in found)
    return wrong / max(1, len(found))


def choose_threshold(found: Sequence[Outcome]) -> float:
    """The lowest score from which on ``GOOD_PRECISION`` holds, over all pictures together."""
    counted = [outcome.counted(0, np.inf) for outcome in found]
    scores, hits, faces = _joined(counted, np.arange(len(counted)))
    curve = precision_recall(scores, hits, faces)
    good = curve.scores[curve.precision >= GOOD_PRECISION]
    return round(float(good.min()), 3) if len(good) else 0.5


def average_precision_of(source: Source, detector: Detector) -> float:
    """Average precision over a source; where it has no faces, false detections a picture."""
    found = outcomes(detector, source.samples)
    if not source.faces:
        return false_detections(found, detector.threshold)
    counted = [outcome.counted(0, np.inf) for outcome in found]
    return _ap_of(counted, np.arange(len(counted)))


def cost_ms(
    detectors: Sequence[Detector], width: int = 640, height: int = 384, repeats: int = 15
) -> dict[str, float]:
    """Least CPU milliseconds a frame of each detector, taken in turns; the machine is noisy."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    least = {detector.name: np.inf for detector in detectors}
    for _ in range(repeats):
        for detector in detectors:
            began = time.thread_time()
            detector.detect(image)
            least[detector.name] = min(least[detector.name], time.thread_time() - began)
    return {name: round(1_000 * seconds, 1) for name, seconds in least.items()}


def _outcome(detector: Detector, sample: Sample) -> Outcome:
    found = detector.detect(read_picture(sample.path), min_score=LOWEST_SCORE)
    boxes = np.asarray([detection.box for detection in found], np.float32).reshape(-1, 4)
    scores = np.asarray([detection.score for detection in found], np.float32)
    return Outcome(
        scores,
        _shorter_px(boxes),
        match(boxes, scores, sample.faces, sample.ignored, MIN_IOU),
        _shorter_px(sample.faces),
    )


def _shorter_px(boxes: Floats) -> Floats:
    shorter: Floats = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    return shorter


def _joined(counted: Sequence[Counted], chosen: Ints) -> Counted:
    scores, hits, faces = zip(*(counted[i] for i in chosen), strict=True)
    return np.concatenate(scores), np.concatenate(hits), sum(faces)


def _figures_of(
    counted: Sequence[Counted], chosen: Ints, threshold: float
) -> tuple[float, float, float]:
    """Average precision, recall at precision 0.9 and share found at the threshold."""
    scores, hits, faces = _joined(counted, chosen)
    curve = precision_recall(scores, hits, faces)
    share = float(hits[scores >= threshold].sum()) / faces if faces else np.nan
    return average_precision(curve), recall_at_precision(curve), share


def _ap_of(counted: Sequence[Counted], chosen: Ints) -> float:
    return average_precision(precision_recall(*_joined(counted, chosen)))
