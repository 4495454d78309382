"""A replay is neither a flood nor endless."""

from __future__ import annotations

from worker.output.pace import BURST_S, Pace


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def spend(pace: Pace, count: int) -> None:
    for _ in range(count):
        pace.spend()


def test_so_many_a_second() -> None:
    """After the first burst, what time allows."""
    clock = Clock()
    pace = Pace(1_000, clock)
    assert pace.allows() == 1_000 * BURST_S
    spend(pace, 250)
    assert pace.allows() == 0
    clock.now_s += 0.1
    assert pace.allows() in {99, 100}


def test_a_pause_saves_up_no_flood() -> None:
    """However long nothing went, no more than a burst goes at once."""
    clock = Clock()
    pace = Pace(1_000, clock)
    clock.now_s += 3_600
    assert pace.allows() == 1_000 * BURST_S


def test_what_comes_anew_goes_on_top() -> None:
    """Else a worker with more events than its pace would never be done."""
    clock = Clock()
    pace = Pace(1_000, clock)
    spend(pace, 250)
    for _ in range(40):
        pace.came(queues=True)
    assert pace.allows() == 40
    spend(pace, 40)
    assert pace.allows() == 0
