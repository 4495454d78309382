"""The state of a run on disk: tensors as safetensors, the rest as JSON; nothing is unpickled.

A checkpoint is one file, written beside its place and renamed, so it is whole or it is the
former one.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from worker.errors import ConfigError, WorkError
from worker.inference.artifact import WEIGHTS


@dataclass(slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        epoch: epochs that are done.
        best_loss: lowest validation loss so far; infinite before the first.
        best_epoch: when it was reached.
    """

    epoch: int = 0
    best_loss: float = float("inf")
    best_epoch: int = 0


def save_checkpoint(
    path: Path, network: str, tensors: dict[str, Tensor], progress: Progress
) -> None:
    """Write the state of a run, whole or not at all.

    Raises:
        WorkError: the disk does not take it; the former checkpoint stays.
    """
    beside = path.with_name(f".{path.name}.part")
    state = json.dumps({"network": network, **asdict(progress)})
    try:
        save_file({k: v.contiguous() for k, v in tensors.items()}, beside, {"state": state})
        with beside.open("rb") as stream:
            os.fsync(stream.fileno())
        beside.replace(path)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        raise WorkError(
            f"the checkpoint {path} cannot be written ({error}); the former one is kept: free "
            "space and resume"
        ) from error


def load_checkpoint(path: Path, network: str) -> tuple[dict[str, Tensor], Progress]:
    """Read the state of a run.

    Raises:
        ConfigError: it is damaged, or of another network.
    """
    try:
        with safe_open(path, "pt") as file:
            state = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{path} is no checkpoint that can be read ({error}); start a new run"
        ) from error
    found = state.pop("network", None)
    if found != network:
        raise ConfigError(
            f"{path} is a checkpoint of {found}, not of {network}; name the network that it was "
            "made with, or another run folder"
        )
    known = {field.name for field in fields(Progress)}
    return tensors, Progress(**{k: v for k, v in state.items() if k in known})


def gathered(**groups: dict[str, Tensor]) -> dict[str, Tensor]:
    """Several groups of tensors as one, each name after its group's."""
    return {f"{group}:{name}": t for group, ts in groups.items() for name, t in ts.items()}


def group_of(tensors: dict[str, Tensor], group: str) -> dict[str, Tensor]:
    """One group of what was gathered."""
    start = f"{group}:"
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments and step counts of an optimiser, by parameter and name."""
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put moments and step counts back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def load_weights(network: nn.Module, weights: dict[str, Tensor], origin: Path) -> None:
    """Put weights into a network.

    Raises:
        ConfigError: they are of another network.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"the weights in {origin} do not fit the network: {str(error).splitlines()[-1].strip()}"
        ) from error


def shipped_weights(name: str) -> Path:
    """The file of weights of a model that the worker ships; there, if there is one of that name."""
    return Path(str(files("worker.models") / name / WEIGHTS))
