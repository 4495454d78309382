"""Training the head alone, on a body that stays as it is."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from worker.inference.network import Probabilities

CHUNK = 32
"""Crops of one forward pass of the body."""


def head_of(network: nn.Module) -> nn.Module:
    """What is trained on a frozen body: the network's head, or else its last linear layer."""
    named = dict(network.named_children()).get("head")
    return named or [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


class FrozenBody:
    """What a network computes before its head, and the head.

    Without augmentation a crop's features never change, so they are computed once.
    """

    def __init__(self, model: Probabilities) -> None:
        self._model = model
        self._head = head_of(model.network)
        inside = {id(module) for module in self._head.modules()}
        dropped = [
            module.p
            for module in model.network.modules()
            if isinstance(module, nn.Dropout) and id(module) not in inside
        ]
        self._dropout = dropped[-1] if dropped else 0.0

    def features(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The head's input for ``uint8 (N, S, S, 3)`` crops, ``(N, F)``, undropped."""
        device = self._model.mean.device
        caught: list[Tensor] = []
        hook = self._head.register_forward_pre_hook(
            lambda _layer, given: caught.append(given[0].float().cpu())
        )
        self._model.eval()
        try:
            with torch.inference_mode():
                for first in range(0, len(crops), CHUNK):
                    part = torch.from_numpy(crops[first : first + CHUNK])
                    self._model.logits(part.to(device))
        finally:
            hook.remove()
        return np.asarray(torch.cat(caught).numpy(), np.float32)

    def logits(self, features: Tensor) -> Tensor:
        """Logits ``(N, classes)`` as in training, with the network's dropout."""
        told: Tensor = self._head(functional.dropout(features, self._dropout, training=True))
        return told


def into_training(model: Probabilities, *, frozen: bool) -> None:
    """Training mode; a frozen body keeps its running statistics, which belong to its weights."""
    model.train()
    if frozen:
        model.network.eval()
        head_of(model.network).train()
        for module in model.network.modules():
            if isinstance(module, nn.Dropout):
                module.train()
