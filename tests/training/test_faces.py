"""Prepared faces: written, read again, and refused when damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from training.batches import TrainingBatches, plain_crops
from training.faces import Faces, joined, load_faces
from training.recipe import Recipe
from worker.errors import ConfigError
from worker.inference.align import CropRule


def test_faces_come_back_with_their_pixels(faces: Faces) -> None:
    """Two faces a picture, all classes, a patch with room around each."""
    assert len(faces) == 72
    assert set(faces.labels.tolist()) == {0, 1, 2}
    patch = faces.patch(3)
    assert patch.shape == (faces[3].height, faces[3].width, 3)
    assert patch.shape[1] > faces[3].box.width


def test_joining_keeps_each_face_on_its_pixels(faces: Faces) -> None:
    """Offsets are made anew."""
    both = joined([faces, faces])
    assert len(both) == 2 * len(faces)
    assert np.array_equal(both.patch(len(faces) + 5), faces.patch(5))


def test_no_picture_stands_on_two_sides(faces: Faces) -> None:
    """Parts share no picture and lose no face."""
    parts = [faces.of_part("train"), faces.of_part("validation"), faces.of_part("test")]
    pictures = [{face.picture for face in part} for part in parts]
    assert not pictures[0] & pictures[2]
    assert not pictures[0] & pictures[1]
    assert not pictures[1] & pictures[2]
    assert sum(len(part) for part in parts) == len(faces)


def test_a_folder_that_was_not_prepared_is_refused(tmp_path: Path) -> None:
    """The sentence says what to run."""
    with pytest.raises(ConfigError, match="maskwatch-train prepare"):
        load_faces(tmp_path)


def test_a_cut_file_is_refused(prepared: Path, tmp_path: Path) -> None:
    """A file that lost its end is not read as if it were whole."""
    shutil.copytree(prepared, tmp_path / "copy")
    file = tmp_path / "copy" / "patches.npy"
    file.write_bytes(file.read_bytes()[:5_000])
    with pytest.raises(ConfigError, match=r"damaged|cut short"):
        load_faces(tmp_path / "copy")


def test_an_epoch_is_the_same_whenever_it_is_asked_for(faces: Faces, tiny: Recipe) -> None:
    """Order and augmentation depend on seed and number alone."""
    batches = TrainingBatches(faces, tiny)
    list(batches.epoch(0))
    first, again = list(batches.epoch(1)), list(TrainingBatches(faces, tiny).epoch(1))
    assert len(first) == batches.steps == 4
    assert all(np.array_equal(a.crops, b.crops) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].crops, next(iter(batches.epoch(2))).crops)


def test_classes_are_drawn_in_their_shares(faces: Faces, tiny: Recipe) -> None:
    """Rare classes can be shown more often."""
    balanced = tiny.model_copy(
        update={
            "class_shares": (0.0, 0.0, 1.0),
            "faces_per_epoch": 32,
            "augmentation": None,
        }
    )
    labels = np.concatenate([batch.labels for batch in TrainingBatches(faces, balanced).epoch(0)])
    assert set(labels.tolist()) == {2}


def test_plain_crops_have_the_rule_s_size(faces: Faces) -> None:
    """One a face."""
    assert plain_crops(faces, CropRule(32, 0.2)).shape == (len(faces), 32, 32, 3)


def test_faces_can_be_relabelled_by_picture(faces: Faces) -> None:
    """Only those of the class, and only in the pictures that are named."""
    masked = next(face for face in faces if face.label == 1)
    again = faces.relabelled(1, 2, {masked.source: [masked.picture]})
    changed = [i for i in range(len(faces)) if faces[i].label != again[i].label]
    assert changed
    assert all(faces[i].picture == masked.picture and again[i].label == 2 for i in changed)
    assert len(faces.relabelled(1, 2, {"other": [masked.picture]})) == len(faces)
