"""The folder of one run: what was done, with which code, how it went, and what came out.

recipe.json             the recipe and the prepared folders
state.json              versions, git state, time
log.csv                 one line an epoch
curve.png               losses over the epochs
checkpoint.safetensors  to resume from
weights.safetensors     the result
evaluation.json         what evaluate found; export asks for it (evaluation.md: for people)
"""

from __future__ import annotations

import csv
import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.checkpoint import load_weights, shipped_weights
from training.disk import writing
from training.faces import FACES
from training.recipe import Recipe
from worker.errors import ConfigError, WorkError
from worker.inference.artifact import Calibration
from worker.inference.network import Probabilities, definition

RECIPE = "recipe.json"
LOG = "log.csv"
WEIGHTS = "weights.safetensors"
EVALUATION = "evaluation.json"
UNNOTED: dict[str, object] = {"digests": (), "start": ""}
"""What runs of earlier versions did not note, and so need not agree with."""


class RunRecord(BaseModel):
    """The content of ``recipe.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Recipe
    data: tuple[Path, ...]
    digests: tuple[str, ...] = Field((), description="Of the faces of each folder.")
    start: str = Field("", description="Digest of the weights that start_from names.")


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        train_loss: mean over its steps, of augmented crops.
        validation_loss: cross entropy of plain crops; nan where there is no validation part.
        validation_right: share of them that are classified rightly.
    """

    number: int
    train_loss: float
    validation_loss: float
    validation_right: float
    learning_rate: float
    best: bool


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's files."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """Where the state lies from which a run is resumed."""
        return self.path / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        """Where the result lies."""
        return self.path / WEIGHTS

    @property
    def evaluation(self) -> Path:
        """Where the figures lie."""
        return self.path / EVALUATION

    def log(self, epoch: Epoch) -> None:
        """Add a line to the log."""
        append_row(self.path / LOG, asdict(epoch))

    def read_log(self) -> list[dict[str, str]]:
        """The log; see ``read_rows``."""
        return read_rows(self.path / LOG)

    def write_weights(self, weights: dict[str, Tensor]) -> None:
        """Write the result, whole or not at all.

        Raises:
            WorkError: the disk does not take it.
        """
        beside = self.path / f".{WEIGHTS}.part"
        try:
            save_file({k: v.detach().cpu().contiguous() for k, v in weights.items()}, beside)
            beside.replace(self.weights)
        except (OSError, SafetensorError) as error:
            beside.unlink(missing_ok=True)
            raise WorkError(f"{self.weights} cannot be written ({error}); free space") from error

    def write_evaluation(self, figures: dict[str, Any]) -> None:
        """Write the figures, with the digest of the weights that they are of.

        Raises:
            WorkError: the disk does not take it.
        """
        self.write_json(EVALUATION, {**figures, "weights": self._digest()})

    def read_evaluation(self, command: str = "evaluate") -> dict[str, Any]:
        """The figures, of the weights that are there now.

        Args:
            command: of the trainer, that makes them.

        Raises:
            ConfigError: there are none, or they are of other weights.
        """
        remedy = f"run maskwatch-train {command} {self.path} first"
        try:
            figures: dict[str, Any] = json.loads(self.evaluation.read_text("utf-8"))
        except (OSError, ValueError):
            raise ConfigError(f"the run {self.path} was not evaluated; {remedy}") from None
        if figures.pop("weights", None) != self._digest():
            raise ConfigError(
                f"the run {self.path} went on after it was evaluated, or its weights are others; "
                f"{remedy}"
            )
        return figures

    def _digest(self) -> str | None:
        try:
            return hashlib.sha256(self.weights.read_bytes()).hexdigest()
        except OSError:
            return None

    def write_json(self, name: str, content: Any) -> None:
        """Write a document, whole or not at all.

        Raises:
            WorkError: the disk does not take it.
        """
        beside = self.path / f".{name}.part"
        with writing(self.path / name):
            beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            beside.replace(self.path / name)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was started before, as its folder tells it."""

    folder: RunFolder
    recipe: Recipe
    data: tuple[Path, ...]
    digests: tuple[str, ...] = ()
    start: str = ""

    def weights(self) -> dict[str, Tensor]:
        """The trained weights.

        Raises:
            ConfigError: there are none yet, or they are damaged.
        """
        try:
            return load_file(self.folder.weights)
        except (OSError, SafetensorError) as error:
            raise ConfigError(
                f"{self.folder.weights} cannot be read ({error}); let maskwatch-train fit finish "
                f"the run {self.folder.path}"
            ) from error

    def model(self, calibration: Calibration | None = None) -> Probabilities:
        """The trained network, in eval mode.

        Raises:
            ConfigError: its weights are missing, damaged or of another network.
        """
        made = definition(self.recipe.network)
        network = made.make(self.recipe.classes)
        load_weights(network, self.weights(), self.folder.weights)
        return Probabilities(network, made.normalisation, calibration or Calibration()).eval()

    def read_evaluation(self) -> dict[str, Any]:
        """The figures of ``evaluate``; see ``RunFolder.read_evaluation``."""
        return self.folder.read_evaluation()


def start_file(path: Path) -> Path:
    """The file that ``start_from`` names: a model that is shipped, or a file of its own."""
    shipped = shipped_weights(path.name)
    return shipped if len(path.parts) == 1 and shipped.exists() else path


def _start_digest(recipe: Recipe) -> str:
    """Of the weights that a run begins with, since a name may come to mean others."""
    path = recipe.start_from and start_file(recipe.start_from)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else ""


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a line to a log, below the names of its columns.

    Raises:
        WorkError: the disk does not take it.
    """
    new = not path.exists() or not path.stat().st_size
    with writing(path), path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def read_rows(path: Path) -> list[dict[str, str]]:
    """A log; of a number that was done twice, after a resume, the last line counts."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = {int(row["number"]): row for row in csv.DictReader(stream)}
    except FileNotFoundError:
        return []
    return [rows[number] for number in sorted(rows)]


def start_run(
    path: Path, recipe: Recipe, data: Sequence[Path], *, resume: bool, overwrite: bool = False
) -> RunFolder:
    """The folder of a new run, or that of one to go on with.

    Args:
        path: the folder.
        recipe: a resumed run has to have the same.
        data: prepared folders.
        resume: go on where it stopped; where nothing was begun, begin.
        overwrite: throw away what is there.

    Raises:
        ConfigError: it exists and neither is wanted, or it was made by another recipe.
        WorkError: it cannot be written.
    """
    folders = tuple(folder.resolve() for folder in data)
    digests = tuple(hashlib.sha256((f / FACES).read_bytes()).hexdigest() for f in folders)
    record = RunRecord(recipe=recipe, data=folders, digests=digests, start=_start_digest(recipe))
    if overwrite and (path / RECIPE).exists():
        with writing(path):
            shutil.rmtree(path)
    if (path / RECIPE).exists():
        if not resume:
            raise ConfigError(
                f"the run folder {path} exists; go on with it by --resume, throw it away by "
                "--overwrite, or name another"
            )
        before = _read_record(path)
        unknown = {key: empty for key, empty in UNNOTED.items() if not getattr(before, key)}
        known = record.model_copy(update=unknown)
        if before != known:
            raise ConfigError(
                f"the run in {path} was begun with another recipe or other data; resume it with "
                "the same options, or name another folder"
            )
        return RunFolder(path)
    folder = RunFolder(path)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    folder.write_json("state.json", _state())
    folder.write_json(RECIPE, record.model_dump(mode="json"))
    return folder


def load_run(path: Path) -> Run:
    """A run by its folder.

    Raises:
        ConfigError: it is no run folder, or a damaged one.
    """
    record = _read_record(path)
    return Run(RunFolder(path), record.recipe, record.data, record.digests, record.start)


def _read_record(path: Path) -> RunRecord:
    try:
        return RunRecord.model_validate_json((path / RECIPE).read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{path} is no run folder ({RECIPE}: {error.strerror}); name one that "
            "maskwatch-train fit made"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(f"{path / RECIPE} is damaged: {first['msg']}; start a new run") from None


def _state() -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "git": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _git(*arguments: str) -> str | None:
    """An answer of git about the code that trains; None where there is no git."""
    try:
        answer = subprocess.run(  # noqa: S603 (fixed program, fixed arguments)
            ["git", "-C", str(Path(__file__).parent), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
