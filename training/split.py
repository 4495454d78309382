"""Which part a picture, or a face, belongs to: decided once, the same on every machine.

By picture, a hash decides, so a picture keeps its part when others come or go, and faces of
one picture never stand on both sides. By face is what the original report did: faces of one
picture then stand on both sides, which flatters the figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

TRAIN_SHARE = 0.7
VALIDATION_SHARE = 0.1


def _share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def part_of(stem: str, seed: int = 0) -> Part:
    """The part of a picture: 70 % train, 10 % validation, 20 % test.

    Args:
        stem: the picture's file name without its ending.
        seed: another number makes another split.
    """
    share = _share(f"{seed}:{stem}")
    if share < TRAIN_SHARE:
        return "train"
    return "validation" if share < TRAIN_SHARE + VALIDATION_SHARE else "test"


def fold_of(stem: str, folds: int, seed: int = 0) -> int:
    """The fold, from 0, in which a picture is held out by a grouped cross-validation."""
    return int(_share(f"fold:{seed}:{stem}") * folds)


def parts_by_face(count: int, seed: int = 0, test_share: float = 0.3) -> list[Part]:
    """A seeded split of single faces into train and test, 70:30, as in the original report.

    Faces of one picture may fall on both sides: say so beside figures made with it.
    """
    order = np.random.default_rng(seed).permutation(count)
    parts: list[Part] = ["train"] * count
    for index in order[: round(count * test_share)]:
        parts[int(index)] = "test"
    return parts


def parts_by_picture(stems: Sequence[str], seed: int = 0) -> list[Part]:
    """The part of each face, given the picture it stands in."""
    return [part_of(stem, seed) for stem in stems]
