"""The hand-over from a camera's decoder to the pipeline: one place, bounded by design."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable

from worker.records import DropReason, Frame

STALE_S = 5.0
"""Age at which a live frame no longer says what the camera sees; older ones are ``expired``."""


class Slot:
    """One place for one frame: the newest wins (live), or it waits to be taken (file).

    Every frame that goes in comes out once: taken, or counted. ``on_drop`` hears of a loss at
    once, and the next frame taken carries the counts since the one before in ``dropped``;
    losses at the very end are heard by ``on_drop`` only. Both callbacks run without the
    slot's lock, on the thread that caused them.

    Args:
        live: newest wins; otherwise ``put`` waits until its frame was taken.
        on_ready: called when an empty slot got a frame; cheap, must not raise.
        on_drop: called with a reason and how many frames it was; the same.
        stale_s: age, by the monotonic clock, at which a live frame expires unread.
        monotonic: the clock that ``Frame.monotonic_s`` was read from.
    """

    def __init__(
        self,
        *,
        live: bool,
        on_ready: Callable[[], None],
        on_drop: Callable[[DropReason, int], None],
        stale_s: float = STALE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._live = live
        self._on_ready = on_ready
        self._on_drop = on_drop
        self._stale_s = stale_s
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._dropped: Counter[DropReason] = Counter()
        self._closed = False

    @property
    def ready(self) -> bool:
        """True while a frame waits to be taken."""
        return self._frame is not None

    def put(self, frame: Frame) -> None:
        """Hand a frame over.

        A live slot replaces what it holds, which counts as ``replaced``, and returns at once.
        The slot of a file blocks until the frame was taken, or the slot is closed.
        """
        self.offer(frame)
        self.wait_taken()

    def offer(self, frame: Frame) -> None:
        """The first half of ``put``; never blocks. A closed slot takes and counts nothing."""
        with self._changed:
            if self._closed:
                return
            replaced = self._frame is not None
            self._frame = frame
            if replaced:
                self._dropped["replaced"] += 1
        if replaced:
            self._on_drop("replaced", 1)
        else:
            self._on_ready()

    def wait_taken(self) -> None:
        """The second half of ``put``: for a file, block until the slot is empty or closed."""
        if self._live:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._frame is None or self._closed)

    def drop(self, reason: DropReason) -> None:
        """Count a due frame that could not be had; the next frame taken will tell of it."""
        with self._changed:
            if self._closed:
                return
            self._dropped[reason] += 1
        self._on_drop(reason, 1)

    def take(self) -> Frame | None:
        """The frame that waits, with the losses since the last one; None when empty.

        Does not block. A live frame that has waited for longer than ``stale_s`` is counted as
        ``expired`` instead.
        """
        with self._changed:
            frame = self._frame
            if frame is None:
                return None
            self._frame = None
            self._changed.notify_all()
            stale = self._live and self._monotonic() - frame.monotonic_s > self._stale_s
            if stale:
                self._dropped["expired"] += 1
            else:
                dropped = dict(self._dropped)
                self._dropped.clear()
        if stale:
            self._on_drop("expired", 1)
            return None
        return dataclasses.replace(frame, dropped=dropped) if dropped else frame

    def close(self) -> None:
        """Take nothing more and wake a blocked ``put``; idempotent.

        A frame that waits can still be taken, so that an ordered stop loses nothing.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
