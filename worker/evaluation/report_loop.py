"""The loop that the original report would run on a camera: the yardstick of `maskwatch bench`.

OpenCV reads the clip, a Haar cascade looks at every k-th frame, and the report's network of
three layers classifies each face by itself at 224 px. Only what it costs is of interest, so
the network's weights are random: they cost the same. OpenCV and torch run on one thread each:
on several, those that wait spin, and the yardstick would look dearer than the loop is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from worker.errors import ConfigError
from worker.records import Image

NETWORK = "report-cnn-3"
CROP_PX = 224


@dataclass(frozen=True, slots=True)
class HaarSettings:
    """How the cascade looks for faces."""

    scale_factor: float
    min_neighbours: int
    min_size_px: int


USUAL = HaarSettings(scale_factor=1.1, min_neighbours=5, min_size_px=0)
AS_REPORTED = HaarSettings(scale_factor=2, min_neighbours=9, min_size_px=30)
"""Section 4 of the report."""


@dataclass(frozen=True, slots=True)
class LoopCost:
    """What the loop did, and the CPU seconds of this process that it took."""

    cpu_s: float
    frames_decoded: int
    frames_analysed: int
    faces: int

    @property
    def cpu_s_per_frame(self) -> float:
        """CPU seconds a decoded frame."""
        return self.cpu_s / self.frames_decoded

    @property
    def cpu_s_per_analysed_frame(self) -> float:
        """CPU seconds an analysed frame, its share of the decoding included."""
        return self.cpu_s / self.frames_analysed


def run_report_loop(
    clip: Path, *, every: int = 5, settings: HaarSettings = USUAL, max_frames: int | None = None
) -> LoopCost:
    """Run the loop over a clip; blocks until its end.

    Counted are all threads of this process, so nothing else should run in it meanwhile.

    Args:
        clip: any video that OpenCV reads.
        every: one of so many frames is analysed, the first one included.
        settings: of the cascade.
        max_frames: frames after which it ends.

    Raises:
        ConfigError: torch is missing, or the clip is no video.
    """
    cascade = cv2.CascadeClassifier(str(files("cv2.data") / "haarcascade_frontalface_default.xml"))
    decoded = analysed = faces = 0
    with _one_thread():
        classify = _report_network()
        started = time.process_time()
        for image in islice(_frames(clip), max_frames):
            if decoded % every == 0:
                analysed += 1
                faces += _analyse(image, cascade, settings, classify)
            decoded += 1
        cpu_s = time.process_time() - started
    if not decoded:
        raise ConfigError(f"--clip {clip} is no video that can be read; name another")
    return LoopCost(cpu_s, decoded, analysed, faces)


def _analyse(
    image: Image,
    cascade: cv2.CascadeClassifier,
    settings: HaarSettings,
    classify: Callable[[Image], int],
) -> int:
    """Find and classify the faces of one frame; their number."""
    found = cascade.detectMultiScale(
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
        scaleFactor=settings.scale_factor,
        minNeighbors=settings.min_neighbours,
        minSize=(settings.min_size_px, settings.min_size_px),
    )
    for x, y, w, h in found:
        classify(image[y : y + h, x : x + w])
    return len(found)


def _frames(clip: Path) -> Iterator[Image]:
    """The frames of a clip as OpenCV reads them."""
    capture = cv2.VideoCapture(str(clip))
    try:
        while True:
            more, image = capture.read()
            if not more:
                return
            yield np.asarray(image, np.uint8)
    finally:
        capture.release()


def _report_network() -> Callable[[Image], int]:
    """The report's network as a function of one face, warmed up."""
    import torch  # noqa: PLC0415 (a worker on a CPU does not install it)

    from worker.inference.network import definition  # noqa: PLC0415

    network = definition(NETWORK).make(2).eval()

    def classify(face: Image) -> int:
        crop = cv2.resize(cv2.cvtColor(face, cv2.COLOR_BGR2RGB), (CROP_PX, CROP_PX))
        planes = np.moveaxis(crop, -1, 0).astype(np.float32) / 255
        with torch.inference_mode():
            return int(network(torch.from_numpy(planes[np.newaxis])).argmax(dim=1))

    classify(np.zeros((64, 64, 3), np.uint8))
    return classify


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV and torch on one thread each, for as long as this lasts."""
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the report's loop needs torch: install maskwatch[train], or leave out its comparison"
        ) from error
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])
