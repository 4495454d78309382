"""A publisher with all that it needs, and records to publish."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import redis

from worker.config import Redis
from worker.output.event import Event, EventMaker, PeriodSummary, TrackSummary
from worker.output.publish import Publisher
from worker.output.spool import Spool
from worker.output.wire import Model
from worker.records import Box, CameraStatus, Decision, Face, Frame, Track

MODEL = Model(name="residual-64", version="1", digest="0" * 64)
FACE = Face(
    Track(12, Box(100.23, 50.0, 140.0, 99.96), 0.91234, 5, True, True, 1_700_000_000.0),
    Decision("with_mask", 0.98765),
    (0.0123, 0.98, 0.0077),
)
PERIOD = PeriodSummary(
    zone="till",
    start=1_700_000_000.0,
    end=1_700_000_060.0,
    duration_s=60.0,
    cameras=("hall", "door"),
    persons={"with_mask": 6, "without_mask": 1, "mask_worn_incorrectly": 1, "unknown": 2},
    rate=0.75,
    blind={"door": 12.5},
)
SUMMARY = TrackSummary(12, 1_700_000_000.0, 4.2, Decision("with_mask", 0.9), {}, {})


def wait_for(condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
    """Wait until it holds; fail when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


def frame_of(camera_id: str, captured_at: float | None = None) -> Frame:
    """A frame without pixels."""
    picture: Any = SimpleNamespace(width=1280, height=720)
    at = time.time() if captured_at is None else captured_at
    return Frame(camera_id, at, time.monotonic(), picture)


class Counts:
    """A listener that counts."""

    def __init__(self) -> None:
        self.made = 0
        self.sent: list[Event] = []
        self.latencies: list[float | None] = []
        self.losses: Counter[tuple[str, str]] = Counter()
        self.broker_said: list[tuple[bool, str]] = []
        self.found: Counter[str] = Counter()
        self.replays = 0
        self.disk_said: list[tuple[bool, str | None]] = []

    def created(self, event: Event) -> None:
        self.made += 1

    def published(self, event: Event, latency_s: float | None) -> None:
        self.sent.append(event)
        self.latencies.append(latency_s)

    def lost(self, kind: str, reason: str, count: int) -> None:
        self.losses[kind, reason] += count

    def broker(self, up: bool, reason: str) -> None:
        self.broker_said.append((up, reason))

    def recovered(self, kind: str, count: int) -> None:
        self.found[kind] += count

    def replayed(self, kind: str) -> None:
        self.replays += 1

    def disk(self, up: bool, reason: str | None) -> None:
        self.disk_said.append((up, reason))


class Rig:
    """A publisher, its maker, its listener and, once started, its threads.

    With a folder it has a spool as well.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        folder: Path | None = None,
        run_id: str = "1ngaxyz00000",
        max_mb: int = 512,
        replay_per_s: float = 1_000_000.0,
        **settings: Any,
    ) -> None:
        settings = {"timeout_s": 0.5, **settings}
        self.counts = Counts()
        self.spool = (
            Spool(folder, max_mb, run_id=run_id, listener=self.counts, clock=clock)
            if folder
            else None
        )
        self.publisher = Publisher(
            Redis(url=url, **settings),
            worker_id="lobby",
            run_id=run_id,
            listener=self.counts,
            spool=self.spool,
            replay_per_s=replay_per_s,
            clock=clock,
        )
        self.events = EventMaker(
            worker_id="lobby", run_id=run_id, model=MODEL, sink=self.publisher.put
        )
        self.thread = threading.Thread(target=self.publisher.run, args=(self.events,), daemon=True)
        self._disk_thread = threading.Thread(
            target=self.spool.run if self.spool else lambda: None, daemon=True
        )

    def start(self) -> Rig:
        self.thread.start()
        self._disk_thread.start()
        return self

    def start_disk(self) -> Rig:
        """Start the spool alone, as if the publisher hung."""
        self._disk_thread.start()
        return self

    def frames(self, n: int, camera_id: str = "hall") -> None:
        for _ in range(n):
            self.events.frame(frame_of(camera_id), [FACE], "ran")

    def state(self, camera_id: str = "hall", state: Any = "up") -> None:
        self.publisher.put_state(CameraStatus(camera_id, state, time.time()), fps=5.0)

    def drained(self) -> None:
        wait_for(lambda: self.publisher.depth == self.publisher.spooled == 0)

    def spooled(self, count: int) -> None:
        wait_for(lambda: (self.publisher.depth, self.publisher.spooled) == (0, count))

    def down(self, reason: str) -> None:
        wait_for(lambda: (False, reason) in self.counts.broker_said)

    def close(self, deadline_s: float = 5.0) -> None:
        self.publisher.close(deadline_s)
        if self.thread.ident is not None:
            self.thread.join(10)

    def balanced(self) -> bool:
        """Created + recovered = published + lost + in memory + on disk."""
        counts, publisher = self.counts, self.publisher
        accounted = len(counts.sent) + sum(counts.losses.values())
        accounted += publisher.depth + publisher.spooled
        return counts.made + counts.found.total() == accounted


def entries(client: redis.Redis, key: str) -> list[tuple[str, str, str]]:
    """Id, type and document of every entry of a stream."""
    found: Any = client.xrange(key)
    return [(entry_id, fields["type"], fields["event"]) for entry_id, fields in found]
