"""Did it show? The line in the log, the metric and the event by which a fault must be known."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from service.chaos.fault import Fault
from service.chaos.ledger import Document
from service.chaos.worker_life import WorkerLife

SAMPLE_S = 0.25
LOOK_S = 0.1


@dataclass(slots=True)
class Watch:
    """What was on /metrics while it lasted: a thread that looks four times a second.

    Attributes:
        low, high: least and greatest value of each series.
        first: its value at the first look; what was not there then begins at 0.
    """

    worker: WorkerLife
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """Take note of all series."""
        for series, value in self.worker.metrics(1.0).items():
            self.low[series] = min(value, self.low.get(series, value))
            self.high[series] = max(value, self.high.get(series, value))


class Signs:
    """Watches log and metrics while a fault is done, and knows afterwards what it missed.

    A context manager; its threads end with it.

    Attributes:
        shown_after_s: from its begin to the first sign in log or metrics; None: there was none.
    """

    def __init__(self, fault: Fault, worker: WorkerLife) -> None:
        self.shown_after_s: float | None = None
        self._fault = fault
        self._worker = worker
        self._said = worker.log_size()
        self._watch = Watch(worker)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=work, args=(every_s,), name="signs", daemon=True)
            for work, every_s in ((self._sample, SAMPLE_S), (self._look, LOOK_S))
        ]

    def __enter__(self) -> Self:
        self._watch.look()
        self._watch.first = dict(self._watch.low)
        self._begun_s = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(5)

    def missed(self, events: Iterable[Document]) -> list[str]:
        """The signs that should have been there and were not."""
        fault, missed = self._fault, []
        if fault.log and not self._in_log():
            missed.append(f"no log line {fault.log!r}")
        if fault.metric and not self._in_metrics():
            missed.append(f"no metric: {fault.metric}")
        if fault.event and not any(_matches(event, fault.event) for event in events):
            missed.append(f"no event {fault.event}")
        return missed

    def _sample(self, every_s: float) -> None:
        while not self._ended.wait(every_s):
            self._watch.look()

    def _look(self, every_s: float) -> None:
        while not self._ended.wait(every_s):
            if self._in_log() or self._in_metrics():
                self.shown_after_s = time.monotonic() - self._begun_s
                return

    def _in_log(self) -> bool:
        pattern = self._fault.log
        return bool(pattern and re.search(pattern, self._worker.said(self._said)))

    def _in_metrics(self) -> bool:
        metric, watch = self._fault.metric, self._watch
        if metric is None:
            return False
        if metric.does == "falls to 0":
            return any(watch.low.get(series) == 0 for series in metric.series)
        return any(
            watch.high.get(series, 0) > watch.first.get(series, 0) for series in metric.series
        )


def _matches(event: Document, wanted: Mapping[str, Any]) -> bool:
    """True where each field is the one that is wanted, or one of several."""
    return all(
        event.get(name) in value if isinstance(value, set) else event.get(name) == value
        for name, value in wanted.items()
    )
