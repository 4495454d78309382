"""Losses that consumers have not been told of yet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from worker.output.event import Event, Loss
from worker.output.wire import Stream

LossReason = Literal["queue_full", "rejected", "shutdown", "spool_full", "spool_lost"]

TELL_EVERY_S = 5.0
"""While a loss goes on, its camera is told this often, not once an event."""


class _Key(NamedTuple):
    run_id: str
    camera_id: str
    stream: Stream
    reason: str


@dataclass(slots=True)
class _Range:
    first_seq: int
    last_seq: int
    count: int


class LossLedger:
    """Losses of one run, camera, stream and reason become one range until it is told.

    Not thread-safe: whoever calls holds the backlog's lock.

    Attributes:
        changed: something is in it, or is no more, since ``changed`` was last set to False.
    """

    def __init__(self, run_id: str) -> None:
        self.changed = False
        self._run_id = run_id
        self._ranges: dict[_Key, _Range] = {}
        self._told_s: dict[_Key, float] = {}

    def note(self, event: Event, reason: LossReason) -> None:
        """An event was given up. Where it was a loss event, its own news is told again."""
        run_id = event.event_id.partition(":")[0]
        key = _Key(run_id, event.camera_id, event.stream, reason)
        self._add(key, _Range(event.seq, event.seq, 1))
        if event.type == "loss":
            news = json.loads(event.document)
            key = _Key(
                news.get("of_run_id") or run_id, event.camera_id, news["stream"], news["reason"]
            )
            self._add(key, _Range(news["first_seq"], news["last_seq"], news["count"]))

    def restore(self, untold: Iterable[Loss]) -> None:
        """Losses that are known by their range, each with its run; such as nobody was told of."""
        for loss in untold:
            run_id = loss.of_run_id or self._run_id
            key = _Key(run_id, loss.camera_id, loss.stream, loss.reason)
            self._add(key, _Range(loss.first_seq, loss.last_seq, loss.count))

    def due(self, now_s: float, *, everything: bool = False) -> list[Loss]:
        """The losses to tell now: new ones at once, those that go on every few seconds."""
        keys = [
            key
            for key in self._ranges
            if everything or now_s - self._told_s.get(key, -TELL_EVERY_S) >= TELL_EVERY_S
        ]
        losses = []
        for key in keys:
            losses.append(self._loss(key, of_own=None))
            del self._ranges[key]
            self._told_s[key] = now_s
        self.changed |= bool(losses)
        return losses

    def untold(self) -> list[Loss]:
        """All that is in it, each with its run."""
        return [self._loss(key, of_own=self._run_id) for key in self._ranges]

    def _loss(self, key: _Key, of_own: str | None) -> Loss:
        of_run_id = of_own if key.run_id == self._run_id else key.run_id
        span = self._ranges[key]
        return Loss(
            key.camera_id,
            key.stream,
            span.first_seq,
            span.last_seq,
            span.count,
            key.reason,
            of_run_id,
        )

    def _add(self, key: _Key, more: _Range) -> None:
        self.changed = True
        span = self._ranges.get(key)
        if span is None:
            self._ranges[key] = more
            return
        span.first_seq = min(span.first_seq, more.first_seq)
        span.last_seq = max(span.last_seq, more.last_seq)
        span.count += more.count
