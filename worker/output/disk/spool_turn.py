"""A turn of the spool: memory to the file, what is settled out of it, the next of it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from worker.output.backlog import WINDOW, Backlog, Waiting, by_type
from worker.output.disk.journal import Former, Journal, Page
from worker.output.disk.journal_file import JournalFile
from worker.output.disk.spool_file import SpoolFile
from worker.output.listener import SpoolListener
from worker.output.losses import LossLedger
from worker.output.wire import Stream

WRITE_AFTER_S = 0.04
"""An event that Redis has not confirmed after so long is written to disk."""

BEAT_S = 1.0
"""How often the journal is written, and what was spooled made to survive a loss of power."""

COMMIT_EVENTS = 2_000
COMMIT_BYTES = 4_000_000
ROW_BYTES = 128
"""What a row takes beside its document, generously."""

DROP_EVENTS = 500
SHRINK_PAGES = 2_000
STREAMS: tuple[Stream, ...] = ("frames", "compliance", "alerts")
"""In the order in which they are dropped from where there is no room."""


class SpoolTurn:
    """The steps of a turn; each only raises ``sqlite3.Error``, and has changed nothing then.

    Args:
        file, records: where it is written to.
        backlog, losses: shared with the publisher, under the backlog's lock; so is ``journal``.
        former: the life before; ``run_id`` is this one.
        listener: who counts.
        clock: monotonic seconds; ``wall``: seconds since the epoch.
    """

    def __init__(
        self,
        file: SpoolFile,
        records: JournalFile,
        backlog: Backlog,
        losses: LossLedger,
        journal: Journal,
        *,
        former: Former,
        run_id: str,
        listener: SpoolListener,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._file = file
        self._records = records
        self._backlog = backlog
        self._losses = losses
        self._journal = journal
        self._run_id = run_id
        self._listener = listener
        self._clock = clock
        self._wall = wall
        self._former = former
        self._begun = False
        self._beat_s = float("-inf")
        self._unsynced = False

    def due_s(self) -> float:
        """The monotonic second at which the next turn has something to do; the lock is held."""
        if self._journal.page.urgent or any(map(self._backlog.wants_refill, STREAMS)):
            return float("-inf")
        oldest_s = self._backlog.oldest_in_memory_s()
        beat_s = self._beat_s + BEAT_S
        return beat_s if oldest_s is None else min(beat_s, oldest_s + WRITE_AFTER_S)

    def delete(self) -> None:
        """Delete what is published or given up; keep in mind which losses are still to be told."""
        with self._backlog.lock:
            gone = self._backlog.gone()
            untold = self._losses.untold() if self._losses.changed else None
            self._losses.changed = False
        if not gone and untold is None:
            return
        try:
            with self._file.transaction():
                for stream, rows in gone.items():
                    self._file.delete(stream, rows)
                if untold is not None:
                    self._records.keep_losses(untold)
        except sqlite3.Error:
            with self._backlog.lock:
                self._losses.changed |= untold is not None
            raise
        with self._backlog.lock:
            self._backlog.deleted(gone)

    def write(self, *, everything: bool = False) -> None:
        """Write what has waited for too long, and what was noted; once a second, that we live."""
        now_s = self._clock()
        beat = now_s - self._beat_s >= BEAT_S
        if not self._begun:
            with self._file.transaction():
                self._records.begin(self._run_id, self._wall(), self._former)
            self._begun = True
        with self._backlog.lock:
            oldest_s = self._backlog.oldest_in_memory_s()
            waited = oldest_s is not None and now_s - oldest_s >= WRITE_AFTER_S
            batch = self._batch() if waited or everything else []
            if not (batch or beat or everything or self._journal.page.urgent):
                return
            for waiting in batch:
                if not waiting.noted:
                    waiting.noted = True
                    self._journal.note(waiting.event)
            page = self._journal.turn()
        try:
            self._make_room(sum(len(w.event.document) + ROW_BYTES for w in batch))
            rows = self._commit(batch, page, beat=beat)
        except sqlite3.Error:
            with self._backlog.lock:
                self._journal.put_back(page)
                self._backlog.release(page.held)
            raise
        with self._backlog.lock:
            self._backlog.written(list(zip(batch, rows, strict=True)))
            self._journal.kept(page)
            self._backlog.release(page.held)
        if beat:
            self._beat_s = now_s
            if not self._backlog.on_disk:
                self._file.shrink(SHRINK_PAGES)

    def refill(self) -> None:
        """Read back what comes next, where little of it is in memory."""
        for stream in STREAMS:
            with self._backlog.lock:
                if not self._backlog.wants_refill(stream):
                    continue
                after = self._backlog.read_row(stream)
            rows = self._file.read(stream, after, WINDOW)
            with self._backlog.lock:
                missing = self._backlog.refilled(stream, rows, last=len(rows) < WINDOW)
                for kind, count in missing.items():
                    self._listener.lost(kind, "spool_lost", count)
                self._backlog.changed.notify_all()

    def end(self) -> None:
        """Write all that is left in memory, and that this life ends in order."""
        self.delete()
        while True:
            self.write(everything=True)
            with self._backlog.lock:
                if not self._backlog.in_memory:
                    break
        with self._file.transaction():
            self._records.end(self._run_id, self._wall())

    def _commit(self, batch: list[Waiting], page: Page, *, beat: bool) -> list[int]:
        durable = beat and (self._unsynced or bool(batch))
        if durable:
            self._file.sync(True)
        try:
            with self._file.transaction():
                rows = self._file.add([waiting.event for waiting in batch])
                self._records.write(page)
                if beat:
                    self._records.beat(self._run_id, self._wall())
        finally:
            if durable:
                self._file.sync(False)
        self._unsynced = not durable and (self._unsynced or bool(batch))
        return rows

    def _batch(self) -> list[Waiting]:
        """The oldest in memory, as many as a commit takes."""
        batch: list[Waiting] = []
        size = 0
        for waiting in self._backlog.left()[:COMMIT_EVENTS]:
            size += len(waiting.event.document) + ROW_BYTES
            if batch and size > COMMIT_BYTES:
                break
            batch.append(waiting)
        return batch

    def _make_room(self, needed: int) -> None:
        """Drop the oldest of the least important, until there is room or nothing more to drop."""
        while needed and self._file.used_bytes + needed * 5 // 4 > self._file.limit_bytes:
            if not self._drop():
                break

    def _drop(self) -> bool:
        for stream in STREAMS:
            with self._backlog.lock:
                after = self._backlog.read_row(stream)
                behind = self._backlog.behind(stream)
            if not behind:
                continue
            rows = self._file.read(stream, after, DROP_EVENTS)
            with self._backlog.lock:
                lost = self._backlog.dropped(stream, rows)
                for event in lost:
                    self._losses.note(event, "spool_full")
                for kind, count in by_type(lost).items():
                    self._listener.lost(kind, "spool_full", count)
            self.delete()
            return bool(rows)
        return False
