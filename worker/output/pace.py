"""How fast what waited is sent afterwards: fast enough to end, slow enough to leave room."""

from __future__ import annotations

from collections.abc import Callable

BURST_S = 0.25


class Pace:
    """Lets ``per_s`` events a second go, and one more for each that came anew meanwhile.

    The second part is what makes a replay end: all that comes while it lasts has to queue
    behind it. Not thread-safe: whoever calls holds the backlog's lock.

    Args:
        per_s: events a second.
        clock: monotonic seconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], float]) -> None:
        self._per_s = per_s
        self._clock = clock
        self._left = self._most = per_s * BURST_S
        self._anew = 0
        self._then_s = clock()

    def came(self, *, queues: bool) -> None:
        """An event came anew, and has to queue behind what waits on disk, or not."""
        self._anew = self._anew + 1 if queues else 0

    def allows(self) -> int:
        """So many may go now."""
        now_s = self._clock()
        self._left = min(self._left + (now_s - self._then_s) * self._per_s, self._most)
        self._then_s = now_s
        return int(self._left) + self._anew

    def spend(self) -> None:
        """One went."""
        if self._anew:
            self._anew -= 1
        else:
            self._left = max(0.0, self._left - 1)
