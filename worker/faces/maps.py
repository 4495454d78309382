"""Pictures to the maps that a detector reads faces from; on the CPU, or together on CUDA."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from worker.errors import ModelError, WorkError
from worker.inference.engine import BATCH_SIZES, cpu_session, fill, is_out_of_memory, padded_size
from worker.records import Image

log = logging.getLogger(__name__)

STRIDE_PX = 4
"""One point of the maps stands for so many pixels of the input, each way."""

MULTIPLE_PX = 32
"""Sides of the input are multiples of this: the network halves it five times."""

MAX_BATCH_PX = 8 * 1_280 * 736
"""Pixels of the pictures that are looked at together, at most; one is always taken."""

MAX_FAILED = 3
"""Batches in a row that the device fails on before the process ends, for a restart."""


class FaceMaps(NamedTuple):
    """What the network says of each point of its grid, in strides.

    Attributes:
        heat: ``float32 (h, w)``, 0 to 1: how surely a face's centre lies there.
        size: ``float32 (2, h, w)``, log of height and width.
        offset: ``float32 (2, h, w)``, from the point to the centre, rows then columns.
    """

    heat: NDArray[np.float32]
    size: NDArray[np.float32]
    offset: NDArray[np.float32]


class MapsEngine(Protocol):
    """A detector's network on a device. Used by several threads at once."""

    device: str

    def run(self, pixels: Image) -> FaceMaps:
        """The maps of one picture, ``uint8 (H, W, 3) BGR``, sides multiples of 32. Blocks."""


class OnnxMaps:
    """onnxruntime in the calling thread; pictures of every size by one session.

    Args:
        model: from ``uint8 (1, H, W, 3) BGR`` to heat ``(1, 1, h, w)``, size ``(1, 2, h, w)``
            and offset ``(1, 2, h, w)``.
    """

    device = "cpu"

    def __init__(self, model: onnx.ModelProto) -> None:
        self._session = cpu_session(model.SerializeToString())
        self._input = self._session.get_inputs()[0].name

    def run(self, pixels: Image) -> FaceMaps:
        """See ``MapsEngine.run``."""
        heat, size, offset = self._session.run(None, {self._input: pixels[None]})
        return FaceMaps(heat[0, 0], size[0], offset[0])


@dataclass(slots=True, eq=False)
class _Wish:
    """A picture that a thread waits for."""

    pixels: Image
    maps: FaceMaps | None = None
    error: Exception | None = None

    @property
    def answered(self) -> bool:
        return self.maps is not None or self.error is not None


class TorchMaps:
    """torch on one device, all threads' pictures together: what came while it was busy is next.

    No thread of its own and no waiting for company: whoever gets the device takes the pictures
    of its size that wait by then, so batches grow with the load and a lone camera waits for none.
    Where the device's memory is short, batches are halved from then on.

    Args:
        network: name of the network.
        weights: its file.
        device: ``cuda`` in half precision, or ``cpu`` in single to compare the engines.

    Raises:
        ModelError: the file does not fit the network.
    """

    def __init__(self, network: str, weights: Path, device: Literal["cuda", "cpu"]) -> None:
        import torch  # noqa: PLC0415 (a worker on a CPU neither installs nor imports it)

        from worker.inference.center_point import CenterPoint  # noqa: PLC0415

        model = CenterPoint(network)
        fill(model, network, weights)
        self.device: str = device
        self._torch = torch
        self._type = torch.float16 if device == "cuda" else torch.float32
        self._model = model.eval().to(device, self._type).to(memory_format=torch.channels_last)
        self._waiting: dict[tuple[int, ...], list[_Wish]] = {}
        self._changed = threading.Condition()
        self._busy = False
        self._limit_px = MAX_BATCH_PX
        self._failed = 0

    def run(self, pixels: Image) -> FaceMaps:
        """See ``MapsEngine.run``.

        Raises:
            WorkError: the device has failed too often in a row.
            RuntimeError: it failed on this batch.
        """
        wish = _Wish(pixels)
        with self._changed:
            self._waiting.setdefault(pixels.shape, []).append(wish)
        while batch := self._next(wish):
            try:
                self._fulfil(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        if wish.maps is not None:
            return wish.maps
        if self._failed >= MAX_FAILED:
            raise WorkError(
                f"{self.device} failed on {self._failed} batches of pictures in a row "
                f"({wish.error}); see to the device, and start again"
            )
        raise RuntimeError(f"{self.device} failed on a batch of pictures") from wish.error

    def _next(self, wish: _Wish) -> Sequence[_Wish]:
        """The batch that the thread with this wish has to see to; empty once it is answered."""
        with self._changed:
            self._changed.wait_for(lambda: wish.answered or not self._busy)
            if wish.answered:
                return ()
            self._busy = True
            waiting = self._waiting.pop(wish.pixels.shape)
            most = self._most(wish.pixels)
            if waiting[most:]:
                self._waiting[wish.pixels.shape] = waiting[most:]
            return waiting[:most]

    def _most(self, pixels: Image) -> int:
        """How many pictures of a size are looked at together, at most."""
        fitting = self._limit_px // (pixels.shape[0] * pixels.shape[1])
        return max(size for size in BATCH_SIZES if size <= max(1, fitting))

    def _fulfil(self, wishes: Sequence[_Wish]) -> None:
        """Answer every wish, in parts as large as the memory allows."""
        left = list(wishes)
        while left:
            part = left[: self._most(left[0].pixels)]
            error = self._error_of(part)
            if error is None:
                del left[: len(part)]
            elif len(part) > 1 and is_out_of_memory(error):
                self._limit_px = len(part) // 2 * part[0].pixels[..., 0].size
                log.warning(
                    "%s has no memory for %d pictures at once; it is given at most %d of their "
                    "size from now on",
                    self.device,
                    len(part),
                    len(part) // 2,
                )
            else:
                self._failed += 1
                for wish in left:
                    wish.error = error
                return
        self._failed = 0

    def _error_of(self, wishes: Sequence[_Wish]) -> Exception | None:
        """Look at pictures together; what went wrong holds nothing of what was computed."""
        try:
            found = self._maps([wish.pixels for wish in wishes])
        except Exception as error:  # noqa: BLE001 (whatever a device fails with; ``run`` raises it)
            error.__context__ = None
            return error.with_traceback(None)
        for wish, maps in zip(wishes, found, strict=True):
            wish.maps = maps
        return None

    def _maps(self, pictures: Sequence[Image]) -> list[FaceMaps]:
        torch = self._torch
        batch = np.zeros((padded_size(len(pictures)), *pictures[0].shape), np.uint8)
        np.stack(pictures, out=batch[: len(pictures)])
        with torch.inference_mode():
            pixels = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2).flip(1)
            maps = self._model(pixels.to(self._type))
            whole = torch.cat([maps.heat.sigmoid(), maps.size, maps.offset], 1)
            told = whole[: len(pictures)].float().cpu().numpy()
        return [FaceMaps(one[0], one[1:3], one[3:5]) for one in told]


@lru_cache(maxsize=4)
def cuda_maps(network: str, weights: Path, digest: str) -> TorchMaps:  # noqa: ARG001 (its key)
    """The network on CUDA, one for all cameras, since only what shares it is looked at together.

    Args:
        network: its name.
        weights: its file.
        digest: of the artifact; another one is another network.

    Raises:
        ModelError: the file does not fit the network.
    """
    return TorchMaps(network, weights, "cuda")


def read_onnx(path: Path) -> onnx.ModelProto:
    """A network from its ONNX file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return onnx.load(str(path))
    except (OSError, DecodeError) as error:
        raise ModelError(f"{path} is no network that can be read; take a fresh copy") from error
