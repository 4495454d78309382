"""The work of the thread that owns the device: batch after batch, whatever the device does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from worker.camera import CameraRun
from worker.inference.batch import Batcher
from worker.inference.classify import Classifier
from worker.inference.engine import is_out_of_memory
from worker.metrics import Metrics
from worker.pipeline import Pending
from worker.records import Classification, Crop

log = logging.getLogger(__name__)

MAX_FAILED_BATCHES = 3
"""Batches in a row that the device fails on before the process ends, for a restart."""

CALM_BATCHES = 1_000
"""Batches without want of memory after which larger ones are tried again."""

Job = tuple[CameraRun, Pending, Crop]


class DeviceWork:
    """Classifies what the batcher gives; every crop is answered for, if only by None.

    Where the device's memory is short, batches are halved, down to a single crop, and grow again
    later. A batch that fails for any other reason leaves its faces without a label; three in a
    row end the loop.

    Args:
        classifier: on the device.
        batcher: brings the crops of all cameras.
        largest: size of the largest batch.
        metrics: count batches, times and faults.
        complete: called with a camera and its frame once all crops of that are answered for.
    """

    def __init__(
        self,
        classifier: Classifier,
        batcher: Batcher[Job],
        largest: int,
        *,
        metrics: Metrics,
        complete: Callable[[CameraRun, Pending], None],
    ) -> None:
        self._classifier = classifier
        self._batcher = batcher
        self._largest = self._limit = largest
        self._metrics = metrics
        self._complete = complete
        self._calm = 0
        self._busy_since_s: float | None = None

    def run(self) -> None:
        """Work until the batcher is closed and drained.

        Raises:
            Exception: whatever the device failed with for the last time.
        """
        failed = 0
        while batch := self._batcher.take():
            self._busy_since_s = time.monotonic()
            started = time.perf_counter()
            results: Sequence[Classification | None]
            try:
                results = self._classify([crop for _, _, crop in batch])
                failed = 0
            except Exception:
                # one batch may be bad luck; a device that is gone ends the worker
                self._metrics.device_errors.labels("classify").inc()
                failed += 1
                if failed == MAX_FAILED_BATCHES:
                    raise
                log.exception("a batch of %d crops could not be classified", len(batch))
                results = [None] * len(batch)
            self._busy_since_s = None
            self._metrics.stage_duration.labels("classify").observe(time.perf_counter() - started)
            self._metrics.batch_size.observe(len(batch))
            for (run, pending, crop), result in zip(batch, results, strict=True):
                if pending.resolve(crop.track, result):
                    self._complete(run, pending)

    def busy_s(self, now_s: float) -> float:
        """Seconds that the device has not answered for; 0 where nothing was asked. Any thread."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else now_s - since_s

    def forgive(self, now_s: float) -> None:
        """The whole process slept: the device may have been as busy as it looks, or not at all."""
        if self._busy_since_s is not None:
            self._busy_since_s = now_s

    def _classify(self, crops: Sequence[Crop]) -> list[Classification]:
        """All crops of a batch, in parts as large as the device's memory allows."""
        found: list[Classification] = []
        while len(found) < len(crops):
            part = crops[len(found) : len(found) + self._limit]
            try:
                found += self._classifier.classify(part)
            except Exception as error:
                if len(part) == 1 or not is_out_of_memory(error):
                    raise
                self._shrink(len(part))
        self._grow()
        return found

    def _shrink(self, tried: int) -> None:
        self._metrics.device_errors.labels("classify").inc()
        self._limit, self._calm = tried // 2, 0
        log.warning(
            "%s has no memory for %d crops at once; batches are of at most %d from now on",
            self._classifier.device,
            tried,
            self._limit,
        )

    def _grow(self) -> None:
        self._calm += 1
        if self._limit < self._largest and self._calm >= CALM_BATCHES:
            self._limit, self._calm = min(2 * self._limit, self._largest), 0
            log.info("batches are of up to %d crops again", self._limit)
