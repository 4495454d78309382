"""An artifact on a device; the one place that chooses: torch on CUDA, onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from worker.errors import ConfigError, ModelError
from worker.inference.artifact import Artifact
from worker.records import CLASSES

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""On CUDA a batch is padded to the next of these, so that few kernels are ever chosen."""

GPU_NODES = ("/dev/nvidiactl", "/dev/dxg")
"""One of them exists where a CUDA device may be; looked at before torch is imported."""


class Engine(Protocol):
    """A classifier on a device. Used by one thread at a time."""

    device: str

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities of a batch. Blocks until they are there.

        Args:
            batch: ``uint8 (N, S, S, 3) BGR``; not kept.

        Returns:
            ``float32 (N, 3)`` in the order of ``CLASSES``, calibrated; a class that the model
            does not know has 0.
        """


def open_engine(artifact: Artifact, device: Device = "auto") -> Engine:
    """The artifact on a device.

    Args:
        artifact: a classifier.
        device: ``auto`` takes CUDA where it is, else the CPU.

    Raises:
        ConfigError: CUDA is asked for and is not there.
        ModelError: the artifact's files do not make a network.
    """
    return TorchEngine(artifact, "cuda") if takes_cuda(device) else OnnxEngine(artifact)


def takes_cuda(device: Device) -> bool:
    """Whether CUDA is taken: where it is asked for, and by ``auto`` where it is there.

    Raises:
        ConfigError: it is asked for and is not there.
    """
    if device == "cpu" or (device == "auto" and not _may_have_gpu()):
        return False
    fault = _cuda_fault()
    if fault is not None and device == "cuda":
        raise ConfigError(
            f'inference.device is "cuda", but {fault}; install maskwatch[cuda] on a machine '
            'with a GPU, or set the device to "cpu"'
        )
    return fault is None


def cpu_session(model: Path | bytes) -> ort.InferenceSession:
    """An onnxruntime session that uses the calling thread and no other.

    Raises:
        ModelError: it is no network that onnxruntime can run.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime's own exceptions share no base class but this one.
        name = "the network" if isinstance(model, bytes) else str(model)
        raise ModelError(
            f"{name} cannot be run by onnxruntime ({type(error).__name__}); export it again"
        ) from error


class OnnxEngine:
    """onnxruntime on the CPU, in the calling thread."""

    device = "cpu"

    def __init__(self, artifact: Artifact) -> None:
        self._session = cpu_session(artifact.onnx)
        self._input = self._session.get_inputs()[0].name
        self._classes = _columns(artifact)

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``Engine.run``."""
        (probabilities,) = self._session.run(None, {self._input: batch})
        return _in_order(np.asarray(probabilities, np.float32), self._classes)


class TorchEngine:
    """torch on one device: half precision and asynchronous copies on CUDA.

    Args:
        artifact: a classifier.
        device: ``cuda``, or ``cpu`` in single precision to compare the engines.
    """

    def __init__(self, artifact: Artifact, device: Literal["cuda", "cpu"]) -> None:
        import torch  # noqa: PLC0415 (a worker on a CPU neither installs nor imports it)

        from worker.inference.network import Probabilities, definition  # noqa: PLC0415

        network = definition(artifact.network).make(len(artifact.classes))
        fill(network, artifact.network, artifact.weights)
        self.device: str = device
        self._torch = torch
        self._cuda = device == "cuda"
        model = Probabilities(network, artifact.normalisation, artifact.calibration).eval()
        if self._cuda:
            model = model.half().to(device).to(memory_format=torch.channels_last)
        self._model = model
        self._classes = _columns(artifact)
        self._staging: dict[tuple[int, ...], torch.Tensor] = {}

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``Engine.run``."""
        count = len(batch)
        with self._torch.inference_mode():
            pixels = self._staged(batch).to(self.device, non_blocking=True)
            probabilities = self._model(pixels)[:count].float().cpu()
        return _in_order(probabilities.numpy(), self._classes)

    def _staged(self, batch: NDArray[np.uint8]) -> torch.Tensor:
        """The batch, padded to a fixed size, in memory from which CUDA copies by itself.

        The buffer may be used again at the next call, because ``run`` waits for its result.
        """
        shape = (padded_size(len(batch)), *batch.shape[1:])
        buffer = self._staging.get(shape)
        if buffer is None:
            buffer = self._torch.zeros(shape, dtype=self._torch.uint8, pin_memory=self._cuda)
            self._staging[shape] = buffer
        buffer.numpy()[: len(batch)] = batch
        return buffer


def fill(network: torch.nn.Module, name: str, weights: Path) -> None:
    """Put the weights of an artifact into its network.

    Raises:
        ModelError: the file does not fit the network.
    """
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        network.load_state_dict(load_file(weights))
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{weights} does not fit the network {name}; export the model again"
        ) from error


def padded_size(count: int) -> int:
    """To how many items a batch of so many is padded on CUDA."""
    return next((size for size in BATCH_SIZES if size >= count), count)


def is_out_of_memory(error: Exception) -> bool:
    """True where a device could not do it for want of memory, and may do it in smaller parts."""
    said = str(error).lower()  # torch and onnxruntime have no class for it in common
    short = ("out of memory", "failed to allocate", "alloc_failed")
    return isinstance(error, MemoryError) or any(words in said for words in short)


def _columns(artifact: Artifact) -> list[int]:
    return [CLASSES.index(name) for name in artifact.classes]


def _in_order(probabilities: NDArray[np.float32], columns: list[int]) -> NDArray[np.float32]:
    """Spread the model's classes over the columns of ``CLASSES``."""
    if columns == list(range(len(CLASSES))):
        return probabilities
    spread = np.zeros((len(probabilities), len(CLASSES)), np.float32)
    spread[:, columns] = probabilities
    return spread


def _may_have_gpu() -> bool:
    return any(Path(node).exists() for node in GPU_NODES)


def _cuda_fault() -> str | None:
    """Why CUDA cannot be used; None where it can."""
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError:
        return "torch is not installed"
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    return None
