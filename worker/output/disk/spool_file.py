"""The spool's file: events by row, in a SQLite database of this process alone."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from worker.output.event import Event
from worker.output.wire import EventType, Stream

PAGE_BYTES = 8_192
"""Four frame events with five faces fill one; of 4 kB pages, two of them waste a quarter."""

LOG_PAGES = 500
"""Pages of the write-ahead log after which it is written back, and begun anew: 4 MB."""

LOG_ROOM_BYTES = 16_000_000
"""Most that the log takes: what it had before a commit, and the largest commit."""

SPARE_PAGES = 128
"""Free pages that are kept, for the journal and the next short outage: 1 MB."""

LOCK_WAIT_S = 2.0
"""How long a worker that is being replaced may take to let go of the file."""

STREAMS: tuple[Stream, ...] = ("alerts", "compliance", "frames")

FaultReason = Literal["full", "corrupt", "busy", "unwritable"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS {stream} (
    row INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    camera_id TEXT NOT NULL,
    type TEXT NOT NULL,
    seq INTEGER NOT NULL,
    captured_at REAL NOT NULL,
    document BLOB NOT NULL
)
"""
_COUNTS = """
CREATE TABLE IF NOT EXISTS counts (
    stream TEXT NOT NULL, type TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (stream, type)
) WITHOUT ROWID
"""
_COLUMNS = "row, run_id, camera_id, type, seq, captured_at, document"


class SpoolFile:
    """Reads and writes; it neither waits nor tries again, it raises ``sqlite3.Error``.

    One connection, used by one thread at a time, with the file locked for as long as it is open.
    Rows of a stream count up and are never given twice while the file is open.

    A commit is handed to the operating system and not waited for (``synchronous=NORMAL``), so
    that it survives the end of this process; ``sync`` makes the next one survive that of the
    machine.

    Args:
        path: the file; made where it is missing.
        max_bytes: most that it takes on disk, its log included.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.limit_bytes = max_bytes - LOG_ROOM_BYTES
        self.connection = sqlite3.connect(
            path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self) -> None:
        ask = self.connection.execute
        for pragma in (
            "locking_mode = EXCLUSIVE",
            f"page_size = {PAGE_BYTES}",
            "auto_vacuum = INCREMENTAL",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            f"wal_autocheckpoint = {LOG_PAGES}",
            f"journal_size_limit = {LOG_PAGES * PAGE_BYTES}",
        ):
            ask(f"PRAGMA {pragma}").fetchall()
        self._page_bytes = self._number("page_size")
        # A second belt: whatever is counted wrongly here, the file does not outgrow its bound.
        self._pages = self.limit_bytes // self._page_bytes
        ask(f"PRAGMA max_page_count = {self._pages}").fetchall()
        with self.transaction():
            for stream in STREAMS:
                ask(_SCHEMA.format(stream=stream))
            ask(_COUNTS)
        self._next_row = {stream: self._last_row(stream) + 1 for stream in STREAMS}

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it, or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # some faults have rolled back by themselves
                self.connection.execute("ROLLBACK")
            raise

    def add(self, events: Sequence[Event]) -> list[int]:
        """Write events, in this order; the row of each. In a transaction of the caller's."""
        rows = []
        for stream, of_stream in groupby(events, key=lambda event: event.stream):
            values = []
            for event in of_stream:
                row = self._next_row[stream]
                self._next_row[stream] += 1
                values.append((row, *_values(event)))
                rows.append(row)
            self.connection.executemany(
                f"INSERT INTO {stream} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                values,
            )
        self._count(Counter((event.stream, event.type) for event in events))
        return rows

    def read(self, stream: Stream, after: int, limit: int) -> list[tuple[int, Event]]:
        """The oldest rows above ``after``."""
        found = self.connection.execute(
            f"SELECT {_COLUMNS} FROM {stream} WHERE row > ? ORDER BY row LIMIT ?",  # noqa: S608
            (after, limit),
        )
        return [(values[0], _event(stream, values)) for values in found]

    def delete(self, stream: Stream, rows: Collection[int]) -> None:
        """Delete rows. In a transaction of the caller's."""
        types = self._types(stream, rows)
        self.connection.executemany(
            f"DELETE FROM {stream} WHERE row BETWEEN ? AND ?",  # noqa: S608
            list(_ranges(rows)),
        )
        self._count({(stream, kind): -count for kind, count in types.items()})

    def _types(self, stream: Stream, rows: Collection[int]) -> Counter[EventType]:
        """How many of the rows are of each type."""
        if stream != "alerts":
            return Counter({"frame" if stream == "frames" else "compliance": len(rows)})
        found: Counter[EventType] = Counter()
        for first, last in _ranges(rows):
            asked = "SELECT type, count(*) FROM alerts WHERE row BETWEEN ? AND ? GROUP BY type"
            found.update(dict(self.connection.execute(asked, (first, last)).fetchall()))
        return found

    def counts(self) -> dict[Stream, Counter[EventType]]:
        """How many events of each type wait in each stream, without looking at them all."""
        found: dict[Stream, Counter[EventType]] = {stream: Counter() for stream in STREAMS}
        for stream, kind, count in self.connection.execute("SELECT * FROM counts WHERE count > 0"):
            found[stream][kind] = count
        return found

    @property
    def used_bytes(self) -> int:
        """What is taken within the file."""
        return (self._number("page_count") - self._number("freelist_count")) * self._page_bytes

    def shrink(self, pages: int) -> None:
        """Give so many pages back to the disk, if so many are free."""
        if self._number("freelist_count") > SPARE_PAGES:
            # Each step of it frees one page; a script is stepped to its end.
            self.connection.executescript(f"PRAGMA incremental_vacuum({pages})")
            self.connection.execute("PRAGMA wal_checkpoint").fetchall()  # it truncates the file

    def sync(self, on: bool) -> None:
        """Whether a commit waits until the disk has it, and all that came before it."""
        self.connection.execute(f"PRAGMA synchronous = {'FULL' if on else 'NORMAL'}")

    def rewind(self) -> None:
        """Write the log back, so that the next commit needs no more room for it."""
        self.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def close(self) -> None:
        """Write the log back, and let go of the file."""
        self.connection.close()

    def _number(self, pragma: str) -> int:
        return int(self.connection.execute(f"PRAGMA {pragma}").fetchone()[0])

    def _last_row(self, stream: Stream) -> int:
        found = self.connection.execute(f"SELECT max(row) FROM {stream}").fetchone()  # noqa: S608
        return int(found[0] or 0)

    def _count(self, more: Mapping[tuple[Stream, EventType], int]) -> None:
        self.connection.executemany(
            "INSERT INTO counts VALUES (?, ?, ?) "
            "ON CONFLICT (stream, type) DO UPDATE SET count = count + excluded.count",
            [(stream, kind, count) for (stream, kind), count in more.items()],
        )


def fault_of(error: sqlite3.Error) -> FaultReason:
    """The bounded reason: no room, a file that is no database any more, or else."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB) & 0xFF  # none: it is closed
    match code:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return "corrupt"
        case sqlite3.SQLITE_FULL:
            return "full"
        case sqlite3.SQLITE_BUSY:
            return "busy"
        case _:
            return "unwritable"


def set_aside(path: Path, now: float) -> None:
    """Rename a broken file and its log, for whoever wants to look; only the newest is kept.

    Raises:
        OSError: it cannot be renamed.
    """
    for older in path.parent.glob(f"{path.name}*.corrupt-*"):
        older.unlink()
    mark = time.strftime("corrupt-%Y%m%dT%H%M%SZ", time.gmtime(now))
    for suffix in ("", "-wal"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(part.with_name(f"{part.name}.{mark}"))


def _values(event: Event) -> tuple[str, str, str, int, float, bytes]:
    run_id = event.event_id.partition(":")[0]
    return run_id, event.camera_id, event.type, event.seq, event.captured_at, event.document


def _event(stream: Stream, values: tuple[Any, ...]) -> Event:
    """The event as it was, but for its monotonic second, which may be of another life."""
    _, run_id, camera_id, kind, seq, captured_at, document = values
    event_id = f"{run_id}:{stream}:{camera_id}:{seq}"
    return Event(stream, camera_id, kind, seq, event_id, document, float("-inf"), captured_at)


def _ranges(rows: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Numbers as ranges, first and last."""
    for _, run in groupby(enumerate(sorted(rows)), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        yield numbers[0], numbers[-1]
