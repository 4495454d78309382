"""A frame in, its faces out: one protocol, several detectors, one place that names them."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.errors import ConfigError
from worker.faces.heatmap import (
    ACCURATE,
    FAST,
    found_in,
    open_artifact,
    open_centerface,
    open_shipped,
)
from worker.inference.artifact import load
from worker.inference.engine import Device
from worker.records import Box, Detection, Image, Picture, Tiling


class Detector(Protocol):
    """Finds faces. Used by several threads at once."""

    name: str
    version: str
    digest: str
    """Names exactly these weights, 64 hexadecimal digits."""

    threshold: float
    """Score from which a face counts at work."""

    device: str
    """Where it runs."""

    def tiling(self, width: int, height: int) -> Tiling | None:
        """How a picture may be cut up so that its parts show what the whole does.

        Args:
            width: of what would be looked at as a whole.
            height: of what would be looked at as a whole.

        Returns:
            None where looking at parts costs as much as the whole, or shows something else.
        """

    def look(self, picture: Picture, part: Box) -> list[Detection]:
        """All faces of a part of a frame, in the frame's pixels.

        Args:
            picture: converted no further than the detector needs it.
            part: sides in whole pixels.
        """

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:
        """All faces of a picture, best first.

        Args:
            image: ``uint8 (H, W, 3) BGR``; neither kept nor written to.
            min_score: lowest score wanted; default is ``threshold``.

        Returns:
            Boxes in pixels of ``image``, clipped to it.
        """


def expect_pictures() -> None:
    """Pictures of all sizes will come, no camera's frames: what a size costs need not be told."""
    logging.getLogger("worker.faces").setLevel(logging.ERROR)


def open_detector(
    name: str, *, min_face_px: int, min_score: float | None = None, device: Device = "cpu"
) -> Detector:
    """The detector of that name.

    Args:
        name: a key of ``DETECTORS``, or the folder of a detector's artifact.
        min_face_px: smallest face wanted, in pixels of the picture.
        min_score: takes the place of the detector's own threshold.
        device: where ours run, as ``open_engine`` takes it; the others know the CPU alone.

    Raises:
        ConfigError: no such detector or device, or the artifact is not a detector.
    """
    if name in DETECTORS:
        detector = DETECTORS[name](min_face_px, device)
    elif Path(name).is_dir():
        detector = open_artifact(load(Path(name), kind="detector"), min_face_px, device)
    else:
        raise ConfigError(
            f"detection.detector: there is no detector {name!r}; take {' or '.join(DETECTORS)}, "
            "or name the folder of an exported detector"
        )
    if min_score is not None:
        detector.threshold = min_score
    return detector


class Haar:
    """OpenCV's frontal face cascade (Viola and Jones 2001), set as in the original report."""

    name = "haar"
    device = "cpu"

    def __init__(self, min_face_px: int, _device: Device = "cpu") -> None:
        cascade = Path(str(files("cv2.data") / "haarcascade_frontalface_default.xml"))
        self.version = cv2.__version__
        self.digest = hashlib.sha256(cascade.read_bytes()).hexdigest()
        self.threshold = 0.5
        self._min_px = max(30, min_face_px)
        self._cascade = cv2.CascadeClassifier(str(cascade))
        self._lock = threading.Lock()

    def tiling(self, width: int, height: int) -> Tiling | None:  # noqa: ARG002
        """See ``Detector.tiling``."""
        return Tiling(float(self._min_px))

    def look(self, picture: Picture, part: Box) -> list[Detection]:
        """See ``Detector.look``."""
        return found_in(self.detect, picture, part)

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:  # noqa: ARG002
        """See ``Detector.detect``; the cascade has no score, so every face has 1."""
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        with self._lock:  # a cascade keeps its scratch memory in itself
            found = self._cascade.detectMultiScale(
                gray, scaleFactor=2, minNeighbors=9, minSize=(self._min_px, self._min_px)
            )
        boxes = (_floats(np.asarray(rectangle)) for rectangle in found)
        return [Detection(Box(x, y, x + w, y + h), 1.0) for x, y, w, h in boxes]


DETECTORS: dict[str, Callable[[int, Device], Detector]] = {
    "accurate": partial(open_shipped, ACCURATE),
    "fast": partial(open_shipped, FAST),
    "centerface": open_centerface,
    "haar": Haar,
}
"""Every detector by the name that the configuration gives it."""


def _floats(values: NDArray[np.generic]) -> list[float]:
    return [float(value) for value in values]
