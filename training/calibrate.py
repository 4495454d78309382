"""From logits to probabilities that can be believed, and the threshold that costs least.

Both are fitted on the validation part. Training draws the classes more evenly than they come,
so the bias gives back how rare the third one is.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from worker.inference.artifact import Calibration

PRIOR = 2.0
"""Strength, in faces, that holds scale at 1 and bias at 0 where data are few."""

CLASS_WEIGHTS = (1.75, 1.0, 2.0)
"""What a face of each class counts in the fit: a mistake on a bare face, or one with its mask
pulled down, costs more than one on a masked face, so probabilities lean that way."""

COST_OF_FALSE_MASK = 3.0
"""Calling a bare face masked costs as much as so many masked faces called bare."""


def calibrated(logits: Tensor, labels: Tensor) -> Calibration:
    """Scale and bias that minimise the cross entropy (vector scaling with one scale).

    After Guo et al. 2017, arXiv:1706.04599. Without faces nothing is changed.

    Args:
        logits: ``(N, classes)`` of plain validation crops.
        labels: ``int64 (N,)``.
    """
    classes = logits.shape[1]
    if not len(labels):
        return Calibration(bias=(0.0,) * classes)
    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_scale, bias], max_iter=200, line_search_fn="strong_wolfe")
    wide = logits.double()
    weights = torch.tensor(CLASS_WEIGHTS[:classes], dtype=torch.float64)

    def loss() -> Tensor:
        optimizer.zero_grad()
        told = functional.cross_entropy(
            wide * log_scale.exp() + bias, labels, weights, reduction="sum"
        )
        value: Tensor = told + PRIOR * (log_scale**2 + (bias**2).sum())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    shift = bias.detach() - bias.detach().mean()
    return Calibration(scale=float(log_scale.detach().exp()), bias=tuple(shift.tolist()))


def probabilities(logits: Tensor, calibration: Calibration) -> NDArray[np.float64]:
    """Calibrated probabilities ``(N, classes)``."""
    bias = torch.tensor(calibration.bias or (0.0,), dtype=torch.float64)
    return torch.softmax(logits.double() * calibration.scale + bias, 1).numpy()


def masked_share(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """p(with) against p(without) alone ``(N,)``; the third class is left aside."""
    told: NDArray[np.float64] = shares[:, 1] / np.maximum(shares[:, 0] + shares[:, 1], 1e-12)
    return told


def cheapest_threshold(
    shares: NDArray[np.float64], labels: NDArray[np.int64], cost: float = COST_OF_FALSE_MASK
) -> float:
    """The threshold on ``masked_share`` that costs least on these faces.

    Of a range of equally cheap thresholds the middle is taken, so that no single face decides. It
    is never below one half: too few bare faces would have to vouch for guessing "masked".

    Args:
        shares: probabilities ``(N, classes)``.
        labels: ``(N,)``; those of the third class don't count.
        cost: of a bare face called masked, in masked faces called bare.
    """
    known = labels < 2
    share, masked = masked_share(shares)[known], labels[known] == 1
    if not known.any():
        return 0.5
    grid = np.linspace(0.5, 0.95, 91)
    called = share[None, :] >= grid[:, None]
    costs = cost * (called & ~masked).sum(1) + (~called & masked).sum(1)
    return float(np.median(grid[costs == costs.min()]).round(3))
