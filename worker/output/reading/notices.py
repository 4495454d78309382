"""What a consumer is told beside the events: that something is missing, odd, or begins anew.

Each is a record to act on and, as text, a sentence for a log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from worker.output.wire import Event, GapEvent, LossEvent, Stream

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hole:
    """Events of one camera that never came: ``first_seq`` to ``last_seq``, both missing.

    Told by whichever member of the group gets the event after the hole, just before that event.
    """

    stream: Stream
    camera_id: str
    run_id: str
    first_seq: int
    last_seq: int

    def __str__(self) -> str:
        return (
            f"{self.last_seq - self.first_seq + 1} events of camera {self.camera_id} are missing "
            f"from {self.stream}: seq {self.first_seq} to {self.last_seq} of run {self.run_id}"
        )


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Entries of a stream that Redis let go, for their age, before this group was done with them.

    Attributes:
        key: the stream in Redis.
        count: how many; None where the server doesn't count (before Redis 7), and then perhaps
            none.
        taken: they had been handed to a consumer of the group, which never acknowledged them.
    """

    key: str
    count: int | None
    taken: bool = False

    def __str__(self) -> str:
        many = "an unknown number of" if self.count is None else str(self.count)
        how = "acknowledged" if self.taken else "read"
        return f"{many} entries of {self.key} were trimmed for their age before they were {how}"


@dataclass(frozen=True, slots=True)
class GroupLost:
    """Redis had forgotten the group: it lost its data, or somebody removed the group or stream.

    The group was made anew at the beginning of the stream. What was there before may be lost
    unread; what is still there may come again.
    """

    key: str
    group: str

    def __str__(self) -> str:
        return (
            f"Redis had lost the group {self.group} of {self.key}; it was made anew, and events "
            "may be missing or come again"
        )


@dataclass(frozen=True, slots=True)
class NewRun:
    """A worker was started anew; its ``seq`` count from 0 again, its track ids are others."""

    worker_id: str
    run_id: str
    previous_run_id: str

    def __str__(self) -> str:
        return f"worker {self.worker_id} was started anew, as run {self.run_id}"


@dataclass(frozen=True, slots=True)
class EventsLost:
    """The worker itself says that events were lost; the loss event comes as well."""

    event: LossEvent

    def __str__(self) -> str:
        event = self.event
        return (
            f"the worker lost {event.count} events of {event.stream} of camera {event.camera_id}, "
            f"seq {event.first_seq} to {event.last_seq} of run {event.of_run_id or event.run_id} "
            f"({event.reason})"
        )


@dataclass(frozen=True, slots=True)
class NotWatched:
    """A camera was not watched for a time; the gap event comes as well."""

    event: GapEvent

    def __str__(self) -> str:
        event = self.event
        return (
            f"camera {event.camera_id} was not watched from {event.from_} to {event.to} "
            f"({event.reason})"
        )


@dataclass(frozen=True, slots=True)
class UnknownSchema:
    """A document of a newer schema than this library knows: install a newer one.

    Attributes:
        schema: as the document names it, such as ``maskwatch.frame/2``.
        document: the document itself, JSON.
        head: what every event begins with; None where the document doesn't.
    """

    key: str
    entry_id: str
    schema: str
    document: bytes
    head: Event | None

    def __str__(self) -> str:
        return (
            f"entry {self.entry_id} of {self.key} follows {self.schema[:80]!r}, which this version "
            "does not know; install a newer maskwatch"
        )


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry that holds no event: broken JSON, no document at all, a field of a wrong type.

    Attributes:
        document: what is in its field ``event``; empty where there is none.
        fault: what is wrong, without the document's words.
    """

    key: str
    entry_id: str
    document: bytes
    fault: str

    def __str__(self) -> str:
        return f"entry {self.entry_id} of {self.key} is no event: {self.fault}"


Notice = Hole | Trimmed | GroupLost | NewRun | EventsLost | NotWatched | UnknownSchema | Unreadable


def log_notice(notice: Notice) -> None:
    """What is done with a notice where nothing else is asked for: a warning in the log."""
    log.warning("%s", notice)
