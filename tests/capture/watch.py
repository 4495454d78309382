"""A source at work in a test: its thread, its slot, and all that it says."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from capture.clips import number_of

from worker.capture.slot import Slot
from worker.capture.source import Source
from worker.config import Camera
from worker.records import CameraStatus, Frame, Gap

PATIENCE_S = 30.0


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.wall_offset_s = 1_700_000_000.0
        self.slept: list[float] = []

    def wall_s(self) -> float:
        """Seconds since the epoch."""
        return self.now_s + self.wall_offset_s

    def monotonic_s(self) -> float:
        """Seconds since some start."""
        return self.now_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Let the time pass at once."""
        self.slept.append(timeout_s)
        self.now_s += timeout_s
        return event.is_set()


class Watch:
    """Hears a source and takes its frames.

    Args:
        on_status: called with each status, for tests that act on one.
    """

    def __init__(
        self,
        *,
        on_status: Callable[[CameraStatus], None] = lambda _: None,
        camera_id: str = "entrance",
        clock: Any = None,
        take: bool = True,
        options: dict[str, Any] | None = None,
        **camera: Any,
    ) -> None:
        self.camera = Camera(**camera)
        self.received = 0
        self.statuses: list[CameraStatus] = []
        self.gaps: list[Gap] = []
        self.retries: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self.frames: list[Frame] = []
        self.numbers: list[int] = []
        self.changed = threading.Condition()
        self._take = take
        self._on_status = on_status
        self.slot = Slot(
            live=self.camera.live,
            on_ready=self._ready,
            on_drop=self._drop,
            monotonic=clock.monotonic_s if clock else time.monotonic,
        )
        self.source = Source(
            camera_id, self.camera, self.slot, listener=self, clock=clock, **(options or {})
        )
        self.thread = threading.Thread(target=self.source.run, daemon=True)

    def frame_received(self) -> None:
        """Count it."""
        self.received += 1

    def status(self, status: CameraStatus) -> None:
        """Remember it."""
        with self.changed:
            self.statuses.append(status)
            self.changed.notify_all()
        self._on_status(status)

    def gap(self, gap: Gap) -> None:
        """Remember it."""
        with self.changed:
            self.gaps.append(gap)
            self.changed.notify_all()

    def reconnecting(self, reason: str) -> None:
        """Count it."""
        with self.changed:
            self.retries[reason] += 1
            self.changed.notify_all()

    @property
    def states(self) -> list[str]:
        """All states so far, those of a camera that is down with their reason."""
        return [f"{s.state}: {s.reason}" if s.reason else s.state for s in self.statuses]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds; fails with all that was heard after a deadline."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            with self.changed:
                self.changed.wait(0.02)
            assert time.monotonic() < deadline, (self.states, len(self.frames), self.drops)

    def _ready(self) -> None:
        # On the capture thread, so that a fake clock drives the whole of it.
        if self._take:
            frame = self.slot.take()
            assert frame is not None
            with self.changed:
                self.frames.append(frame)
                self.numbers.append(number_of(frame.picture.gray()))
                self.changed.notify_all()

    def _drop(self, reason: str, count: int) -> None:
        self.drops[reason] += count


@contextlib.contextmanager
def watching(**arguments: Any) -> Iterator[Watch]:
    """A source that runs on its thread, and is stopped at the end."""
    watch = Watch(**arguments)
    watch.thread.start()
    try:
        yield watch
    finally:
        watch.source.stop()
        watch.thread.join(PATIENCE_S)
        assert not watch.thread.is_alive()


def played(**arguments: Any) -> Watch:
    """A source that ran on this thread, to its end."""
    watch = Watch(**arguments)
    watch.source.run()
    return watch
