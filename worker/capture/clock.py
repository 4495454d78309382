"""Time, passed in: so that a test runs a day in a millisecond."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple, Protocol


class Moment(NamedTuple):
    """One moment on both clocks: seconds since the epoch, and since some start."""

    wall_s: float
    monotonic_s: float


class Clock(Protocol):
    """What a camera knows of time."""

    def wall_s(self) -> float:
        """Seconds since the epoch, UTC; may jump."""

    def monotonic_s(self) -> float:
        """Seconds since some start; never goes back. Durations come from this one."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Block until the event is set or the time is over; True if it is set."""


class SystemClock:
    """The clock of this machine."""

    def wall_s(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds since some start."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Block until the event is set or the time is over; True if it is set."""
        return event.wait(timeout_s)
