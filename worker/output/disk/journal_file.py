"""The journal's tables, in the file of the spool."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple

from worker.output.disk.journal import EndReason, Former, Open, Page, Unwatched
from worker.output.event import Loss

_TABLES = (
    "CREATE TABLE IF NOT EXISTS runs ("
    "run_id TEXT PRIMARY KEY, started_at REAL NOT NULL, beat_at REAL NOT NULL, stopped_at REAL)",
    "CREATE TABLE IF NOT EXISTS cameras ("
    "camera_id TEXT PRIMARY KEY, watched_until REAL, state TEXT, reason TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS open ("
    "name TEXT PRIMARY KEY, type TEXT NOT NULL, camera_id TEXT NOT NULL, document BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS losses ("
    "camera_id TEXT, stream TEXT, first_seq INTEGER, last_seq INTEGER, count INTEGER, "
    "reason TEXT, run_id TEXT)",
)


class JournalFile:
    """Reads and writes; every method raises ``sqlite3.Error``. Transactions are the caller's.

    Args:
        connection: that of the spool's file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        for table in _TABLES:
            connection.execute(table)

    def former(self) -> Former:
        """What the life before left."""
        ask = self._connection.execute
        run = ask("SELECT beat_at, stopped_at FROM runs ORDER BY started_at DESC").fetchone()
        if run is None:
            return Former()
        died_at = float(run[1] or run[0])
        unwatched = [
            # A camera that was off was not expected to be watched until the worker itself ended.
            Unwatched(
                camera_id,
                died_at if state == "off" and not reason else until,
                reason or _ended(run[1]),
            )
            for camera_id, until, state, reason in ask(
                "SELECT camera_id, watched_until, state, reason FROM cameras "
                "WHERE watched_until IS NOT NULL AND coalesce(state, '') <> 'ended'"
            )
        ]
        left = ask("SELECT name, type, camera_id, document FROM open ORDER BY rowid")
        return Former(died_at, tuple(unwatched), tuple(Open(*one) for one in left))

    def untold(self) -> list[Loss]:
        """Losses that no event has told of."""
        found = self._connection.execute("SELECT * FROM losses")
        return [Loss(*values) for values in found]

    def begin(self, run_id: str, now: float, former: Former) -> None:
        """A life begins; what the former one left is kept until it is told."""
        write = self._connection.execute
        write("DELETE FROM runs")
        write("INSERT INTO runs VALUES (?, ?, ?, NULL)", (run_id, now, now))
        write("DELETE FROM cameras")
        self._connection.executemany("INSERT INTO cameras VALUES (?, ?, NULL, ?)", former.unwatched)

    def beat(self, run_id: str, now: float) -> None:
        """It lives."""
        self._connection.execute("UPDATE runs SET beat_at = ? WHERE run_id = ?", (now, run_id))

    def end(self, run_id: str, now: float) -> None:
        """It ends in order."""
        self._connection.execute("UPDATE runs SET stopped_at = ? WHERE run_id = ?", (now, run_id))

    def write(self, page: Page) -> None:
        """Keep what a page says."""
        write = self._connection.executemany
        write(
            "INSERT INTO cameras VALUES (?, ?, NULL, NULL) ON CONFLICT (camera_id) "
            "DO UPDATE SET watched_until = excluded.watched_until, reason = NULL",
            page.watched_until.items(),
        )
        write(
            "INSERT INTO cameras VALUES (?, NULL, ?, NULL) ON CONFLICT (camera_id) "
            "DO UPDATE SET state = excluded.state",
            page.states.items(),
        )
        write(
            "INSERT INTO open VALUES (?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET document = excluded.document",
            [entry for entry in page.open.values() if entry],
        )
        write(
            "DELETE FROM open WHERE name = ?",
            [(name,) for name, entry in page.open.items() if entry is None],
        )

    def keep_losses(self, untold: Iterable[Loss]) -> None:
        """All losses that no event has told of so far."""
        self._connection.execute("DELETE FROM losses")
        self._connection.executemany(
            "INSERT INTO losses VALUES (?, ?, ?, ?, ?, ?, ?)",
            [astuple(one) for one in untold],
        )


def _ended(stopped_at: float | None) -> EndReason:
    return "killed" if stopped_at is None else "stopped"
