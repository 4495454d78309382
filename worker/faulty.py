"""A way for events that goes wrong when it is told to: what consumers must cope with."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from worker.output.event import Event, Loss

Fault = Literal["hole", "duplicate", "late", "loss", "newer", "broken", "down", "restart"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
"""What can go wrong: frames vanish untold, come twice, come late and all at once, or vanish and a
loss event tells of it; an alert follows a newer schema, or is broken JSON; a camera is down for a
while; the worker is started anew."""

HOLE_EVENTS = 3
LOST_EVENTS = 10
TWICE_EVENTS = 5


@dataclass(slots=True)
class _Way:
    """What happens to the frames of one camera, and the last of them."""

    vanish: int = 0
    lost: list[Event] | None = None
    late: list[Event] | None = None
    recent: deque[Event] = field(default_factory=lambda: deque(maxlen=TWICE_EVENTS))


class FaultySink:
    """Hands events on, or does to them what is asked for; ``sink`` of an ``EventMaker``.

    Args:
        put: where events go.
    """

    def __init__(self, put: Callable[[Event], object]) -> None:
        self._put = put
        self._lock = threading.Lock()
        self._ways: dict[str, _Way] = {}
        self._spoil: Literal["newer", "broken"] | None = None

    def __call__(self, event: Event) -> None:
        """Pass an event on, as things stand."""
        with self._lock:
            if event.type == "frame":
                self._frame(self._way(event.camera_id), event)
            elif event.type == "camera" and self._spoil is not None:
                spoil, self._spoil = self._spoil, None
                self._put(_newer(event) if spoil == "newer" else _broken(event))
            else:
                self._put(event)

    def vanish(self, camera_id: str, count: int = HOLE_EVENTS) -> None:
        """The next frames of this camera vanish, and nobody tells."""
        with self._lock:
            self._way(camera_id).vanish += count

    def lose(self, camera_id: str, count: int = LOST_EVENTS) -> None:
        """The next frames of this camera vanish; ``losses`` tells of it afterwards."""
        with self._lock:
            way = self._way(camera_id)
            way.vanish += count
            way.lost = way.lost or []

    def losses(self) -> list[Loss]:
        """What was lost and has to be told now."""
        with self._lock:
            told = []
            for camera_id, way in self._ways.items():
                if way.lost and not way.vanish:
                    lost, way.lost = [event.seq for event in way.lost], None
                    span = (lost[0], lost[-1], len(lost))
                    told.append(Loss(camera_id, "frames", *span, "queue_full"))
            return told

    def hold(self, camera_id: str) -> None:
        """The frames of this camera wait from now on, as in an outage."""
        with self._lock:
            way = self._way(camera_id)
            way.late = way.late or []

    def release(self, camera_id: str) -> None:
        """They come now, in their order."""
        with self._lock:
            way = self._way(camera_id)
            late, way.late = way.late or (), None
            for event in late:
                self._put(event)

    def repeat(self, camera_id: str) -> None:
        """The last frames of this camera come again."""
        with self._lock:
            way = self._way(camera_id)
            for event in way.recent if way.late is None else ():
                self._put(event)

    def spoil(self, how: Literal["newer", "broken"]) -> None:
        """The next camera event follows a schema of the future, or is cut in half."""
        with self._lock:
            self._spoil = how

    def _way(self, camera_id: str) -> _Way:
        return self._ways.setdefault(camera_id, _Way())

    def _frame(self, way: _Way, event: Event) -> None:
        if way.vanish:
            way.vanish -= 1
            if way.lost is not None:
                way.lost.append(event)
        elif way.late is not None:
            way.late.append(event)
        else:
            way.recent.append(event)
            self._put(event)


def _newer(event: Event) -> Event:
    document = {**json.loads(event.document), "schema": "maskwatch.camera/999", "mood": "calm"}
    return dataclasses.replace(event, document=json.dumps(document).encode())


def _broken(event: Event) -> Event:
    return dataclasses.replace(event, document=event.document[: len(event.document) // 2])
