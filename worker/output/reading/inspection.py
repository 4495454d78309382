"""Questions to Redis about a stream and a group of its readers: is something missing?

Nothing here does I/O. A question is yielded as a command, and its reply comes back where it was
yielded; so a consumer that blocks and one that awaits share all of this.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeVar

import redis

from worker.output.reading.entry import read_entry
from worker.output.reading.notices import Trimmed, UnknownSchema
from worker.output.wire import Event

T = TypeVar("T")
Command = tuple[str | bytes | int, ...]
Talk = Generator[Command, Any, T]
"""Yields commands; is sent the reply of each, or thrown its ``ResponseError``; returns a T."""

LOOK_BACK_PAGES = (8, 64, 512)
"""Entries that are looked at, page by page, for the one before: in a stream of all cameras it may
lie further back."""


def stream_of(key: bytes) -> Talk[Mapping[bytes, Any] | None]:
    """What Redis knows of a stream; None: there is none."""
    try:
        return pairs((yield ("XINFO", "STREAM", key)))
    except redis.ResponseError as error:
        if "no such key" not in str(error):
            raise
        return None


def group_of(key: bytes, group: bytes) -> Talk[Mapping[bytes, Any] | None]:
    """What Redis knows of a group on a stream; None: there is none."""
    try:
        groups = yield ("XINFO", "GROUPS", key)
    except redis.ResponseError as error:
        if "no such key" not in str(error):
            raise
        return None
    return next((g for g in map(pairs, groups) if g[b"name"] == group), None)


def trimmed_unread(
    key: bytes, stream: Mapping[bytes, Any], group: Mapping[bytes, Any]
) -> Talk[Trimmed | None]:
    """Were entries trimmed before the group read them? It is told once, to one member.

    Redis counts what was added to a stream and, since 7.0, what a group has read. So of those
    that are gone it is known how many were read, once the group's last entry is gone too.
    """
    first = stream[b"first-entry"]
    before = _before(first[0]) if first else stream[b"last-generated-id"]
    if order(group[b"last-delivered-id"]) >= order(before):
        return None
    added, read = stream.get(b"entries-added"), group.get(b"entries-read")
    if read is None and group[b"last-delivered-id"] == b"0-0":
        read = 0
    gone = None if added is None else added - stream[b"length"]
    count = None if gone is None or read is None else gone - read
    if count is not None and count <= 0:
        return None
    # Redis 7.0 doesn't count what a group skips: it would be told again at each start.
    counted = () if gone is None else ("ENTRIESREAD", gone)
    yield ("XGROUP", "SETID", key, group[b"name"], before, *counted)
    return Trimmed(key.decode(), count)


def first_missing(
    key: bytes, group: bytes, entry_id: bytes, event: Event, highest: int | None
) -> Talk[int]:
    """The first number missing before this event; its own where nothing is, or none can tell.

    The stream itself says so, whichever member has read what came before. Where it doesn't reach
    back that far, the highest number that came here counts, but only if nobody else reads.
    """
    end = entry_id
    for count in LOOK_BACK_PAGES:
        entries = yield ("XREVRANGE", key, b"(" + end, "-", "COUNT", count)
        for earlier_id, fields in entries:
            found = read_entry(key.decode(), earlier_id.decode(), pairs(fields))
            earlier = found.head if isinstance(found, UnknownSchema) else found
            if isinstance(earlier, Event) and _same_source(earlier, event):
                missing = earlier.seq + 1 if earlier.run_id == event.run_id else 0
                return min(missing, event.seq)
        if len(entries) < count:
            break
        end = entries[-1][0]
    if highest is None:
        return event.seq
    known = yield from group_of(key, group)
    return highest + 1 if known is not None and known[b"consumers"] <= 1 else event.seq


def _same_source(one: Event, other: Event) -> bool:
    return (one.worker_id, one.camera_id) == (other.worker_id, other.camera_id)


def pairs(flat: Sequence[Any]) -> dict[bytes, Any]:
    """A map as Redis sends it: key, value, key, value."""
    words = iter(flat)
    return dict(zip(words, words, strict=True))


def order(entry_id: bytes) -> tuple[int, int]:
    """An entry's id as it is to be compared."""
    ms, _, n = entry_id.partition(b"-")
    return int(ms), int(n or 0)


def _before(entry_id: bytes) -> bytes:
    """The id just before this one."""
    ms, n = order(entry_id)
    return b"%d-%d" % ((ms, n - 1) if n else (max(ms - 1, 0), (1 << 64) - 1))
