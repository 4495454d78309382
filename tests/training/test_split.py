"""The split: stable, in the promised shares, and never through a picture."""

from __future__ import annotations

from collections import Counter

from training.split import fold_of, part_of, parts_by_face, parts_by_picture


def test_shares_are_those_promised() -> None:
    """Seventy, ten and twenty in a hundred pictures."""
    counts = Counter(part_of(f"picture{i}") for i in range(5_000))
    assert abs(counts["train"] / 5_000 - 0.7) < 0.02
    assert abs(counts["validation"] / 5_000 - 0.1) < 0.02
    assert abs(counts["test"] / 5_000 - 0.2) < 0.02


def test_a_picture_keeps_its_part() -> None:
    """Parts that were published stay what they are, on every machine."""
    published = ["train", "train", "train", "test", "train", "test", "validation", "train"]
    assert parts_by_picture([f"maksssksksss{i}" for i in range(8)]) == published


def test_another_seed_is_another_split() -> None:
    """The seed changes which pictures are held out."""
    stems = [f"picture{i}" for i in range(200)]
    assert parts_by_picture(stems, 0) != parts_by_picture(stems, 1)


def test_every_fold_gets_its_share() -> None:
    """Five folds of about a fifth each."""
    counts = Counter(fold_of(f"picture{i}", 5) for i in range(5_000))
    assert set(counts) == set(range(5))
    assert min(counts.values()) > 900


def test_by_face_is_seventy_to_thirty_and_seeded() -> None:
    """The report's split can be repeated."""
    parts = parts_by_face(1_000, seed=3)
    assert Counter(parts) == {"train": 700, "test": 300}
    assert parts == parts_by_face(1_000, seed=3)
    assert parts != parts_by_face(1_000, seed=4)
