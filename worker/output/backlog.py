"""What waits to be published: bounded, and honest about what it gave up."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from worker.output.event import Event, Loss
from worker.output.wire import EventType, Stream

LossReason = Literal["queue_full", "rejected", "shutdown"]

TELL_EVERY_S = 5.0
"""While a loss goes on, its camera is told this often, not once an event."""


class Waiting(NamedTuple):
    """An event, and the monotonic second in which it was queued."""

    event: Event
    queued_s: float


class Backlog:
    """Events in memory, a queue a kind of stream; not thread-safe, its owner holds a lock.

    Alerts leave before frames. That keeps the promise (order holds per camera and stream, never
    across streams), lets an alarm pass a replay, and puts a loss event before the newer frames
    of its camera. When full, the oldest frame event goes first, then summaries, alerts last.
    Loss events are never turned away: there are at most a few a camera.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._alerts: deque[Waiting] = deque()
        self._compliance: deque[Waiting] = deque()
        self._frames: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._alerts) + len(self._compliance) + len(self._frames)

    def put(self, waiting: Waiting) -> Event | None:
        """Queue an event; what had to go for it comes back."""
        queues = {"alerts": self._alerts, "compliance": self._compliance, "frames": self._frames}
        full = len(self) >= self._capacity and waiting.event.type != "loss"
        queues[waiting.event.stream].append(waiting)
        if not full:
            return None
        victims = self._frames or self._compliance or self._alerts
        return victims.popleft().event

    def take(self, limit: int) -> list[Waiting]:
        """At most ``limit`` events, in the order in which they are to be published."""
        taken: list[Waiting] = []
        for queue in (self._alerts, self._compliance, self._frames):
            while queue and len(taken) < limit:
                taken.append(queue.popleft())
        return taken


@dataclass(slots=True)
class _Range:
    first_seq: int
    last_seq: int
    count: int


class LossLedger:
    """Losses that consumers have not been told of yet; not thread-safe, its owner holds a lock.

    Losses of one camera, stream and reason become one range until it is told.
    """

    def __init__(self) -> None:
        self._ranges: dict[tuple[str, Stream, LossReason], _Range] = {}
        self._told_s: dict[tuple[str, Stream, LossReason], float] = {}

    def note(self, event: Event, reason: LossReason) -> None:
        """An event was given up. Where it was a loss event, its own news is told again."""
        self._add(event.camera_id, event.stream, reason, _Range(event.seq, event.seq, 1))
        if event.type == "loss":
            news = json.loads(event.document)
            span = _Range(news["first_seq"], news["last_seq"], news["count"])
            self._add(event.camera_id, news["stream"], news["reason"], span)

    def due(self, now_s: float, *, everything: bool = False) -> list[Loss]:
        """The losses to tell now: new ones at once, those that go on every few seconds."""
        keys = [
            key
            for key in self._ranges
            if everything or now_s - self._told_s.get(key, -TELL_EVERY_S) >= TELL_EVERY_S
        ]
        losses = []
        for camera_id, stream, reason in keys:
            span = self._ranges.pop((camera_id, stream, reason))
            self._told_s[camera_id, stream, reason] = now_s
            losses.append(
                Loss(camera_id, stream, span.first_seq, span.last_seq, span.count, reason)
            )
        return losses

    def _add(self, camera_id: str, stream: Stream, reason: LossReason, more: _Range) -> None:
        span = self._ranges.get((camera_id, stream, reason))
        if span is None:
            self._ranges[camera_id, stream, reason] = more
            return
        span.first_seq = min(span.first_seq, more.first_seq)
        span.last_seq = max(span.last_seq, more.last_seq)
        span.count += more.count


def by_type(events: Iterable[Event]) -> Counter[EventType]:
    """How many events of each type."""
    return Counter(event.type for event in events)
