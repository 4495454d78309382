"""What Redis does not take at once goes to disk, and from there in order when it does.

One thread runs ``Spool.run``, and it alone touches the file while it runs. Whatever hangs in
the publisher's socket, an event that is not confirmed in time is written; while Redis is prompt
nothing is, but for the journal.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from worker.errors import ConfigError
from worker.output.backlog import Backlog, Waiting
from worker.output.disk.journal import Former, Journal
from worker.output.disk.journal_file import JournalFile
from worker.output.disk.spool_file import FaultReason, SpoolFile, fault_of, set_aside
from worker.output.disk.spool_turn import WRITE_AFTER_S, SpoolTurn
from worker.output.listener import SpoolListener
from worker.output.losses import LossLedger

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""Pause after the disk refused."""

HOLD_S = 0.25
"""Longest time that the beginning of something waits for the journal to know of it."""

FILE = "spool.db"


class Spool:
    """The spool of one worker: its file, its thread, and its faults.

    Args:
        folder: the worker's own; made where it is missing.
        max_mb: most that the file takes, in units of 1,000,000 bytes.
        run_id: this life.
        listener: who counts.
        clock: monotonic seconds; what events are queued by.
        wall: seconds since the epoch.

    Raises:
        ConfigError: the folder cannot be written to, or another worker uses it.

    Attributes:
        former: what the life before left, to be told by this one.
        journal: what this one would leave; under the backlog's lock.
        used_bytes: what is taken of ``limit_bytes``.
        fault: why the disk takes nothing; empty while it does.
    """

    def __init__(
        self,
        folder: Path,
        max_mb: int,
        *,
        run_id: str,
        listener: SpoolListener,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = folder / FILE
        self._max_bytes = max_mb * 1_000_000
        self._run_id = run_id
        self._listener = listener
        self._clock = clock
        self._wall = wall
        make_folder(folder)
        self._file = self._open()
        records = JournalFile(self._file.connection)
        self.former = records.former()
        self.journal = Journal(self.former.unwatched, self.former.open)
        self.used_bytes = self._file.used_bytes
        self.limit_bytes = self._file.limit_bytes
        self._records = records
        self._turn: SpoolTurn
        self._backlog: Backlog
        self._losses: LossLedger
        self._wake: threading.Condition
        self._asleep = self._closing = self._running = False
        self._ended = threading.Event()
        self.fault = ""
        self._up = True
        self._retry_s = float("-inf")

    def attach(self, backlog: Backlog, losses: LossLedger) -> None:
        """Work on this backlog from now on; what earlier runs left comes before all else."""
        self._backlog, self._losses = backlog, losses
        self._wake = threading.Condition(backlog.lock)
        self._turn = self._make_turn(self._records, self.former)
        for stream, counts in self._file.counts().items():
            backlog.found(stream, counts)
            for kind, count in counts.items():
                self._listener.recovered(kind, count)
        losses.restore(self._records.untold())
        if backlog.on_disk:
            log.info("%d events of earlier runs wait in %s, and go first", len(backlog), self._path)
        self._listener.disk(True, None)

    def notify(self) -> None:
        """Something was queued, or taken. The caller holds the backlog's lock."""
        if self._asleep:
            self._wake.notify()

    def announce(self, waiting: Waiting) -> None:
        """An event is to be queued: what begins something is noted first, if the disk is prompt.

        The caller holds the backlog's lock.
        """
        if self._up and self._running and self.journal.begins(waiting):
            waiting.held_until_s = waiting.queued_s + HOLD_S
            self._wake.notify()

    def replayed(self, kind: str) -> None:
        """An event was published that had lain on disk. The caller holds the backlog's lock."""
        self._listener.replayed(kind)

    def run(self) -> None:
        """Write and read back until ``close``, whatever the disk does."""
        self._running = True
        try:
            while self._wait():
                self.turn()
        finally:
            self._end()
            self._ended.set()

    def close(self, timeout_s: float) -> bool:
        """Write what is left, note an ordered end, and let go of the file.

        Returns:
            True once that is done; False where it takes longer, and goes on.
        """
        with self._backlog.lock:
            self._closing = True
            self._wake.notify_all()
        if self._running:
            self._ended.wait(timeout_s)
        elif not self._ended.is_set():
            self._end()
            self._ended.set()
        return self._ended.is_set()

    def turn(self) -> None:
        """Delete what is settled, write what has waited for too long, read on."""
        try:
            self._turn.delete()
            self._turn.write()
            self._turn.refill()
            self.used_bytes = self._file.used_bytes
        except sqlite3.Error as error:
            self._refused(error)
        else:
            if not self._up:
                log.info("%s takes events again", self._path)
                self._up, self.fault = True, ""
                self._listener.disk(True, None)

    def _wait(self) -> bool:
        """Wait until there is something to do; False once it is closing."""
        with self._backlog.lock:
            while not self._closing:
                now_s = self._clock()
                due_s = self._turn.due_s() if self._up else self._retry_s
                if due_s <= now_s:
                    return True
                self._asleep = due_s - now_s > WRITE_AFTER_S
                self._wake.wait(due_s - now_s)
                self._asleep = False
        return False

    def _end(self) -> None:
        try:
            self._turn.end()
        except sqlite3.Error as error:
            self._refused(error)
        self._file.close()

    def _make_turn(self, records: JournalFile, former: Former) -> SpoolTurn:
        return SpoolTurn(
            self._file,
            records,
            self._backlog,
            self._losses,
            self.journal,
            former=former,
            run_id=self._run_id,
            listener=self._listener,
            clock=self._clock,
            wall=self._wall,
        )

    # The disk refuses.

    def _refused(self, error: sqlite3.Error) -> None:
        reason = fault_of(error)
        self._retry_s = self._clock() + RETRY_S
        if self._up:
            self.fault = self._sentence(reason, error)
            log.error("%s; events wait in memory", self.fault)
            self._up = False
            self._listener.disk(False, reason)
        if reason == "corrupt":
            self._begin_anew()
            return
        with contextlib.suppress(sqlite3.Error):
            self._file.rewind()
        with contextlib.suppress(sqlite3.Error):
            self._turn.refill()  # a disk without room can still be read

    def _begin_anew(self) -> None:
        """Set the file aside. What it alone held is lost; what memory has as well is not."""
        self._file.close()
        try:
            set_aside(self._path, self._wall())
            self._file = SpoolFile(self._path, self._max_bytes)
            records = JournalFile(self._file.connection)
        except (OSError, sqlite3.Error):
            return  # the next turn finds it closed, and comes here again
        with self._backlog.lock:
            counts, known = self._backlog.disk_is_lost()
            for kind, count in counts.items():
                self._listener.lost(kind, "spool_lost", count)
            self._losses.restore(known)
        self._turn = self._make_turn(records, Former())

    def _open(self) -> SpoolFile:
        try:
            return SpoolFile(self._path, self._max_bytes)
        except sqlite3.Error as error:
            reason = fault_of(error)
            if reason != "corrupt":
                raise ConfigError(f"worker.state_dir: {self._sentence(reason, error)}") from error
            log.error("%s; what waited in it is lost", self._sentence(reason, error))  # noqa: TRY400
            self._listener.disk(False, reason)
        try:
            set_aside(self._path, self._wall())
            return SpoolFile(self._path, self._max_bytes)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"worker.state_dir: {self._path} cannot be written to ({error}); name a folder "
                "that this user may write to"
            ) from error

    def _sentence(self, reason: FaultReason, error: sqlite3.Error) -> str:
        match reason:
            case "corrupt":
                return f"{self._path} is no database any more ({error}); it is set aside"
            case "full":
                return f"the disk of {self._path} is full; free some room on it"
            case "busy":
                return (
                    f"another worker uses {self._path}; give each one a worker_id or a "
                    "state_dir of its own"
                )
            case "unwritable":
                return f"{self._path} cannot be written to ({error}); see to the disk or its rights"


def make_folder(folder: Path) -> None:
    """Make the folder of a worker's state, for its user alone.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"worker.state_dir: {folder} cannot be made ({error.strerror}); name a folder that "
            "this user may write to"
        ) from error
