"""What training does to faces: masks drawn and lowered, pictures as cameras make them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.augment import Augmentation, Augmenter, degraded
from training.cloth import cloth_of, printed, relief
from training.faces import Faces
from training.synthesis import (
    cut_off,
    lowered,
    with_drawn_mask,
    with_hand_before,
    with_head_before,
    with_printed_mask,
    with_thing_before,
)
from worker.inference.align import CropRule, cut
from worker.records import Box, Image

RULE = CropRule(48, 0.2)


@pytest.fixture
def rng() -> np.random.Generator:
    """Chance that is the same at every run."""
    return np.random.default_rng(5)


def _plain(value: int, size: int = 80) -> Image:
    return np.full((size, size, 3), value, np.uint8)


def test_a_drawn_mask_covers_mouth_and_leaves_the_eyes(rng: np.random.Generator) -> None:
    """And the patch it was drawn on stays as it is."""
    patch = _plain(100)
    box = Box(20, 20, 60, 60)
    drawn = with_drawn_mask(patch, box, 0.5, rng)
    assert (patch == 100).all()
    assert np.abs(drawn[48:54, 34:46].astype(int) - 100).mean() > 8
    assert (drawn[20:30, 30:50] == 100).all()


def test_a_print_lies_on_the_mask_alone(rng: np.random.Generator) -> None:
    """Eyes, cheeks beside the mask and the patch itself stay as they are."""
    patch, box = _plain(100), Box(20, 20, 60, 60)
    changed = []
    for _ in range(40):
        made = with_printed_mask(patch, box, rng)
        changed.append(np.abs(made[46:56, 30:50].astype(int) - 100).max() > 8)
        assert (made[:36] == 100).all()
        assert (made[:, :16] == 100).all()
        assert (made[:, 64:] == 100).all()
    assert (patch == 100).all()
    assert np.mean(changed) > 0.5  # some prints are the mask's own grey


def test_masked_faces_alone_are_printed(faces: Faces) -> None:
    """And they stay masked."""
    never, always = (
        Augmenter(faces, RULE, Augmentation(drawn=0, lowered=0, hidden=0, printed=p), classes=3)
        for p in (0.0, 1.0)
    )
    changed = 0
    for index in range(12):
        before, after = (a.crop(index, np.random.default_rng(index)) for a in (never, always))
        assert before[1] == after[1] == faces.labels[index]
        differs = not np.array_equal(before[0], after[0])
        changed += differs
        assert faces.labels[index] == 1 or not differs
    assert changed


def test_a_lowered_mask_shows_the_face_above_it(rng: np.random.Generator) -> None:
    """Above the nose one face, below it the other's mask."""
    box = Box(20, 20, 60, 60)
    crop = lowered((_plain(90), box), (_plain(120), box), RULE, rng)
    assert crop.shape == (48, 48, 3)
    assert (crop[:20] == 90).all()
    assert crop[-1].mean() == pytest.approx(90, abs=3)  # brightness is matched


def test_a_bare_face_with_a_drawn_mask_is_masked(faces: Faces) -> None:
    """Its label changes with it; other classes keep theirs."""
    always = Augmentation(drawn=1.0, lowered=0.0)
    augmenter = Augmenter(faces, RULE, always, classes=3)
    labels = faces.labels
    for index in range(12):
        _, label = augmenter.crop(index, np.random.default_rng(index))
        assert label == (1 if labels[index] == 0 else labels[index])


def test_lowered_faces_belong_to_the_third_class(faces: Faces) -> None:
    """Where three classes are trained."""
    bare = int(np.flatnonzero(faces.labels == 0)[0])
    how = Augmentation(drawn=0.0, lowered=1.0)
    three, two = (Augmenter(faces, RULE, how, classes) for classes in (3, 2))
    assert three.crop(bare, np.random.default_rng(0))[1] == 2
    assert two.crop(bare, np.random.default_rng(0))[1] == 0


def test_every_degradation_keeps_shape_and_type(rng: np.random.Generator) -> None:
    """Whatever chance chooses."""
    always = Augmentation(small=1, blur=1, codec=1, noise=1, gray=1, light=1)
    crop = rng.integers(0, 255, (48, 48, 3)).astype(np.uint8)
    for _ in range(30):
        out = degraded(crop, always, rng)
        assert out.shape == (48, 48, 3)
        assert out.dtype == np.uint8


def test_without_chance_a_crop_stays_as_it_is(rng: np.random.Generator) -> None:
    """Shares of zero do nothing."""
    never = Augmentation(small=0, blur=0, codec=0, noise=0, gray=0, light=0)
    crop = rng.integers(0, 255, (48, 48, 3)).astype(np.uint8)
    assert np.array_equal(degraded(crop, never, rng), crop)


def test_a_hidden_face_keeps_its_eyes(rng: np.random.Generator) -> None:
    """What is put before it covers the lower part, and the patch stays as it is."""
    patch, box = _plain(100), Box(20, 20, 60, 60)
    for drawn in (
        with_head_before(patch, box, (_plain(20), box), rng),
        with_hand_before(_striped(), box, rng),
    ):
        assert drawn.shape == patch.shape
        assert (drawn[20:28, 36:44] == patch[20:28, 36:44]).all()
    assert (patch == 100).all()


def test_a_hidden_bare_face_stays_bare(faces: Faces) -> None:
    """Whatever hides it is no mask."""
    bare = int(np.flatnonzero(faces.labels == 0)[0])
    how = Augmentation(drawn=0.0, lowered=0.0, hidden=1.0)
    augmenter = Augmenter(faces, RULE, how, classes=3)
    assert {augmenter.crop(bare, np.random.default_rng(i))[1] for i in range(8)} == {0}


def test_a_head_at_the_edge_is_cut_off(rng: np.random.Generator) -> None:
    """A face at the picture's border can be hidden too."""
    box = Box(60, 60, 78, 78)
    for _ in range(20):
        assert with_head_before(_plain(100), box, (_plain(20), box), rng).shape == (80, 80, 3)
        assert with_hand_before(_plain(100), box, rng).shape == (80, 80, 3)
        assert with_thing_before(_plain(100), box, rng).shape == (80, 80, 3)


def test_a_thing_hides_the_mouth_and_nothing_else(rng: np.random.Generator) -> None:
    """What is before the mouth leaves the eyes free; the patch itself stays as it was."""
    patch, box = _striped(), Box(20, 20, 60, 70)
    for _ in range(20):
        hidden = with_thing_before(patch, box, rng)
        assert (hidden[45:70, 20:60] != patch[45:70, 20:60]).any()
        assert (hidden[:26] == patch[:26]).all()
    assert (patch == _striped()).all()


def test_a_camera_hides_the_eyes_and_leaves_the_mouth(rng: np.random.Generator) -> None:
    """A network that has seen things before mouths only may take any thing for a mask."""
    patch, box = _striped(), Box(20, 20, 60, 70)
    for _ in range(20):
        hidden = with_thing_before(patch, box, rng, eyes=True)
        assert (hidden[20:45, 20:60] != patch[20:45, 20:60]).any()
        assert (hidden[60:] == patch[60:]).all()


def test_boxes_of_small_faces_move_by_pixels_too(faces: Faces) -> None:
    """An annotation is a pixel off at any size, which is much of a face of ten."""
    how = Augmentation.model_validate(dict.fromkeys(Augmentation.model_fields, 0.0))
    plain = cut(faces.patch(0), faces[0].box, RULE).astype(int)

    def moved(face_px: float, shift_px: float) -> float:
        sized = Faces([replace(faces[0], face_px=face_px)], faces.patch(0).ravel())
        moving = how.model_copy(update={"shift_px": shift_px})
        augmenter = Augmenter(sized, RULE, moving, classes=3)
        made = [augmenter.crop(0, np.random.default_rng(i))[0] for i in range(20)]
        return float(np.mean([np.abs(crop - plain).mean() for crop in made]))

    assert moved(10, 0) == moved(80, 0)
    assert moved(10, 1) > 1.5 * moved(80, 1)


@pytest.mark.parametrize("seed", range(12))
def test_prints_and_cloth_are_layers_of_the_patch(seed: int) -> None:
    """Of its size; a print lies fully on, not at all, or between."""
    rng = np.random.default_rng(seed)
    colours, cover = printed((60, 80), (40, 40), 30.0, rng)
    assert (colours.shape, cover.shape) == ((60, 80, 3), (60, 80))
    assert 0 <= cover.min() <= cover.max() <= 1
    assert cover.max() > 0
    assert cloth_of((60, 80), 30.0, 40.0, rng).shape == (60, 80, 3)
    shade = relief(rng.integers(0, 255, (60, 80, 3)).astype(np.uint8), Box(20, 10, 50, 50))
    assert shade.shape == (60, 80, 1)
    assert 0.6 - 1e-6 <= shade.min() < 1 < shade.max() <= 1.4 + 1e-6


def test_a_face_at_the_edge_of_the_picture(rng: np.random.Generator) -> None:
    """Patch and box end at the same column, an eighth to a half of the face is gone."""
    box = Box(20, 20, 60, 70)
    for _ in range(50):
        patch, left = cut_off(_plain(100), box, rng)
        assert 20 <= left.width <= 36
        assert (left.x1 == 0) or (left.x2 == patch.shape[1])
        assert (left.y1, left.y2) == (box.y1, box.y2)
    patch, left = cut_off(_plain(100), Box(-30, 20, 110, 70), rng)
    assert patch.shape[1] > 0
    assert left.width > 0


def _striped() -> Image:
    """Grey that differs only where a hand takes its colour from."""
    patch = _plain(100)
    patch[30:44] = 180
    return patch
