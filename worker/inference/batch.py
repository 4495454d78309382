"""Crops of all cameras to batches, by size or by deadline."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Batcher(Generic[T]):
    """A bounded hand-over from the detection threads to the one that owns the device.

    A batch leaves when ``size`` items wait, or ``wait_s`` after the oldest came in. Nothing
    is ever dropped here: each camera has one frame in flight and a frame has a largest number
    of faces, which bounds what can wait.

    Args:
        size: items of the largest batch.
        wait_s: longest time that an item waits for others.
    """

    def __init__(self, size: int, wait_s: float) -> None:
        self._size = size
        self._wait_s = wait_s
        self._items: deque[T] = deque()
        self._oldest_s = 0.0
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Sequence[T]) -> None:
        """Add the items of one frame. Never blocks."""
        with self._changed:
            if not self._items:
                self._oldest_s = time.monotonic()
            self._items.extend(items)
            self._changed.notify()

    def take(self) -> list[T]:
        """The next batch; blocks until there is one. Empty once closed and drained."""
        with self._changed:
            while not self._due():
                self._changed.wait(self._patience_s())
            batch = [self._items.popleft() for _ in range(min(self._size, len(self._items)))]
            self._oldest_s = time.monotonic()
            return batch

    def close(self) -> None:
        """Let what waits leave at once, and end ``take`` after it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _due(self) -> bool:
        if self._closed or len(self._items) >= self._size:
            return True
        return bool(self._items) and self._patience_s() == 0

    def _patience_s(self) -> float | None:
        """Time left to the deadline; None while nothing waits."""
        if not self._items:
            return None
        return max(0.0, self._oldest_s + self._wait_s - time.monotonic())
