"""Crops to classifications."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ScriptedEngine

from worker.errors import BadDataError
from worker.inference.classify import Classifier
from worker.records import Crop


def crops(count: int) -> list[Crop]:
    return [Crop(n, np.zeros((16, 16, 3), np.uint8), 100.0) for n in range(count)]


def test_one_classification_a_crop() -> None:
    """Every crop of a batch gets its probabilities."""
    results = Classifier(ScriptedEngine((0.1, 0.7, 0.2)), 16).classify(crops(3))
    assert [result.probabilities for result in results] == [pytest.approx((0.1, 0.7, 0.2))] * 3


def test_warm_up_runs_each_size_once() -> None:
    """The sizes that will come are run before the first camera pays for them."""
    engine = ScriptedEngine()
    Classifier(engine, 16).warm_up(8)
    assert sorted(engine.batches) == [1, 2, 4, 8]


def test_nonsense_from_the_device_is_no_classification() -> None:
    """Values that are not finite are refused."""
    with pytest.raises(BadDataError, match="not finite"):
        Classifier(ScriptedEngine((np.nan, 0.5, 0.5)), 16).classify(crops(1))
