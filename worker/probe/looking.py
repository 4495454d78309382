"""Finds the faces in what a camera showed, finer than the worker itself would look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from worker.capture.motion import Motion
from worker.config import Camera
from worker.errors import BadDataError
from worker.faces.detect import Detector
from worker.inference.align import CropRule, cut, sharpness
from worker.records import Box, Image, Picture

FINEST_PX = 12
"""Nothing smaller is looked for, since the detectors find it only now and then."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one picture.

    Attributes:
        sharpness: detail, as ``worker.inference.align.sharpness`` measures it.
        level: mean luma of the face, 0 to 255.
    """

    box: Box
    score: float
    sharpness: float
    level: float


@dataclass(frozen=True, slots=True)
class Look:
    """One picture, and the faces in it.

    Attributes:
        level: mean luma of the picture, 0 to 255.
        detail: standard deviation of the Laplacian of the picture's luma, in levels.
    """

    picture: Picture
    faces: Sequence[Sighting]
    level: float
    detail: float


def search_px(camera: Camera) -> int:
    """The smallest face to look for: half of what the worker does, to find what it would miss."""
    return min(camera.min_face_px, max(FINEST_PX, camera.min_face_px // 2))


def look_at(
    pictures: Sequence[Picture], detector: Detector, rule: CropRule, camera: Camera
) -> Iterator[Look]:
    """The faces of each picture, within the camera's region. Blocks while it detects."""
    region = Motion(region=camera.region)
    for picture in pictures:
        image = picture.bgr()
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        faces = [
            sighting
            for face in detector.detect(image)
            if region.contains(face.box, picture.width, picture.height)
            and (sighting := _sighting(image, gray, face.box, face.score, rule))
        ]
        detail = float(cv2.Laplacian(gray, cv2.CV_32F).std())
        yield Look(picture, faces, float(gray.mean()), detail)


def _sighting(image: Image, gray: Image, box: Box, score: float, rule: CropRule) -> Sighting | None:
    """The measures of one face; None where its box has no area."""
    x1, y1, x2, y2 = (round(side) for side in box)
    inside = gray[max(0, y1) : y2, max(0, x1) : x2]
    try:
        detail = sharpness(cut(image, box, rule))
    except BadDataError:
        return None
    return Sighting(box, score, detail, float(inside.mean())) if inside.size else None
