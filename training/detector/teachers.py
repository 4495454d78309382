"""Detectors to learn from and to compare with: those of the worker, and YuNet from a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from worker.errors import ConfigError
from worker.faces.detect import Detector, expect_pictures, open_detector
from worker.faces.heatmap import MAX_IOU, fitted, found_in
from worker.records import Box, Detection, Image, Picture, Tiling

LOWEST_SCORE = 0.05
MAX_FACES = 5_000


class YuNet:
    """YuNet (libfacedetection) by OpenCV, from a file that the user has. Not for several threads.

    Args:
        path: the ONNX file.
        min_face_px: smallest face wanted; the network finds faces from about 12 px.
    """

    name = "yunet"
    version = "n"
    threshold = 0.5
    device = "cpu"

    def __init__(self, path: Path, min_face_px: int) -> None:
        self._scale = 12 / min_face_px
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        try:
            self._network = cv2.FaceDetectorYN.create(
                str(path), "", (320, 320), LOWEST_SCORE, MAX_IOU, MAX_FACES
            )
            self.detect(np.zeros((64, 64, 3), np.uint8))  # another network is only refused here
        except cv2.error as error:
            raise ConfigError(
                f"{path} is no YuNet that OpenCV reads; name a YuNet ONNX file, or a detector by "
                "its name or folder"
            ) from error

    def tiling(self, width: int, height: int) -> Tiling | None:  # noqa: ARG002
        """See ``Detector.tiling``; it looks at wholes alone."""
        return None

    def look(self, picture: Picture, part: Box) -> list[Detection]:
        """See ``Detector.look``."""
        return found_in(self.detect, picture, part)

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:
        """See ``Detector.detect``."""
        pixels, (wide, high) = fitted(image, self._scale)
        self._network.setInputSize((pixels.shape[1], pixels.shape[0]))
        _, rows = self._network.detect(pixels)
        found = np.asarray(rows if rows is not None else [], np.float64).reshape(-1, 15)
        found = found[np.isfinite(found).all(axis=1)]  # it gives endless boxes now and then
        found = found[found[:, 14] >= (self.threshold if min_score is None else min_score)]
        height, width = image.shape[:2]
        grow = np.array([width / wide, height / high] * 2)
        corners = np.hstack([found[:, :2], found[:, :2] + found[:, 2:4]]) * grow
        return [
            Detection(Box(*corner.tolist()).clipped(width, height), float(row[14]))
            for corner, row in zip(corners, found, strict=True)
        ]


def open_teacher(name: str, min_face_px: int) -> Detector:
    """A detector by its name, or YuNet from its ONNX file.

    Raises:
        ConfigError: there is no such detector or file.
    """
    path = Path(name)
    if path.suffix != ".onnx":
        expect_pictures()
        return open_detector(name, min_face_px=min_face_px)
    if not path.is_file():
        raise ConfigError(f"there is no file {name}; correct the path")
    return YuNet(path, min_face_px)
