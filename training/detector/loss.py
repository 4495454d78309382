"""What the network should have said of a crop, and how far off it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from training.detector.crops import Shot
from training.detector.data import Floats
from worker.faces.maps import STRIDE_PX
from worker.inference.center_point import Maps

BOX_WEIGHT = 1.0


class Targets(NamedTuple):
    """What the maps should be; all ``float32``.

    Attributes:
        heat: ``(N, h, w)``: 1 at the centre of a face, falling off around it.
        heed: ``(N, h, w)``: 0 where an ignored region lies, else 1.
        box: ``(N, 4, h, w) xyxy`` of the face around a point, in strides from the corner.
        box_weight: ``(N, h, w)``: sums to 1 over the points of a face.
    """

    heat: Tensor
    heed: Tensor
    box: Tensor
    box_weight: Tensor


class Losses(NamedTuple):
    """Means over the faces of a batch."""

    heat: Tensor
    box: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.heat + BOX_WEIGHT * self.box


def make_targets(shots: Sequence[Shot]) -> Targets:
    """The targets of a batch of crops of one size."""
    side = shots[0].image.shape[0] // STRIDE_PX
    heat = np.zeros((len(shots), side, side), np.float32)
    heed = np.ones_like(heat)
    box = np.zeros((len(shots), 4, side, side), np.float32)
    box_weight = np.zeros_like(heat)
    for i, shot in enumerate(shots):
        for region in shot.ignored / STRIDE_PX:
            x1, y1 = np.floor(region[:2]).astype(int)
            x2, y2 = np.ceil(region[2:]).astype(int)
            heed[i, y1:y2, x1:x2] = 0
        faces = shot.faces / STRIDE_PX
        # The large ones first: where two claim a point, it belongs to the smaller.
        for face in sorted(faces, key=lambda b: -float(np.prod(b[2:] - b[:2]))):
            _paint(face, heat[i], heed[i], box[i], box_weight[i])
    return Targets(*(torch.from_numpy(a) for a in (heat, heed, box, box_weight)))


def _paint(face: Floats, heat: Floats, heed: Floats, box: Floats, box_weight: Floats) -> None:
    """Draw one face, in strides, into the maps of its crop."""
    side = heat.shape[0]
    centre, extent = (face[:2] + face[2:]) / 2, face[2:] - face[:2]
    column, row = np.minimum(centre.astype(int), side - 1)
    # CenterNet's radius at an overlap of 0.7, each way by its own side (arXiv:1904.07850).
    sigma = 0.053 * extent + 0.17
    x, y = np.arange(side) - column, np.arange(side) - row
    bump = np.outer(np.exp(-(y**2) / (2 * sigma[1] ** 2)), np.exp(-(x**2) / (2 * sigma[0] ** 2)))
    np.maximum(heat, bump, out=heat)
    heed[row, column] = 1
    reach = np.clip(np.round(0.1 * extent), 0, 2).astype(int)
    rows = slice(max(0, row - reach[1]), row + reach[1] + 1)
    columns = slice(max(0, column - reach[0]), column + reach[0] + 1)
    box[:, rows, columns] = face[:, None, None]
    box_weight[rows, columns] = 1 / box_weight[rows, columns].size


def losses(maps: Maps, targets: Targets) -> Losses:
    """Focal loss of the heat map and generalised IoU of the boxes, a face counting as one."""
    faces = (targets.heat == 1).sum().clamp(min=1)
    logits = maps.heat[:, 0]
    score = torch.sigmoid(logits)
    centre = (targets.heat == 1).float()
    found = -F.logsigmoid(logits) * (1 - score) ** 2 * centre
    denied = -F.logsigmoid(-logits) * score**2 * (1 - targets.heat) ** 4 * targets.heed
    heat = (found + denied).sum() / faces
    image, row, column = torch.nonzero(targets.box_weight, as_tuple=True)
    size = maps.size[image, :, row, column].clamp(-3, 5).exp()
    centre_y = row + 0.5 + maps.offset[image, 0, row, column]
    centre_x = column + 0.5 + maps.offset[image, 1, row, column]
    boxes = torch.stack(
        [
            centre_x - size[:, 1] / 2,
            centre_y - size[:, 0] / 2,
            centre_x + size[:, 1] / 2,
            centre_y + size[:, 0] / 2,
        ],
        dim=1,
    )
    overlap = generalised_iou(boxes, targets.box[image, :, row, column])
    box = ((1 - overlap) * targets.box_weight[image, row, column]).sum() / faces
    return Losses(heat, box)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Of boxes ``(N, 4) xyxy``, pair by pair, -1 to 1 (Rezatofighi et al., arXiv:1902.09630)."""
    inner = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    outer = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    shared, hull = inner.prod(dim=1), outer.prod(dim=1)
    union = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - shared
    return shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
