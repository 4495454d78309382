"""What the live page tells of a camera's last hour, kept so cheaply that every frame may pay it.

Other threads write; whoever looks takes copies, and all that has to be worked out is worked out
then.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from worker.output.event import Event
from worker.records import LABELS, CameraStatus, Label

MINUTES = 60
"""The history reaches back so far; one bucket a minute."""

RATE_S = 10.0
"""Time over which frames a second are counted."""

RATE_FRAMES = 128
"""Frames remembered for the rate: that of a faster camera is taken over a shorter time."""

LEAST_RATE_S = 2.0
"""The first frame of a camera makes no rate yet."""

LATENCIES = 64
CHANGES = 100
ALERTS = 40
FRAMES = 10


class CameraHistory:
    """The recent past of one camera."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._finished: deque[float] = deque(maxlen=RATE_FRAMES)
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._changes: deque[CameraStatus] = deque(maxlen=CHANGES)
        self._alerts: deque[Event] = deque(maxlen=ALERTS)
        self._frames: deque[Event] = deque(maxlen=FRAMES)
        self._minutes: list[list[int]] = [[-1]] * MINUTES

    # -- what happens, told by the threads it happens on; each O(1), none blocks

    def frame(self, counts: Mapping[Label, int]) -> None:
        """A frame was analysed, with so many faces of each label."""
        self._finished.append(self._monotonic())
        minute = int(self._wall() // 60)
        slot = minute % MINUTES
        bucket = self._minutes[slot]
        if bucket[0] != minute:
            self._minutes[slot] = bucket = [minute, 0, *(0 for _ in LABELS)]
        bucket[1] += 1
        for column, label in enumerate(LABELS, start=2):
            bucket[column] += counts[label]

    def status(self, status: CameraStatus) -> None:
        """The camera's state or its reason changed."""
        self._changes.append(status)

    def event(self, event: Event) -> None:
        """An event of this camera was made."""
        (self._frames if event.type == "frame" else self._alerts).append(event)

    def published(self, latency_s: float) -> None:
        """A frame event reached Redis so long after its frame arrived."""
        self._latencies.append(latency_s)

    # -- what is told to those who look

    def fps(self) -> float:
        """Analysed frames a second, just now."""
        now_s = self._monotonic()
        stamps = [stamp for stamp in tuple(self._finished) if now_s - stamp <= RATE_S]
        return len(stamps) / max(now_s - stamps[0], LEAST_RATE_S) if stamps else 0.0

    def latency_s(self) -> float | None:
        """Median time from a frame's arrival to its event in Redis; None where unknown."""
        latencies = tuple(self._latencies)
        return median(latencies) if latencies else None

    def hour(self) -> dict[str, Any]:
        """Each minute of the last hour, the present one last.

        ``frames`` analysed (0: nobody watched), and for each label the ``faces`` in view, as the
        mean over those frames.
        """
        last = int(self._wall() // 60)
        buckets = [
            self._minutes[minute % MINUTES] for minute in range(last - MINUTES + 1, last + 1)
        ]
        rows = [
            bucket if bucket[0] == last - MINUTES + 1 + index else None
            for index, bucket in enumerate(buckets)
        ]
        return {
            "frames": [row[1] if row else 0 for row in rows],
            "faces": {
                label: [round(row[column] / row[1], 2) if row and row[1] else 0 for row in rows]
                for column, label in enumerate(LABELS, start=2)
            },
        }

    def changes(self) -> list[dict[str, Any]]:
        """The changes of state, the newest first; ``until`` is None for the present state."""
        changes = tuple(self._changes)
        told = [
            {
                "state": change.state,
                "reason": change.reason,
                "since": change.since,
                "until": following.since if following else None,
            }
            for change, following in itertools.zip_longest(changes, changes[1:])
        ]
        return told[::-1]

    def documents(self) -> list[bytes]:
        """The documents of the newest events, the newest first; frames are fewer."""
        events = sorted(
            (*self._alerts.copy(), *self._frames.copy()), key=lambda event: -event.captured_at
        )
        return [event.document for event in events]
