"""What this life of the worker would leave to its next one, should it end without a word."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from worker.output.backlog import Waiting
from worker.output.event import Event
from worker.output.wire import EventType
from worker.records import CameraState

NAMED_BY: Mapping[EventType, str] = {
    "track": "track_id",
    "violation": "violation_id",
    "rule": "rule_id",
}
"""Events that begin something or end it, and the field that names it."""

ROUNDING_S = 0.002
"""Times in documents have whole milliseconds."""

EndReason = Literal["stopped", "killed"]


class Unwatched(NamedTuple):
    """A camera that was watched until ``since``, and not from then on, for ``reason``."""

    camera_id: str
    since: float
    reason: EndReason


class Open(NamedTuple):
    """The newest document of a track, a violation or a broken rule that was not ended."""

    name: str
    type: EventType
    camera_id: str
    document: bytes


@dataclass(frozen=True, slots=True)
class Former:
    """What the life before this one left; nothing, where there was none.

    Attributes:
        died_at: when it was last known to live, seconds since the epoch.
        open: what it did not end, in the order of its begin.
    """

    died_at: float = 0.0
    unwatched: tuple[Unwatched, ...] = ()
    open: tuple[Open, ...] = ()


@dataclass(slots=True)
class Page:
    """What was noted since the last page, by camera and by name; None: it has ended.

    Attributes:
        held: events that wait for this page to be in the file.
    """

    watched_until: dict[str, float] = field(default_factory=dict)
    states: dict[str, CameraState] = field(default_factory=dict)
    open: dict[str, Open | None] = field(default_factory=dict)
    held: list[Waiting] = field(default_factory=list)

    @property
    def urgent(self) -> bool:
        """True where waiting for the next beat would lose more than a moment."""
        return bool(self.open)


class Journal:
    """Notes what is known for sure: of events that are published, or lie on disk.

    A camera was watched until its newest frame event. One that this life found unwatched counts
    as such until a gap event has told of it, so that a second death loses no gap.

    Not thread-safe: whoever calls holds the backlog's lock.

    Args:
        unwatched: the cameras that the life before left so.
        open: names of what it left open.
    """

    def __init__(self, unwatched: Iterable[Unwatched] = (), open: Iterable[Open] = ()) -> None:  # noqa: A002
        self.page = Page()
        self._unwatched = {camera.camera_id: camera.since for camera in unwatched}
        self._watched_until: dict[str, float] = {}
        self._in_file = {one.name for one in open}

    def note(self, event: Event) -> None:
        """An event is published, or on disk."""
        if event.type == "frame":
            if event.camera_id not in self._unwatched:
                self._watch(event.camera_id, event.captured_at)
        elif event.type == "gap":
            self._note_gap(event)
        elif event.type in NAMED_BY:
            self._note_open(event)

    def begins(self, waiting: Waiting) -> bool:
        """Note what begins something before it is published, so that it cannot stay open unknown.

        An end is noted afterwards, like all else: it may come twice then, but not never.
        """
        event = waiting.event
        if event.type not in NAMED_BY or json.loads(event.document)["phase"] != "start":
            return False
        waiting.noted = True
        self.note(event)
        self.page.held.append(waiting)
        return True

    def state(self, camera_id: str, state: CameraState) -> None:
        """What a camera is doing; of one that has ended, no gap will be told."""
        self.page.states[camera_id] = state

    def turn(self) -> Page:
        """The page, for the file; a new one begins."""
        page, self.page = self.page, Page()
        return page

    def kept(self, page: Page) -> None:
        """It is in the file."""
        for name, entry in page.open.items():
            if entry is None:
                self._in_file.discard(name)
            else:
                self._in_file.add(name)

    def put_back(self, page: Page) -> None:
        """It is not: it goes with the next one."""
        newer = self.page
        known = {
            name: entry
            for name, entry in (page.open | newer.open).items()
            if entry is not None or name in self._in_file
        }
        self.page = Page(
            page.watched_until | newer.watched_until, page.states | newer.states, known
        )

    def _watch(self, camera_id: str, until: float) -> None:
        self.page.watched_until[camera_id] = self._watched_until[camera_id] = until

    def _note_gap(self, event: Event) -> None:
        """Time that was told to be unwatched is accounted for as well as any other."""
        gap = json.loads(event.document)
        begin, end = (datetime.fromisoformat(gap[key]).timestamp() for key in ("from", "to"))
        since = self._unwatched.get(event.camera_id)
        if since is not None and begin <= since + ROUNDING_S:
            del self._unwatched[event.camera_id]
            since = None
        if since is None and end > self._watched_until.get(event.camera_id, 0.0):
            self._watch(event.camera_id, end)

    def _note_open(self, event: Event) -> None:
        fields = json.loads(event.document)
        name = fields[NAMED_BY[event.type]]
        ends = fields["phase"] == "end"
        entry = None if ends else Open(name, event.type, event.camera_id, event.document)
        self.page.open[name] = entry
