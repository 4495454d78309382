"""Whatever the device does, every crop is answered for, or the worker ends and says why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fakes import ScriptedEngine, frame, noise
from numpy.typing import NDArray

from worker.device import CALM_BATCHES, MAX_FAILED_BATCHES, DeviceWork, Job
from worker.inference.batch import Batcher
from worker.inference.classify import Classifier
from worker.metrics import Metrics
from worker.pipeline import Pending
from worker.records import Crop

SIZE = 16


class SmallEngine(ScriptedEngine):
    """A device with memory for so many crops at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.fault: Callable[[], None] = lambda: None

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.fault()
        if len(batch) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().run(batch)


class Rig:
    """The work of a device, and frames that wait to be completed."""

    def __init__(self, room: int = SIZE) -> None:
        self.engine = SmallEngine(room)
        self.batcher: Batcher[Job] = Batcher(SIZE, 0.0)
        self.metrics = Metrics()
        self.done: list[Pending] = []
        self.work = DeviceWork(
            Classifier(self.engine, 8),
            self.batcher,
            SIZE,
            metrics=self.metrics,
            complete=lambda _run, pending: self.done.append(pending),
        )

    def put(self, crops: int) -> None:
        """A frame with so many crops."""
        found = [Crop(n, np.zeros((8, 8, 3), np.uint8), 9.0) for n in range(crops)]
        pending = Pending(frame(noise()), True, (), crops=found, missing=crops)
        run: Any = None
        self.batcher.put([(run, pending, crop) for crop in found])

    def run(self) -> None:
        """Work on all that waits."""
        self.batcher.close()
        self.work.run()

    @property
    def errors(self) -> float:
        value = self.metrics.registry.get_sample_value(
            "maskwatch_device_errors_total", {"stage": "classify"}
        )
        return value or 0.0


def test_short_memory_makes_smaller_batches(caplog: pytest.LogCaptureFixture) -> None:
    """No crop goes without its answer, and what is learnt holds for the next batch."""
    rig = Rig(room=5)
    rig.put(SIZE)
    rig.put(SIZE)
    rig.run()
    assert [len(pending.classified) for pending in rig.done] == [SIZE, SIZE]
    assert rig.engine.batches == [4] * 8
    assert rig.errors == 2  # 16, 8
    assert "no memory for 8 crops at once; batches are of at most 4" in caplog.text


def test_batches_grow_again() -> None:
    """Somebody else may have had the memory for a while."""
    rig = Rig(room=8)
    rig.put(SIZE)
    for _ in range(CALM_BATCHES):
        rig.put(SIZE)
    rig.engine.room = SIZE
    rig.put(SIZE)
    rig.run()
    assert rig.engine.batches[-2:] == [SIZE, SIZE]


def test_a_device_without_memory_for_one_crop_ends_the_work() -> None:
    """Its faces have no label until then."""
    rig = Rig(room=0)
    for _ in range(MAX_FAILED_BATCHES):
        rig.put(SIZE)
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        rig.run()
    assert [len(pending.classified) for pending in rig.done] == [0] * (MAX_FAILED_BATCHES - 1)


def test_a_lost_device_ends_the_work() -> None:
    """After a few batches: one may be bad luck."""
    rig = Rig()

    def lost() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    rig.engine.fault = lost
    for _ in range(MAX_FAILED_BATCHES):
        rig.put(SIZE)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        rig.run()
    assert rig.errors == MAX_FAILED_BATCHES


def test_a_device_that_does_not_answer_is_noticed() -> None:
    """While it hangs, and not while nothing is asked; a process that slept is forgiven."""
    rig = Rig()
    asked, answer = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        answer.wait(30)

    rig.engine.fault = hang
    assert rig.work.busy_s(1e12) == 0
    rig.put(1)
    thread = threading.Thread(target=rig.run)
    thread.start()
    assert asked.wait(30)
    assert rig.work.busy_s(1e12) > 60
    rig.work.forgive(1e12)
    assert rig.work.busy_s(1e12) == 0
    answer.set()
    thread.join(30)
    assert rig.work.busy_s(1e12) == 0
