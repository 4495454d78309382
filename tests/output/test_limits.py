"""A limit is broken and kept again by several periods on end, never by one."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from output.rig import PERIOD

from worker.output.rules.limits import UNJUDGED_PERIODS, Limits
from worker.venue import Compliance, Zone

Rate = float | None


def limits(zones: dict[str, Zone] | None = None, **keys: Any) -> Limits:
    rules = {"limit": 0.9, "limit_margin": 0.05, "limit_periods": 3, **keys}
    return Limits(Compliance(**rules), zones or {}, itertools.count(1))


def told(of: Limits, *rates: Rate, zone: str = "till") -> list[tuple[int, str, str | None]]:
    """In which period what was told."""
    found = []
    for n, rate in enumerate(rates):
        period = dataclasses.replace(PERIOD, zone=zone, rate=rate, start=1_000.0 + 60 * n)
        change = of.judge(period)
        if change is not None:
            found.append((n, change.phase, change.end_reason))
    return found


def test_it_takes_several_periods_to_break_it() -> None:
    """One good period in between begins the count anew."""
    assert told(limits(), 0.8, 0.8, 0.9, 0.8, 0.8, 0.8) == [(5, "start", None)]


def test_it_tells_since_when() -> None:
    """From the first period below the limit, with the last one's numbers."""
    of = limits()
    told(of, 0.95, 0.8, 0.7, 0.6)
    broken = of.broken("till")
    assert broken is not None
    assert (broken.started_at, broken.limit, broken.period.rate) == (1_060.0, 0.9, 0.6)


def test_it_takes_more_than_the_limit_to_mend_it() -> None:
    """At the limit it stays broken; above the margin for long enough it is kept again."""
    of = limits()
    told(of, 0.8, 0.8, 0.8)
    assert told(of, *[0.92] * 9) == []
    assert told(of, 0.96, 0.96, 0.92, 0.95, 0.95, 0.95) == [(5, "end", "recovered")]
    assert of.broken("till") is None
    assert told(of, 0.8, 0.8, 0.8) == [(2, "start", None)]


def test_everybody_is_always_enough() -> None:
    """A margin above 1 cannot be asked for."""
    assert told(limits(limit=0.98), 0.9, 0.9, 0.9, 1.0, 1.0, 1.0) == [
        (2, "start", None),
        (5, "end", "recovered"),
    ]


def test_periods_without_a_rate_say_nothing() -> None:
    """Neither good nor bad, they neither count nor begin the count anew."""
    assert told(limits(), 0.8, None, 0.8, None, None, 0.8) == [(5, "start", None)]


def test_too_many_of_them_let_it_go() -> None:
    """At night nobody can mend it."""
    of = limits()
    told(of, 0.8, 0.8, 0.8)
    assert told(of, *[None] * 9, 0.8, *[None] * (UNJUDGED_PERIODS + 3)) == [
        (9 + UNJUDGED_PERIODS, "end", "unjudged")
    ]


def test_no_limit_no_rule() -> None:
    """Nothing is told where nothing is asked."""
    of = limits(limit=None)
    assert told(of, 0.0, 0.0, 0.0, 0.0) == []
    assert of.limit("till") is None


def test_a_zone_may_have_its_own() -> None:
    """Its own limit comes before that of all."""
    square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
    of = limits({"till": Zone(cameras={"hall": square}, limit=0.5)})
    assert told(of, 0.8, 0.8, 0.8) == []
    assert told(of, 0.8, 0.8, 0.8, zone="all") == [(2, "start", None)]
    assert told(of, 0.4, 0.4, 0.4) == [(2, "start", None)]


@pytest.mark.parametrize("broken", [True, False])
def test_the_stop_ends_what_is_open(broken: bool) -> None:
    """And only that."""
    of = limits()
    told(of, *[0.8] * (3 if broken else 2))
    assert [change.end_reason for change in of.stop()] == ["stopped"] * broken
    assert of.stop() == []


def test_how_long_it_lasts_goes_by_the_length_of_the_periods() -> None:
    """Not by when they began: the wall clock may have been set, and a period be without a rate."""
    of = limits()
    for start, rate in ((1_000.0, 0.95), (1_060.0, 0.8), (-2_480.0, None), (-2_420.0, 0.8)):
        of.judge(dataclasses.replace(PERIOD, rate=rate, start=start))
    change = of.judge(dataclasses.replace(PERIOD, rate=0.8, start=-2_360.0))
    assert change is not None
    assert (change.rule.started_at, change.rule.duration_s) == (1_060.0, 4 * PERIOD.duration_s)
