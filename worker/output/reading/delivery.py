"""What a consumer asks for, what it gets, and what it counts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from worker.output.reading.entry import AnyEvent
from worker.output.wire import Event, FrameEvent, Stream

Ref = tuple[bytes, bytes]
"""An entry: the key of its stream and its id."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read, and as whom.

    Attributes:
        prefix: first part of every key.
        group: the group, and ``name`` the member of it.
        streams: which kinds of streams.
        cameras: only events of these; None: of all.
        start: where a group begins that doesn't exist yet: at what is ``new``, or at the
            ``oldest`` event that is kept.
        claim_idle_s: after so long an entry counts as left behind by its consumer.
        max_age_s: older events are dropped; None: none is.
        block_ms: longest wait for something new.
    """

    prefix: str
    group: str
    name: str
    streams: Collection[Stream]
    cameras: Collection[str] | None
    start: Literal["new", "oldest"]
    claim_idle_s: float
    max_age_s: float | None
    block_ms: int


@dataclass(slots=True)
class Tally:
    """What came, in numbers since the consumer was made.

    Attributes:
        delivered: events that were handed out.
        redelivered: those of them that had been handed out before.
        acknowledged: entries that Redis knows to be done.
        repeated: events that were published twice, and dropped here.
        too_old: events that were dropped for their age.
        unreadable: entries that hold no event we can read; each was a notice.
        missing: events that never came, by the holes that were told.
        outages: how often Redis went away.
    """

    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    repeated: int = 0
    too_old: int = 0
    unreadable: int = 0
    missing: int = 0
    outages: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event, to be worked on and then acknowledged.

    Attributes:
        event: what happened, typed by its schema. Fields that this version doesn't know are
            left out of it, not of ``document``.
        document: the event as it was published, JSON.
        key: the stream it came from, and ``entry_id`` its place there.
        redelivered: it was handed out before, to this consumer or to one that is gone, which
            may have worked on it.
    """

    event: AnyEvent
    document: bytes
    key: str
    entry_id: str
    redelivered: bool
    _done: Callable[[Ref], None] = field(repr=False, compare=False)

    @property
    def ref(self) -> Ref:
        """The entry it came as."""
        return self.key.encode(), self.entry_id.encode()

    @property
    def at(self) -> datetime:
        """When it happened, by the worker's clock."""
        return happened_at(self.event)

    def ack(self) -> None:
        """Say that it is done with: it will not come again. Never blocks; any thread may call.

        Redis is told together with others: when the consumer is asked for more and has 200 of
        them or one that is a second old, when it waits, or when it is closed. What Redis was not
        told comes again.
        """
        self._done(self.ref)


def happened_at(event: Event) -> datetime:
    """The time of an event, UTC: a frame's capture, else when it was found."""
    stamp = event.captured_at if isinstance(event, FrameEvent) else getattr(event, "occurred_at")  # noqa: B009
    return datetime.fromisoformat(stamp)
