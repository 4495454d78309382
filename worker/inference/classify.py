"""A batch of crops in, their class probabilities out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worker.errors import BadDataError
from worker.inference.engine import Engine
from worker.records import Classification, Crop

WARM_UP_SIZES = (1, 2, 4, 8, 16, 32)
"""Batch sizes run once before work, so that no camera pays for the first of its size."""


class Classifier:
    """Classifies crops on one device. Used by the thread that owns the device, and no other.

    Args:
        engine: an artifact on a device.
        crop_px: side of the crops that it takes.
    """

    def __init__(self, engine: Engine, crop_px: int) -> None:
        self._engine = engine
        self._crop_px = crop_px

    @property
    def device(self) -> str:
        """Where it runs: ``cpu`` or ``cuda``."""
        return self._engine.device

    def warm_up(self, batch_size: int) -> None:
        """Run each usual batch size up to ``batch_size`` once."""
        side = self._crop_px
        for size in {*(s for s in WARM_UP_SIZES if s <= batch_size), batch_size}:
            self._engine.run(np.zeros((size, side, side, 3), np.uint8))

    def classify(self, crops: Sequence[Crop]) -> list[Classification]:
        """One classification a crop, in their order.

        Raises:
            BadDataError: the device gave something else than one distribution a crop.
        """
        probabilities = self._engine.run(np.stack([crop.image for crop in crops]))
        if probabilities.shape != (len(crops), 3) or not np.isfinite(probabilities).all():
            raise BadDataError(
                f"the classifier gave {probabilities.shape} for {len(crops)} crops, or values "
                "that are not finite; evaluate the model again before using it"
            )
        return [Classification((float(a), float(b), float(c))) for a, b, c in probabilities]
