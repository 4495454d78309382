"""A member of a consumer group: what it asks of Redis, whoever carries the words.

Nothing here does I/O: commands are yielded and replies come back, as in ``inspection``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis

from worker.output.reading.delivery import Delivery, Reading, Ref, Tally, happened_at
from worker.output.reading.entry import STREAM_OF_MODEL, AnyEvent, read_entry
from worker.output.reading.inspection import (
    Command,
    Talk,
    first_missing,
    group_of,
    order,
    pairs,
    stream_of,
    trimmed_unread,
)
from worker.output.reading.notices import (
    EventsLost,
    GroupLost,
    Hole,
    Notice,
    NotWatched,
    Trimmed,
    UnknownSchema,
)
from worker.output.reading.sequence import Marks, Place
from worker.output.reading.streams import LOOK_EVERY_S, Streams
from worker.output.wire import Event, GapEvent, LossEvent, Stream
from worker.venue import EVERYWHERE

COMMANDS = (
    "+xreadgroup +xgroup +xack +xclaim +xautoclaim +xinfo +xpending +xrevrange "
    "+scan +ping +info +client"
)
"""What the user in Redis must be allowed."""

READ_EVENTS = 500
"""Events that are read at once, at most; but ten of each stream."""

AGAIN_EVENTS = 100
"""Entries of one stream that are taken up again, or claimed, at once."""

HELD = 50_000
"""Entries that are remembered as handed out and not acknowledged."""

LOOK_FOR_TRIMMED_S = 5.0
CLAIM_EVERY_S = 5.0
ACK_EVENTS = 200
ACK_AFTER_S = 1.0

_BEGINNING = b"0-0"
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class _Told:
    """A notice on its way; an entry that holds no event is done with once it was told."""

    notice: Notice
    done: Ref | None = None


class Member:
    """Reads as one member of a group: each event once or, after a fault, again; in order.

    One that is handed out is not handed out again until ``claim_idle_s`` is over.

    Args:
        reading: what is read, and as whom.
        notify: called with each notice, in its place among the events.
        clock: monotonic seconds.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        reading: Reading,
        notify: Callable[[Notice], object],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.tally = Tally()
        self._reading = reading
        self._group = reading.group.encode()
        self._name = reading.name.encode()
        self._notify = notify
        self._clock = clock
        self._wall = wall
        self._marks = Marks()
        self._inbox: deque[Delivery | _Told] = deque()
        self._done: deque[Ref] = deque()
        self._held: dict[Ref, None] = {}
        self._cursors: dict[bytes, bytes] = {}
        self._resumed: dict[bytes, bytes] = {}
        self._streams = Streams(reading, clock)
        self._checked_s = self._claimed_s = _NEVER
        self._acknowledged_s = self._filled_s = _NEVER

    # What the consumer does with it.

    def next(self) -> Delivery | None:
        """The next event that was read, after each notice that comes before it; None: read on."""
        while self._inbox:
            item = self._inbox.popleft()
            if isinstance(item, Delivery):
                self.tally.delivered += 1
                self.tally.redelivered += item.redelivered
                return item
            try:
                self._notify(item.notice)
            except BaseException:
                self._inbox.appendleft(item)
                raise
            if item.done is not None:
                self._done.append(item.done)
        return None

    def upkeep(self) -> Talk[None]:
        """What cannot wait until all that was read is handed out; mostly nothing."""
        now_s = self._clock()
        late = now_s - self._acknowledged_s >= ACK_AFTER_S
        if len(self._done) >= ACK_EVENTS or (self._done and late):
            yield from self.acknowledge()
        if self._inbox and now_s - self._filled_s >= self._reading.claim_idle_s / 3:
            yield from self._keep_hold()

    def turn(self) -> Talk[float]:
        """Acknowledge what is done, then read; waits ``block_ms`` at most for something new.

        Returns:
            Seconds to wait before the next turn: above 0 where there is no stream yet.
        """
        yield from self.acknowledge()
        yield from self._look_for_streams()
        yield from self._look_for_losses()
        if not self._cursors:
            return LOOK_EVERY_S
        try:
            yield from self._resume()
            if not self._inbox:
                yield from self._claim()
            if not self._inbox:
                yield from self._read()
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self._checked_s = _NEVER  # made anew, and told, at the next turn
        self._filled_s = self._clock()
        return 0.0

    def acknowledge(self) -> Talk[None]:
        """Tell Redis what is done."""
        self._acknowledged_s = self._clock()
        while self._done:
            batch = [self._done.popleft() for _ in range(min(len(self._done), ACK_EVENTS))]
            by_key: dict[bytes, list[bytes]] = {}
            for key, entry_id in batch:
                by_key.setdefault(key, []).append(entry_id)
            try:
                for key, ids in by_key.items():
                    yield ("XACK", key, self._group, *ids)
            except BaseException:
                self._done.extendleft(reversed(batch))  # again, which does no harm
                raise
            for ref in batch:
                self._held.pop(ref, None)
            self.tally.acknowledged += len(batch)

    def broken_off(self) -> None:
        """A turn was not finished: what it was bringing is asked for again."""
        self._resumed = dict.fromkeys(self._cursors, _BEGINNING)

    def disconnected(self) -> None:
        """The connection broke: as above, and all is looked at anew, for much may have changed."""
        self.broken_off()
        self._streams.look_again()
        self._checked_s = _NEVER

    @property
    def unacknowledged(self) -> int:
        """Entries that are done with and that Redis was not told of yet."""
        return len(self._done)

    def _look_for_streams(self) -> Talk[None]:
        for key in (yield from self._streams.look()):
            self._cursors[key] = self._resumed[key] = _BEGINNING

    # What is lost.

    def _look_for_losses(self) -> Talk[None]:
        """Before anything is read: what was trimmed unread, and is the group still there?"""
        if self._clock() - self._checked_s < LOOK_FOR_TRIMMED_S:
            return
        for key in list(self._cursors):
            stream = yield from stream_of(key)
            group = None if stream is None else (yield from group_of(key, self._group))
            if stream is None or group is None:
                yield from self._streams.join(key)
                self._cursors[key] = self._resumed[key] = _BEGINNING
                self._tell(GroupLost(key.decode(), self._reading.group))
                continue
            trimmed = yield from trimmed_unread(key, stream, group)
            if trimmed is not None:
                self._tell(trimmed)
        self._checked_s = self._clock()

    def _tell_hole(self, key: bytes, entry_id: bytes, event: Event) -> Talk[None]:
        place = self._place(key, event)
        highest = self._marks.highest(place)
        first = yield from first_missing(key, self._group, entry_id, event, highest)
        if first < event.seq:
            self.tally.missing += event.seq - first
            self._tell(Hole(place[0], event.camera_id, event.run_id, first, event.seq - 1))

    def _tell(self, notice: Notice, done: Ref | None = None) -> None:
        self._inbox.append(_Told(notice, done))

    # What there is to read.

    def _resume(self) -> Talk[None]:
        """Take up what this member was handed in an earlier life, or on a connection that broke.

        A page of each stream; what is new waits until all is taken up.
        """
        for key, last in list(self._resumed.items()):
            read = ("XREADGROUP", "GROUP", self._group, self._name, "COUNT", AGAIN_EVENTS)
            reply = yield (*read, "STREAMS", key, last)
            entries = reply[0][1] if reply else []
            if entries:
                self._resumed[key] = entries[-1][0]
                self._take_again(key, [e for e in entries if (key, e[0]) not in self._held])
            else:
                del self._resumed[key]

    def _claim(self) -> Talk[None]:
        """Take over what was left lying for too long; a page of each stream."""
        idle_s = self._reading.claim_idle_s
        if self._resumed or self._clock() - self._claimed_s < min(idle_s / 4, CLAIM_EVERY_S):
            return
        for key, cursor in list(self._cursors.items()):
            claim = ("XAUTOCLAIM", key, self._group, self._name, int(idle_s * 1_000), cursor)
            reply = yield (*claim, "COUNT", AGAIN_EVENTS)
            self._cursors[key] = reply[0]
            claimed = [entry for entry in reply[1] if entry]
            gone = len(reply[2]) if len(reply) > 2 else len(reply[1]) - len(claimed)
            if gone:
                self._tell(Trimmed(key.decode(), gone, taken=True))
            self._take_again(key, [e for e in claimed if (key, e[0]) not in self._done])
        if all(cursor == _BEGINNING for cursor in self._cursors.values()):
            self._claimed_s = self._clock()

    def _take_again(self, key: bytes, entries: Sequence[Any]) -> None:
        """Entries that were handed out before: their numbers are low by right."""
        gone = [(key, entry_id) for entry_id, fields in entries if not fields]
        if gone:
            self._tell(Trimmed(key.decode(), len(gone), taken=True))
            self._done.extend(gone)
        for entry_id, fields in entries:
            event = self._event(key, entry_id, fields) if fields else None
            if event is not None:
                self._marks.note(self._place(key, event), event.seq)
                self._put(key, entry_id, fields, event, redelivered=True)

    def _read(self) -> Talk[None]:
        """Read what is new, of all streams, and wait for it."""
        if self._resumed:
            return
        keys = list(self._cursors)
        count = max(10, READ_EVENTS // len(keys))
        command: Command = ("XREADGROUP", "GROUP", self._group, self._name, "COUNT", count)
        command += ("BLOCK", self._reading.block_ms, "STREAMS", *keys, *[b">"] * len(keys))
        reply = yield command
        for key, entries in reply or ():
            for entry_id, fields in entries:
                yield from self._take(key, entry_id, fields)

    def _take(self, key: bytes, entry_id: bytes, fields: Sequence[bytes]) -> Talk[None]:
        event = self._event(key, entry_id, fields)
        if event is None:
            return
        place = self._place(key, event)
        standing = self._marks.place(place, event.seq)
        if standing == "repeated":
            self.tally.repeated += 1
            self._drop((key, entry_id))
            return
        if standing == "jump":
            yield from self._tell_hole(key, entry_id, event)
        self._marks.note(place, event.seq)
        self._put(key, entry_id, fields, event, redelivered=False)

    def _event(self, key: bytes, entry_id: bytes, fields: Sequence[bytes]) -> AnyEvent | None:
        """The event of an entry; None where it holds none, or one that was not asked for."""
        found = read_entry(key.decode(), entry_id.decode(), pairs(fields))
        if not isinstance(found, Event):
            self.tally.unreadable += 1
            self._hold((key, entry_id))
            self._tell(found, (key, entry_id))
            if isinstance(found, UnknownSchema) and found.head is not None:
                self._marks.note(self._place(key, found.head), found.head.seq)
            return None
        cameras = self._reading.cameras
        if cameras is not None and found.camera_id not in {EVERYWHERE, *cameras}:
            self._drop((key, entry_id))
            return None
        return cast("AnyEvent", found)

    def _put(
        self,
        key: bytes,
        entry_id: bytes,
        fields: Sequence[bytes],
        event: AnyEvent,
        *,
        redelivered: bool,
    ) -> None:
        """Into the inbox, after the notices that belong before it."""
        new_run = self._marks.run(event)
        if new_run is not None:
            self._tell(new_run)
        if self._too_old(event):
            self.tally.too_old += 1
            self._drop((key, entry_id))
            return
        if isinstance(event, LossEvent):
            self._tell(EventsLost(event))
        elif isinstance(event, GapEvent):
            self._tell(NotWatched(event))
        self._hold((key, entry_id))
        document = pairs(fields)[b"event"]
        names = key.decode(), entry_id.decode()
        self._inbox.append(Delivery(event, document, *names, redelivered, self._done.append))

    def _drop(self, ref: Ref) -> None:
        """Nobody is to see this one."""
        self._hold(ref)
        self._done.append(ref)

    def _hold(self, ref: Ref) -> None:
        """This one is not taken up again while it is here or being worked on."""
        self._held[ref] = None
        if len(self._held) > HELD:
            del self._held[next(iter(self._held))]

    def _too_old(self, event: Event) -> bool:
        limit_s = self._reading.max_age_s
        if limit_s is None:
            return False
        return happened_at(event) < datetime.fromtimestamp(self._wall() - limit_s, UTC)

    def _keep_hold(self) -> Talk[None]:
        """Say that what waits here is not left behind; let go of what others took meanwhile."""
        waiting: dict[bytes, list[bytes]] = {}
        for item in self._inbox:
            ref = item.ref if isinstance(item, Delivery) else item.done
            if ref is not None:
                waiting.setdefault(ref[0], []).append(ref[1])
        ours: set[Ref] = set()
        for key, ids in waiting.items():
            span = (min(ids, key=order), max(ids, key=order))
            listed = yield ("XPENDING", key, self._group, *span, HELD, self._name)
            kept = {entry[0] for entry in listed} & set(ids)
            ours.update((key, entry_id) for entry_id in kept)
            if kept:
                yield ("XCLAIM", key, self._group, self._name, 0, *kept, "JUSTID")
        self._inbox = deque(
            item
            for item in self._inbox
            if (item.ref in ours if isinstance(item, Delivery) else True)
        )
        self._filled_s = self._clock()

    def _place(self, key: bytes, event: Event) -> Place:
        """Where its number counts."""
        stream = STREAM_OF_MODEL.get(type(event))
        if stream is None:
            name = key.decode().removeprefix(f"{self._reading.prefix}:").partition(":")[0]
            stream = cast("Stream", name)
        return stream, event.camera_id, event.run_id
