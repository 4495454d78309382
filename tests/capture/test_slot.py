"""The hand-over from decoder to pipeline."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from worker.capture.slot import Slot
from worker.records import Frame


def frame(number: int = 0, at_s: float = 0.0) -> Frame:
    """A frame without pixels, told apart by its wall clock."""
    return Frame("entrance", float(number), at_s, picture=None)  # type: ignore[arg-type]


class Ears:
    """Hears what a slot calls out."""

    def __init__(self) -> None:
        self.ready = 0
        self.drops: Counter[str] = Counter()
        self.now_s = 0.0

    def slot(self, *, live: bool, **options: Any) -> Slot:
        """A slot that calls out to these ears and lives on their clock."""
        return Slot(
            live=live, on_ready=self._ready, on_drop=self._drop, monotonic=self._now, **options
        )

    def _ready(self) -> None:
        self.ready += 1

    def _drop(self, reason: str, count: int) -> None:
        self.drops[reason] += count

    def _now(self) -> float:
        return self.now_s


@pytest.fixture
def ears() -> Ears:
    """Somebody who listens."""
    return Ears()


def test_live_newest_wins_and_the_replaced_are_counted(ears: Ears) -> None:
    """Three frames put, the last one taken, and it tells of the two that it replaced."""
    slot = ears.slot(live=True)
    for number in range(3):
        slot.put(frame(number))
    taken = slot.take()
    assert taken is not None
    assert taken.captured_at == 2
    assert taken.dropped == {"replaced": 2}
    assert ears.drops == {"replaced": 2}
    assert ears.ready == 1
    assert slot.take() is None


def test_counts_start_anew_after_a_take(ears: Ears) -> None:
    """Losses are told once, by the next frame only."""
    slot = ears.slot(live=True)
    slot.drop("corrupt")
    slot.put(frame(0))
    assert slot.take().dropped == {"corrupt": 1}  # type: ignore[union-attr]
    slot.put(frame(1))
    assert slot.take().dropped == {}  # type: ignore[union-attr]


def test_a_stale_live_frame_expires(ears: Ears) -> None:
    """A frame that waited for too long is counted, not analysed, and the next one tells."""
    slot = ears.slot(live=True, stale_s=5.0)
    slot.put(frame(0, at_s=0.0))
    ears.now_s = 5.1
    assert slot.take() is None
    assert ears.drops == {"expired": 1}
    slot.put(frame(1, at_s=5.1))
    assert slot.take().dropped == {"expired": 1}  # type: ignore[union-attr]


def test_a_file_waits_until_its_frame_is_taken(ears: Ears) -> None:
    """Nothing of a file is dropped: all frames come, in order."""
    slot = ears.slot(live=False, stale_s=0.0)
    ears.now_s = 99.0
    writer = threading.Thread(target=lambda: [slot.put(frame(n)) for n in range(20)])
    writer.start()
    seen: list[float] = []
    while len(seen) < 20 and (writer.is_alive() or slot.ready):
        taken = slot.take()
        if taken is not None:
            seen.append(taken.captured_at)
            assert not taken.dropped
    writer.join(10)
    assert seen == list(range(20))
    assert not ears.drops


def test_close_wakes_a_blocked_put(ears: Ears) -> None:
    """A decoder that waits comes back at the end, and its frame is still there to be taken."""
    ready = threading.Event()
    slot = Slot(live=False, on_ready=ready.set, on_drop=lambda *_: None)
    writer = threading.Thread(target=slot.put, args=(frame(),))
    writer.start()
    assert ready.wait(10)
    slot.close()
    slot.close()
    writer.join(10)
    assert not writer.is_alive()
    assert slot.take() is not None


def test_a_closed_slot_takes_and_counts_nothing(ears: Ears) -> None:
    """After the end nothing is called out any more."""
    slot = ears.slot(live=True)
    slot.close()
    slot.put(frame())
    slot.drop("corrupt")
    assert not slot.ready
    assert (ears.ready, ears.drops) == (0, Counter())


def test_every_frame_is_taken_or_counted(ears: Ears) -> None:
    """Under a race of a fast writer and a reader the books balance."""
    slot = ears.slot(live=True)
    done = threading.Event()
    taken = 0

    def read() -> None:
        nonlocal taken
        while not done.is_set() or slot.ready:
            taken += slot.take() is not None

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(5_000):
        slot.put(frame(number))
    done.set()
    reader.join(10)
    assert taken + ears.drops["replaced"] == 5_000
