"""Each person counts once a zone and period; a rate comes with all that it rests on."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from worker.output.event import PeriodSummary
from worker.output.rules.compliance import KEPT_SUMMARIES, Compliance
from worker.records import Box, CameraState, Decision, Face, Label, Track

T0 = 1_795_520_040.0
"""A whole minute; the monotonic clock of these tests says 0 then."""

ALL = {"all": ["hall", "door"], "till": ["hall"]}


def counted(zones: dict[str, list[str]] | None = None, **keys: Any) -> Compliance:
    return Compliance(
        zones or ALL, **{"period_s": 60, "min_persons": 1, "now_s": 0.0, "now": T0, **keys}
    )


def see(of: Compliance, label: Label, *tracks: int, zones: Sequence[str] = ("all", "till")) -> None:
    """One frame with these tracks, all decided alike, in these zones."""
    faces = [
        Face(Track(n, Box(0, 0, 9, 9), 0.9, 3, True, True, 0.0), Decision(label, 0.9), None)
        for n in tracks
    ]
    of.saw(faces, dict.fromkeys(tracks, frozenset(zones)))


def ticked(of: Compliance, at_s: float, zone: str = "all") -> PeriodSummary:
    """The zone's summary of the period that is over."""
    [summary] = [s for s in of.tick(at_s, T0 + at_s) if s.zone == zone]
    return summary


def numbers(summary: PeriodSummary) -> dict[str, int]:
    return {label: count for label, count in summary.persons.items() if count}


def test_a_track_counts_once_a_period_and_zone() -> None:
    """However many frames it is in; in each zone that it is in, and in the total."""
    of = counted()
    for _ in range(10):
        see(of, "with_mask", 1, 2)
        see(of, "without_mask", 3, zones=["all"])
    all_of_it, till = of.tick(60.0, T0 + 60)
    assert (all_of_it.zone, numbers(all_of_it)) == ("all", {"with_mask": 2, "without_mask": 1})
    assert (till.zone, numbers(till)) == ("till", {"with_mask": 2})
    assert (till.rate, all_of_it.rate) == (1.0, pytest.approx(2 / 3))
    assert (till.cameras, all_of_it.cameras) == (("hall",), ("hall", "door"))


def test_the_last_decision_counts() -> None:
    """A mask put on in time counts as with, whatever stood before."""
    of = counted()
    see(of, "without_mask", 1)
    see(of, "with_mask", 1)
    assert numbers(ticked(of, 60.0)) == {"with_mask": 1}


def test_doubt_does_not_take_a_decision_back() -> None:
    """Unknown is who was never decided on; the others stay decided."""
    of = counted()
    see(of, "with_mask", 1)
    see(of, "unknown", 1, 2)
    summary = ticked(of, 60.0)
    assert numbers(summary) == {"with_mask": 1, "unknown": 1}
    assert (summary.judged, summary.rate) == (1, 1.0)


def test_who_stays_counts_in_each_period() -> None:
    """A period begins with nobody; those who are still there count again."""
    of = counted()
    see(of, "with_mask", 1)
    ticked(of, 60.0)
    see(of, "without_mask", 1)
    assert numbers(ticked(of, 120.0)) == {"without_mask": 1}
    assert numbers(ticked(of, 180.0)) == {}


def test_who_left_still_counts() -> None:
    """The end of a track takes nothing back, and of it only the count is kept."""
    of = counted()
    for number in range(500):
        see(of, "with_mask", number)
        of.ended([number])
    assert not of._zones["all"].present
    assert numbers(ticked(of, 60.0)) == {"with_mask": 500}


def test_too_few_have_no_rate() -> None:
    """But their numbers are there; the unknown don't make them more."""
    of = counted(min_persons=5)
    see(of, "with_mask", 1, 2, 3, 4)
    see(of, "unknown", 5, 6, 7)
    summary = ticked(of, 60.0)
    assert (summary.rate, summary.judged, sum(summary.persons.values())) == (None, 4, 7)
    see(of, "with_mask", 1, 2, 3, 4)
    see(of, "mask_worn_incorrectly", 5)
    assert ticked(of, 120.0).rate == 0.8


def test_nobody_has_no_rate() -> None:
    """An empty minute is neither good nor bad."""
    assert ticked(counted(), 60.0).rate is None


def test_blind_time_is_told_by_camera() -> None:
    """From the start to the first frame, and while a camera is down."""
    of = counted()
    of.camera("hall", "up", 5.0)
    of.camera("door", "up", 1.0)
    of.camera("hall", "down", 20.0)
    of.camera("hall", "down", 30.0)
    of.camera("hall", "up", 32.0)
    all_of_it, till = of.tick(60.0, T0 + 60)
    assert all_of_it.blind == {"hall": 17.0, "door": 1.0}
    assert till.blind == {"hall": 17.0}
    assert (all_of_it.blind_s, all_of_it.coverage) == (18.0, pytest.approx(1 - 18 / 120))


def test_blindness_goes_on_over_periods() -> None:
    """A camera that stays down is blind for all of the next period, and no second twice."""
    of = counted({"all": ["hall"]})
    of.camera("hall", "up", 0.0)
    of.camera("hall", "down", 50.0)
    assert ticked(of, 60.0).blind == {"hall": 10.0}
    of.camera("hall", "up", 75.0)
    assert ticked(of, 120.0).blind == {"hall": 15.0}
    assert ticked(of, 180.0).blind == {}


@pytest.mark.parametrize(
    ("state", "blind"), [("connecting", True), ("down", True), ("off", False), ("ended", False)]
)
def test_off_is_not_blind(state: CameraState, blind: bool) -> None:
    """Outside its hours, or after its end, a camera misses nobody."""
    of = counted({"all": ["hall"]})
    of.camera("hall", "up", 0.0)
    of.camera("hall", state, 0.0)
    assert ticked(of, 60.0).coverage == (0.0 if blind else 1.0)


def test_periods_are_aligned_to_the_clock() -> None:
    """The first is shorter, so that all later ones begin on a whole multiple."""
    of = counted(now=T0 + 17.5)
    assert of.tick(42.4, T0 + 59.9) == []
    first = of.tick(42.5, T0 + 60)[0]
    assert (first.start, first.end, first.duration_s) == (T0 + 17.5, T0 + 60, 42.5)
    second = of.tick(102.7, T0 + 120.2)[0]
    assert (second.start, second.end, second.duration_s) == (T0 + 60, T0 + 120, pytest.approx(60.2))
    third = of.tick(162.5, T0 + 180)[0]
    assert (third.start, third.end, third.duration_s) == (T0 + 120, T0 + 180, pytest.approx(59.8))


@pytest.mark.parametrize("jump_s", [-3_600.0, 3_600.0])
def test_a_clock_that_is_set_ends_the_period(jump_s: float) -> None:
    """Its true length is told, no period overlaps another, and the next is aligned again."""
    of = counted()
    see(of, "with_mask", 1)
    before = of.tick(30.0, T0 + 30 + jump_s)[0]
    assert before.duration_s == 30.0
    assert before.start <= before.end
    after = of.tick(60.0, T0 + 60 + jump_s)[0]
    assert (after.start, after.end) == (T0 + 30 + jump_s, T0 + 60 + jump_s)
    assert numbers(after) == {}


def test_the_end_cuts_the_period_short() -> None:
    """What was counted until the stop is told, with the time that it took."""
    of = counted()
    of.camera("hall", "up", 0.0)
    see(of, "with_mask", 1)
    till = of.flush(12.5, T0 + 12.5)[1]
    assert (till.start, till.end, till.duration_s) == (T0, T0 + 12.5, 12.5)
    assert (numbers(till), till.coverage) == ({"with_mask": 1}, 1.0)
    assert of.now("till", 13.0, T0 + 13).start == T0 + 12.5


def test_the_last_summaries_are_kept() -> None:
    """An hour of them, the oldest first; and the present period as it stands."""
    of = counted()
    for n in range(1, KEPT_SUMMARIES + 6):
        of.tick(60.0 * n, T0 + 60 * n)
    recent = of.recent("till")
    assert len(recent) == KEPT_SUMMARIES
    assert recent[0].start < recent[-1].start == T0 + 60 * (KEPT_SUMMARIES + 4)
    see(of, "with_mask", 1)
    end = 60.0 * (KEPT_SUMMARIES + 5)
    now = of.now("till", end + 7, T0 + end + 7)
    assert (now.start, now.end, now.duration_s) == (T0 + end, T0 + end + 7, 7.0)
    assert numbers(now) == {"with_mask": 1}


def test_threads_lose_nobody() -> None:
    """Cameras count at the same time, while periods end."""
    of = counted({"all": ["hall"]}, period_s=1)
    done = threading.Event()
    summaries: list[PeriodSummary] = []

    def count(thread: int) -> None:
        for n in range(400):
            see(of, "with_mask", thread * 1_000 + n, zones=["all"])
            of.ended([thread * 1_000 + n])

    def turn() -> None:
        for n in itertools.count(1):
            over = done.is_set()
            summaries.extend(of.tick(float(n), T0 + n))
            if over:
                return

    threads = [threading.Thread(target=count, args=(n,)) for n in range(4)]
    turning = threading.Thread(target=turn)
    for thread in (turning, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    turning.join()
    # whoever was seen in one period and ended in the next counts in the first one alone
    assert sum(s.persons.get("with_mask", 0) for s in summaries) == 1_600
