"""Targets and losses of the heat map and the boxes."""

from __future__ import annotations

import numpy as np
import torch

from training.detector.crops import Shot
from training.detector.loss import generalised_iou, losses, make_targets
from worker.inference.center_point import Maps


def shot(faces: list[list[float]], ignored: list[list[float]] | None = None) -> Shot:
    return Shot(
        np.zeros((64, 64, 3), np.uint8),
        np.asarray(faces, np.float32).reshape(-1, 4),
        np.asarray(ignored or [], np.float32).reshape(-1, 4),
    )


def perfect(face: tuple[float, float, float, float]) -> Maps:
    """Maps that say exactly that face, sure of it."""
    heat = torch.full((1, 1, 16, 16), -12.0)
    size, offset = torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 16, 16)
    x1, y1, x2, y2 = (value / 4 for value in face)
    row, column = int((y1 + y2) / 2), int((x1 + x2) / 2)
    heat[0, 0, row, column] = 12
    size[0, 0], size[0, 1] = np.log(y2 - y1), np.log(x2 - x1)
    for y in range(16):
        for x in range(16):
            offset[0, 0, y, x] = (y1 + y2) / 2 - y - 0.5
            offset[0, 1, y, x] = (x1 + x2) / 2 - x - 0.5
    return Maps(heat, size, offset)


def test_perfect_maps_cost_nothing() -> None:
    """What is decoded as the face has no loss: the decoder and the targets agree."""
    face = (10.0, 20.0, 34.0, 50.0)
    loss = losses(perfect(face), make_targets([shot([list(face)])]))
    assert loss.heat < 1e-3
    assert loss.box < 1e-5


def test_missed_face_costs() -> None:
    """Silence where a face is costs more than the right answer."""
    face = (10.0, 20.0, 34.0, 50.0)
    targets = make_targets([shot([list(face)])])
    silent = perfect(face)._replace(heat=torch.full((1, 1, 16, 16), -12.0))
    assert losses(silent, targets).heat > 5


def test_ignored_region_is_neither_face_nor_background() -> None:
    """A detection in an ignored region costs nothing, beside it it does."""
    maps = perfect((20, 20, 36, 36))
    inside = losses(maps, make_targets([shot([], [[16, 16, 40, 40]])]))
    outside = losses(maps, make_targets([shot([], [[0, 0, 8, 8]])]))
    assert inside.heat < 1e-3
    assert outside.heat > 5


def test_face_within_an_ignored_region_is_still_learned() -> None:
    """The centre of a face counts even where a doubtful box lies over it."""
    targets = make_targets([shot([[20, 20, 36, 36]], [[0, 0, 64, 64]])])
    assert targets.heed.sum() == 1


def test_crops_without_faces_have_a_finite_loss() -> None:
    """A batch of empty pictures divides by nothing."""
    maps = Maps(torch.zeros(1, 1, 16, 16), torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 16, 16))
    assert torch.isfinite(losses(maps, make_targets([shot([])])).total)


def test_generalised_iou_of_known_boxes() -> None:
    """1 for the same box, negative for distant ones."""
    a = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1]])
    b = torch.tensor([[0.0, 0, 2, 2], [9, 0, 10, 1]])
    assert generalised_iou(a, b).tolist() == [1.0, torch.tensor(-0.8).item()]
