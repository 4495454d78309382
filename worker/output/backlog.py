"""What waits to be published: bounded, in order, and honest about what it gave up."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from worker.output.event import Event, Loss
from worker.output.wire import EventType, Stream

WINDOW = 1_000
"""Events of one kind of stream that lie on disk and, read back, in memory as well."""


@dataclass(slots=True, eq=False)
class Waiting:
    """An event that was made, until it is settled.

    Attributes:
        queued_s: the monotonic second in which it was queued; of one that was read back from
            disk, that is long ago.
        row: its place on disk; None while it lies in memory alone.
        settled: it was published, or given up.
        noted: the journal knows of it.
        held_until_s: not to be published before: the journal is to be written first.
    """

    event: Event
    queued_s: float
    row: int | None = None
    settled: bool = False
    noted: bool = False
    held_until_s: float = float("-inf")


class _Behind:
    """Events on disk that are not in memory: how many of each type, and which, where known.

    Attributes:
        spans: first and last number of each run and camera that this life has written.
    """

    def __init__(self) -> None:
        self.counts: Counter[EventType] = Counter()
        self.spans: dict[tuple[str, str], tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return self.counts.total() > 0

    def add(self, event: Event) -> None:
        """It was written, after all others of its camera."""
        self.counts[event.type] += 1
        place = (event.event_id.partition(":")[0], event.camera_id)
        first, _ = self.spans.get(place, (event.seq, event.seq))
        self.spans[place] = (first, event.seq)

    def remove(self, event: Event) -> None:
        """It was read back or dropped, before all others of its camera."""
        self.counts[event.type] -= 1
        place = (event.event_id.partition(":")[0], event.camera_id)
        _, last = self.spans.get(place, (0, -1))
        if event.seq < last:
            self.spans[place] = (event.seq + 1, last)
        else:
            self.spans.pop(place, None)


class _Lane:
    """One kind of stream, from the oldest: the window, what lies behind it on disk, memory.

    Attributes:
        behind: events on disk that are not in memory.
        read_row: no row above this one was ever in memory, but for those in ``fresh``.
        gone: rows that are settled and still to be deleted.
    """

    def __init__(self) -> None:
        self.window: deque[Waiting] = deque()
        self.behind = _Behind()
        self.fresh: deque[Waiting] = deque()
        self.read_row = 0
        self.gone: set[int] = set()

    def take(self, limit: int, from_disk: int, now_s: float) -> list[Waiting]:
        """The oldest; what lies in memory only once nothing older is on disk."""
        taken = [self.window.popleft() for _ in range(min(limit, from_disk, len(self.window)))]
        if not self.window:
            while len(taken) < limit and self._head_is_free(now_s):
                taken.append(self.fresh.popleft())
        return taken

    def ready(self, from_disk: bool, now_s: float) -> bool:
        """True where there is something to take."""
        return from_disk if self.window else self._head_is_free(now_s)

    def _head_is_free(self, now_s: float) -> bool:
        return bool(self.fresh) and not self.behind and self.fresh[0].held_until_s <= now_s

    def absorb(self) -> None:
        """What was written leaves memory, as far as the window has no room for it."""
        while self.fresh and self.fresh[0].row is not None:
            waiting = self.fresh.popleft()
            if len(self.window) < WINDOW and not self.behind:
                self.window.append(waiting)
                self.read_row = waiting.row or 0
            else:
                self.behind.add(waiting.event)


class Backlog:
    """Events that were made and are not settled: in hand, in memory, on disk.

    Alerts leave before frames. That keeps the promise (order holds per camera and stream, never
    across streams), lets an alarm pass a replay, and puts a loss event before the newer frames
    of its camera. When memory is full, the oldest frame event in it goes, then summaries, alerts
    last. Loss events are never turned away: there are at most a few a camera.

    Not thread-safe: whoever calls holds ``lock``.

    Attributes:
        changed: notified when there may be more to take.
        hand: what is being sent, and stays here until Redis has answered for it.
        in_memory: events that would be gone if the process were.
        on_disk: all others.
    """

    def __init__(self, capacity: int) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.hand: list[Waiting] = []
        self.in_memory = 0
        self.on_disk = 0
        self._capacity = capacity
        self._lanes: Mapping[Stream, _Lane] = {
            "alerts": _Lane(),
            "compliance": _Lane(),
            "frames": _Lane(),
        }

    def __len__(self) -> int:
        return self.in_memory + self.on_disk

    def put(self, waiting: Waiting) -> Event | None:
        """Queue an event; what had to go for it comes back."""
        full = self.in_memory >= self._capacity and waiting.event.type != "loss"
        self._lanes[waiting.event.stream].fresh.append(waiting)
        self.in_memory += 1
        if not full:
            return None
        lanes = self._lanes
        fresh = lanes["frames"].fresh or lanes["compliance"].fresh or lanes["alerts"].fresh
        victim = fresh.popleft()
        self.settle(victim)
        return victim.event

    def take(self, limit: int, from_disk: int, now_s: float) -> list[Waiting]:
        """Take what is to be published next in hand, unless something is there already.

        Args:
            limit: most events.
            from_disk: most of them that may come from disk.
            now_s: the monotonic clock.
        """
        if not self.hand:
            for lane in self._lanes.values():
                taken = lane.take(limit - len(self.hand), from_disk, now_s)
                from_disk -= sum(w.row is not None for w in taken)
                self.hand += taken
        return self.hand

    def settle(self, waiting: Waiting) -> None:
        """It is published, or given up."""
        if waiting.settled:
            return
        waiting.settled = True
        if waiting.row is None:
            self.in_memory -= 1
        else:
            self.on_disk -= 1
            self._lanes[waiting.event.stream].gone.add(waiting.row)

    def ready(self, now_s: float, *, from_disk: bool) -> bool:
        """True where ``take`` has something to take, with or without what lies on disk."""
        return bool(self.hand) or any(lane.ready(from_disk, now_s) for lane in self._lanes.values())

    def release(self, held: Iterable[Waiting]) -> None:
        """The journal knows of them, or cannot: they may be published."""
        for waiting in held:
            waiting.held_until_s = float("-inf")
            self.changed.notify_all()

    def left(self) -> list[Waiting]:
        """What would be lost if the process ended now."""
        lanes = self._lanes.values()
        return [w for w in self.hand if w.row is None] + [w for lane in lanes for w in lane.fresh]

    # What the spool asks and tells.

    def oldest_in_memory_s(self) -> float | None:
        """When the oldest of those that are not on disk was queued."""
        heads = [w.queued_s for w in self.hand if w.row is None]
        heads += [lane.fresh[0].queued_s for lane in self._lanes.values() if lane.fresh]
        return min(heads, default=None)

    def wants_refill(self, stream: Stream) -> bool:
        """True where the window runs low and more lies behind it."""
        lane = self._lanes[stream]
        return bool(lane.behind) and len(lane.window) <= WINDOW // 2

    def read_row(self, stream: Stream) -> int:
        """Rows above this one may be dropped: nobody has them in hand."""
        return self._lanes[stream].read_row

    def behind(self, stream: Stream) -> int:
        """Events on disk that are not in memory."""
        return self._lanes[stream].behind.counts.total()

    def written(self, rows: Sequence[tuple[Waiting, int]]) -> None:
        """These lie on disk now, in the order in which they were queued."""
        for waiting, row in rows:
            lane = self._lanes[waiting.event.stream]
            if waiting.settled:  # meanwhile
                lane.gone.add(row)
                continue
            waiting.row = row
            self.in_memory -= 1
            self.on_disk += 1
        for waiting in self.hand:
            lane = self._lanes[waiting.event.stream]
            lane.read_row = max(lane.read_row, waiting.row or 0)
        for lane in self._lanes.values():
            lane.absorb()

    def found(self, stream: Stream, counts: Mapping[EventType, int]) -> None:
        """What an earlier run left on disk."""
        self._lanes[stream].behind.counts.update(counts)
        self.on_disk += sum(counts.values())

    def refilled(
        self, stream: Stream, rows: Iterable[tuple[int, Event]], *, last: bool
    ) -> Counter[EventType]:
        """Read back from disk; ``last``: there is no more. What is missing there then."""
        lane = self._lanes[stream]
        for row, event in rows:
            lane.read_row = row
            if row not in lane.gone:
                lane.window.append(Waiting(event, float("-inf"), row, noted=True))
                lane.behind.remove(event)
        return self._forget(lane) if last else Counter()

    def dropped(self, stream: Stream, rows: Iterable[tuple[int, Event]]) -> list[Event]:
        """To be deleted to make room, the oldest behind the window; those that are lost by it."""
        lane = self._lanes[stream]
        lost = []
        for row, event in rows:
            lane.read_row = row
            if row not in lane.gone:
                lane.gone.add(row)
                lane.behind.remove(event)
                self.on_disk -= 1
                lost.append(event)
        return lost

    def gone(self) -> dict[Stream, set[int]]:
        """Rows to delete, since they are settled; tell ``deleted`` of it."""
        return {stream: set(lane.gone) for stream, lane in self._lanes.items() if lane.gone}

    def deleted(self, rows: Mapping[Stream, set[int]]) -> None:
        """These rows are no more."""
        for stream, numbers in rows.items():
            self._lanes[stream].gone -= numbers

    def disk_is_lost(self) -> tuple[Counter[EventType], list[Loss]]:
        """Nothing on disk can be read any more; what is in memory as well stays.

        Returns:
            How many of each type are gone, and which, as far as this life knows.
        """
        lost: Counter[EventType] = Counter()
        known: list[Loss] = []
        for stream, lane in self._lanes.items():
            for (run_id, camera_id), (first, last) in lane.behind.spans.items():
                count = last - first + 1
                known.append(Loss(camera_id, stream, first, last, count, "spool_lost", run_id))
            lost += self._forget(lane)
            lane.fresh.extendleft(reversed(lane.window))
            lane.window.clear()
            lane.gone.clear()
            lane.read_row = 0
        left = self.left()
        for waiting in self.hand + left:
            waiting.row = None
        self.on_disk, self.in_memory = 0, len(self.left())
        return lost, known

    def _forget(self, lane: _Lane) -> Counter[EventType]:
        missing = +lane.behind.counts
        lane.behind = _Behind()
        self.on_disk -= missing.total()
        return missing


def by_type(events: Iterable[Event]) -> Counter[EventType]:
    """How many events of each type."""
    return Counter(event.type for event in events)
