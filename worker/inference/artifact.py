"""A model on disk: weights, ONNX export, manifest and card in one folder.

    manifest.json         what it is, how its input is cut, digests of the other files
    model.onnx            runs on the CPU
    weights.safetensors   runs on CUDA; training starts from it
    test-pictures.txt     pictures of the first source that training never saw, names only
    README.md             the model card

Nothing in it is ever unpickled. The artifact's digest covers the manifest, which holds the
digests of the files that are run, so one number names exactly one model.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.errors import ConfigError, ModelError
from worker.inference.align import CropRule
from worker.records import ClassName

Kind = Literal["classifier", "detector"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

MANIFEST = "manifest.json"
ONNX = "model.onnx"
WEIGHTS = "weights.safetensors"
TEST_PICTURES = "test-pictures.txt"
CARD = "README.md"

SCHEMA: Literal["maskwatch.artifact/1"] = "maskwatch.artifact/1"


CENTER_POINT, CENTER_POINT_SLIM = "center-point", "center-point-slim"
"""Networks of detectors, as manifests name them; they differ in width alone."""


class Normalisation(BaseModel):
    """What the graph itself does to ``uint8 BGR`` pixels: reorder, scale to 0..1, standardise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: Literal["bgr", "rgb"] = "bgr"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


class Calibration(BaseModel):
    """What turns logits into probabilities: ``softmax(logits * scale + bias)``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(1.0, gt=0)
    bias: tuple[float, ...] = ()


class Manifest(BaseModel):
    """The content of ``manifest.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["maskwatch.artifact/1"] = Field(SCHEMA, alias="schema")
    kind: Kind
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")
    version: str = Field(pattern=r"^[0-9]+(\.[0-9]+){0,2}$")
    network: str = Field(description="Name in network.py.")
    classes: tuple[ClassName, ...]
    crop: CropRule | None = Field(None, description="How input is cut; classifiers only.")
    normalisation: Normalisation = Normalisation()
    calibration: Calibration = Calibration()
    threshold: float = Field(0.5, ge=0, le=1)
    settings: dict[str, Any] = Field(default_factory=dict, description="What the kind needs more.")
    measured: dict[str, Any] = Field(default_factory=dict, description="Figures of the card.")
    files: dict[FileName, str] = Field(default_factory=dict, description="sha256 by file name.")
    digest: str = ""


def manifest_of(values: dict[str, Any]) -> Manifest:
    """A manifest for a model with a name and a version of the user's.

    Raises:
        ConfigError: one of the two cannot be used.
    """
    try:
        return Manifest.model_validate({"schema": SCHEMA, **values})
    except ValidationError as error:
        key = str(error.errors(include_url=False, include_input=False)[0]["loc"][0])
        write = {"name": "small letters, digits, dots and -", "version": "numbers, such as 1.0"}
        raise ConfigError(f"{key} {values.get(key)!r}: write {write.get(key, key)}") from None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified model.

    Attributes:
        folder: where it lies.
        digest: names exactly this model, 64 hexadecimal digits.
        threshold: classifier: share of ``with_mask`` against ``without_mask`` from which a
            face counts as masked; detector: score from which a face counts.
        crop: how its input is cut; a detector has none.
        measured: the figures of its card.
    """

    folder: Path
    kind: Kind
    name: str
    version: str
    digest: str
    network: str
    classes: tuple[ClassName, ...]
    threshold: float
    normalisation: Normalisation
    calibration: Calibration
    settings: Mapping[str, Any]
    measured: Mapping[str, Any]
    crop: CropRule | None = None

    @property
    def onnx(self) -> Path:
        """The file that onnxruntime runs."""
        return self.folder / ONNX

    @property
    def weights(self) -> Path:
        """The file that torch loads; not every detector has one."""
        return self.folder / WEIGHTS

    @property
    def rule(self) -> CropRule:
        """The crop rule of a classifier.

        Raises:
            ModelError: it has none.
        """
        if self.crop is None:
            raise ModelError(f"{self.folder}: the manifest has no crop rule; export it again")
        return self.crop

    def test_pictures(self) -> tuple[str, ...]:
        """Stems of the pictures that training never saw; empty where none are told."""
        try:
            text = (self.folder / TEST_PICTURES).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        return tuple(text.split())


def load(path: Path, *, kind: Kind) -> Artifact:
    """Read and verify an artifact.

    Args:
        path: its folder.
        kind: what it has to be.

    Raises:
        ModelError: it is missing, corrupt, changed since its export, or of the other kind.
    """
    manifest = _read_manifest(path)
    if manifest.kind != kind:
        raise ModelError(
            f"{path} is a {manifest.kind}, but a {kind} is wanted; name a {kind}'s folder"
        )
    if manifest.digest != digest_of(manifest):
        raise ModelError(f"{path / MANIFEST} was changed after the export; take a fresh copy of it")
    if ONNX not in manifest.files:
        raise ModelError(f"{path / MANIFEST} does not list {ONNX}; export the model again")
    for name, wanted in manifest.files.items():
        _verify(path / name, wanted)
    if kind == "classifier" and manifest.crop is None:
        raise ModelError(f"{path / MANIFEST}: a classifier needs crop; export the model again")
    return Artifact(
        folder=path,
        kind=manifest.kind,
        name=manifest.name,
        version=manifest.version,
        digest=manifest.digest,
        network=manifest.network,
        classes=manifest.classes,
        threshold=manifest.threshold,
        normalisation=manifest.normalisation,
        calibration=manifest.calibration,
        settings=manifest.settings,
        measured=manifest.measured,
        crop=manifest.crop,
    )


def save(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Artifact:
    """Write an artifact whole or not at all: beside its place first, then renamed into it.

    Args:
        folder: its place; a model that was there is replaced.
        manifest: without digests.
        files: content by name. The card and the list of test pictures may be corrected
            later, so only the other files are covered by the digest.

    Raises:
        ConfigError: something else than a model stands there.
        ModelError: it cannot be written.
    """
    folder = folder.resolve()
    used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if used and not (folder / MANIFEST).exists():
        raise ConfigError(f"{folder} holds something else than a model; name a new folder")
    covered = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in sorted(files.items())
        if name not in {CARD, TEST_PICTURES}
    }
    manifest = manifest.model_copy(update={"files": covered})
    manifest = manifest.model_copy(update={"digest": digest_of(manifest)})
    text = json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=2) + "\n"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name, content in {**files, MANIFEST: text.encode()}.items():
                _write_through(beside / name, content)
            beside.chmod(0o755)
            _swap(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise ModelError(
            f"the artifact {folder} cannot be written ({error.strerror}); free space or correct "
            "the path"
        ) from error
    return load(folder, kind=manifest.kind)


def digest_of(manifest: Manifest) -> str:
    """The digest of a manifest: sha256 of its JSON, keys sorted, without the digest itself."""
    content = manifest.model_dump(mode="json", by_alias=True, exclude={"digest"})
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise ModelError(
            f"there is no model in {path}: {MANIFEST} is missing; name the folder that "
            "maskwatch-train export wrote"
        ) from None
    except OSError as error:
        raise ModelError(f"{file} cannot be read ({error.strerror}); correct the path") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(
            f"{file} is no manifest that this version reads: {key}: {first['msg']}; export the "
            "model again"
        ) from None


def _verify(file: Path, wanted: str) -> None:
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(
            f"the model file {file} cannot be read ({error.strerror}); take a fresh copy of it"
        ) from error
    if found != wanted:
        raise ModelError(
            f"the model file {file} is corrupt: its digest is {found[:12]}…, the manifest says "
            f"{wanted[:12]}…; take a fresh copy of it"
        )


def _write_through(file: Path, content: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _swap(beside: Path, folder: Path) -> None:
    """Put a finished folder in its place; the old one goes only after the new one is there."""
    if not folder.exists():
        beside.rename(folder)
        return
    old = folder.with_name(f".{folder.name}-old-{os.getpid()}")
    folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old)
