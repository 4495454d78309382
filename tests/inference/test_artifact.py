"""Artifacts: written whole, verified before use, refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worker.errors import ConfigError, ModelError
from worker.inference.align import CropRule
from worker.inference.artifact import MANIFEST, ONNX, WEIGHTS, Artifact, Manifest, load, save


def _manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "schema": "maskwatch.artifact/1",
        "kind": "classifier",
        "name": "tiny",
        "version": "1.0",
        "network": "residual-16",
        "classes": ("without_mask", "with_mask"),
        "crop": CropRule(56, 0.2),
    }
    return Manifest.model_validate({**fields, **changes})


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    """A small artifact on disk; its network is no network, which loading does not look at."""
    files = {ONNX: b"graph", WEIGHTS: b"weights", "test-pictures.txt": b"one\ntwo\n"}
    return save(tmp_path / "tiny", _manifest(), files)


def test_what_is_saved_is_loaded(artifact: Artifact) -> None:
    """Everything that a worker needs comes back."""
    again = load(artifact.folder, kind="classifier")
    assert again == artifact
    assert again.rule == CropRule(56, 0.2)
    assert again.test_pictures() == ("one", "two")
    assert len(again.digest) == 64


def test_only_a_model_is_replaced(artifact: Artifact, tmp_path: Path) -> None:
    """Saving over another folder of the user's is refused; an empty one, or a model, is taken."""
    files = {ONNX: b"other", WEIGHTS: b"weights"}
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", artifact.folder):
        assert save(folder, _manifest(), files).digest != artifact.digest
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for folder in (tmp_path / "mine", tmp_path / "mine" / "notes.txt"):
        with pytest.raises(ConfigError, match="holds something else than a model"):
            save(folder, _manifest(), files)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", [ONNX, WEIGHTS])
def test_a_changed_file_is_refused(artifact: Artifact, name: str) -> None:
    """One byte is enough."""
    (artifact.folder / name).write_bytes(b"graphs")
    with pytest.raises(ModelError, match="corrupt"):
        load(artifact.folder, kind="classifier")


def test_a_missing_file_is_refused(artifact: Artifact) -> None:
    """The sentence names the file."""
    artifact.onnx.unlink()
    with pytest.raises(ModelError, match=r"model\.onnx cannot be read"):
        load(artifact.folder, kind="classifier")


def test_a_changed_manifest_is_refused(artifact: Artifact) -> None:
    """A threshold cannot be changed under the digest."""
    path = artifact.folder / MANIFEST
    content = json.loads(path.read_text())
    content["threshold"] = 0.1
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="changed after the export"):
        load(artifact.folder, kind="classifier")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """The sentence says what the folder should have been."""
    with pytest.raises(ModelError, match=r"manifest\.json is missing"):
        load(tmp_path, kind="classifier")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other/1"}'])
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever lies there, it ends in a sentence."""
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ModelError, match="no manifest that this version reads"):
        load(tmp_path, kind="classifier")


def test_a_file_outside_the_artifact_is_refused(artifact: Artifact) -> None:
    """A manifest cannot point at another place."""
    path = artifact.folder / MANIFEST
    content = json.loads(path.read_text())
    content["files"]["../secret"] = "0" * 64
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="files"):
        load(artifact.folder, kind="classifier")


def test_the_other_kind_is_refused(artifact: Artifact) -> None:
    """A classifier is no detector."""
    with pytest.raises(ModelError, match="is a classifier, but a detector is wanted"):
        load(artifact.folder, kind="detector")


def test_saving_again_replaces_whole(artifact: Artifact) -> None:
    """Nothing of the former content stays, and nothing lies beside it."""
    again = save(artifact.folder, _manifest(version="2.0"), {ONNX: b"other"})
    assert again.version == "2.0"
    assert sorted(p.name for p in artifact.folder.iterdir()) == [MANIFEST, ONNX]
    assert [p.name for p in artifact.folder.parent.iterdir()] == ["tiny"]


def test_an_interrupted_write_leaves_the_old_one(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk never costs the artifact that was there."""

    def full(_file: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("worker.inference.artifact._write_through", full)
    with pytest.raises(ModelError, match="No space left on device"):
        save(artifact.folder, _manifest(version="2.0"), {ONNX: b"other"})
    assert load(artifact.folder, kind="classifier") == artifact
    assert [p.name for p in artifact.folder.parent.iterdir()] == ["tiny"]


def test_the_card_is_not_under_the_digest(tmp_path: Path) -> None:
    """A word in the card may be corrected without making another model of it."""
    one = save(tmp_path / "a", _manifest(), {ONNX: b"graph", "README.md": b"card"})
    two = save(tmp_path / "b", _manifest(), {ONNX: b"graph", "README.md": b"better card"})
    assert one.digest == two.digest
