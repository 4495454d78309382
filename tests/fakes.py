"""Stand-ins that tests share: a picture, a detector and an engine that do what they are told."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.faces.heatmap import found_in
from worker.records import Box, Detection, Frame, Image, Picture, Tiling, Track


class ArrayPicture:
    """A picture that is an array already; counts its conversions."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.conversions = 0

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])

    def gray(self) -> Image:
        return np.ascontiguousarray(self.image[..., 1])

    def thin(self) -> Image:
        return self.gray()

    def bgr(self) -> Image:
        self.conversions += 1
        return self.image

    def scaled(self, width: int, height: int) -> Image:
        self.conversions += 1
        return np.asarray(cv2.resize(self.image, (width, height), interpolation=cv2.INTER_AREA))

    def release(self) -> None:
        pass

    def copy(self) -> Image:
        return self.image.copy()


class FakeDetector:
    """What detectors have in common; finds nothing by itself."""

    name = "fake"
    version = "1"
    digest = ""
    threshold = 0.5
    device = "cpu"
    cut_up: Tiling | None = None

    def tiling(self, width: int, height: int) -> Tiling | None:
        return self.cut_up

    def look(self, picture: Picture, part: Box) -> list[Detection]:
        return found_in(self.detect, picture, part)

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:
        return []


class ScriptedDetector(FakeDetector):
    """Finds what it was told to find, frame by frame; the last entry repeats."""

    def __init__(self, *frames: Sequence[Detection]) -> None:
        self.frames = list(frames)
        self.calls = 0

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:
        found = self.frames[min(self.calls, len(self.frames) - 1)]
        self.calls += 1
        return list(found)


class BrightSpots(FakeDetector):
    """Finds white rectangles on dark ground, as they lie in the picture that it is shown."""

    cut_up = Tiling(30)

    def __init__(self) -> None:
        self.looked: list[tuple[int, int]] = []

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:
        height, width = image.shape[:2]
        self.looked.append((width, height))
        white = (image[:, :, 0] > 200).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(white)
        return [
            Detection(Box(float(x), float(y), float(x + w), float(y + h)), 0.9)
            for x, y, w, h, _ in stats[1:]
        ]


class ScriptedEngine:
    """Gives every crop the same probabilities; remembers the batches."""

    device = "cpu"

    def __init__(self, probabilities: Sequence[float] = (0.02, 0.97, 0.01)) -> None:
        self.probabilities = np.array(probabilities, np.float32)
        self.batches: list[int] = []

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(batch))
        return np.tile(self.probabilities, (len(batch), 1))


def noise(width: int = 320, height: int = 180, seed: int = 0) -> Image:
    """A picture full of texture."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def frame(image: Image, at_s: float = 0.0, camera: str = "hall") -> Frame:
    """A frame of that picture, ``at_s`` after some start."""
    return Frame(camera, 1_700_000_000.0 + at_s, 100.0 + at_s, ArrayPicture(image))


def face(x: float, y: float, size: float = 40.0, score: float = 0.9) -> Detection:
    """A square detection with its upper left corner at (x, y)."""
    return Detection(Box(x, y, x + size, y + size), score)


def track(number: int = 1, size: float = 48.0, *, hits: int = 3, seen: bool = True) -> Track:
    """A confirmed track at the origin."""
    return Track(number, Box(0, 0, size, size), 1.0, hits, hits >= 2, seen, 1_700_000_000.0)
