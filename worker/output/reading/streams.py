"""The streams that a member of a group reads, and its group on each of them.

Nothing here does I/O: commands are yielded and replies come back, as in ``inspection``.
"""

from __future__ import annotations

from collections.abc import Callable

import redis

from worker.output.reading.delivery import Reading
from worker.output.reading.inspection import Talk, group_of, stream_of

LOOK_EVERY_S = 2.0
"""Cameras come and go while a consumer runs; their streams are looked for this often."""


class Streams:
    """Finds the streams that there are, and makes the group where it is missing.

    Args:
        reading: what is read, and as whom.
        clock: monotonic seconds.

    Attributes:
        joined: the streams on which the group is there.
    """

    def __init__(self, reading: Reading, clock: Callable[[], float]) -> None:
        self.joined: set[bytes] = set()
        self._reading = reading
        self._group = reading.group.encode()
        self._clock = clock
        self._looked_s = float("-inf")
        self._first = True

    def look(self) -> Talk[list[bytes]]:
        """Streams that were not there before; the group is on them now."""
        if self._clock() - self._looked_s < LOOK_EVERY_S:
            return []
        reading = self._reading
        keys = {f"{reading.prefix}:{name}".encode() for name in reading.streams if name != "frames"}
        if "frames" in reading.streams:
            keys |= yield from self._frame_keys()
        fresh = sorted(keys - self.joined)
        # One that appears later is read from its beginning, or its first events would be missed.
        at_end = self._first and reading.start == "new"
        for key in fresh if at_end else ():
            at_end = at_end and (yield from group_of(key, self._group)) is None
        for key in fresh:
            yield from self.join(key, at_end=at_end)
        self._looked_s, self._first = self._clock(), False
        return fresh

    def look_again(self) -> None:
        """Look at the next occasion, however lately it was done."""
        self._looked_s = float("-inf")

    def join(self, key: bytes, *, at_end: bool = False) -> Talk[None]:
        """Make the group where it is missing; two members that do so at once do no harm."""
        stream = (yield from stream_of(key)) if at_end else None
        begin, added = b"0", None
        if stream is not None:
            begin, added = stream[b"last-generated-id"], stream.get(b"entries-added")
        counted = () if added is None else ("ENTRIESREAD", added)
        try:
            yield ("XGROUP", "CREATE", key, self._group, begin, "MKSTREAM", *counted)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        yield ("XGROUP", "CREATECONSUMER", key, self._group, self._reading.name)
        self.joined.add(key)

    def _frame_keys(self) -> Talk[set[bytes]]:
        reading = self._reading
        if reading.cameras is not None:
            return {f"{reading.prefix}:frames:{camera}".encode() for camera in reading.cameras}
        found: set[bytes] = set()
        pattern = f"{reading.prefix}:frames:*"  # no character of a prefix has a meaning in it
        cursor = b"0"
        while True:
            scan = ("SCAN", cursor, "MATCH", pattern, "COUNT", 10_000, "TYPE", "stream")
            cursor, keys = yield scan
            found.update(key for key in keys if key.isascii())  # others are not a worker's
            if cursor == b"0":
                return found
