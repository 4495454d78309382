"""The hours in which a camera is watched."""

from __future__ import annotations

from datetime import datetime

import pytest

from worker.capture.hours import is_watched


@pytest.mark.parametrize(
    ("hours", "clock", "watched"),
    [
        (None, "03:00", True),
        ("07:00-19:30", "06:59", False),
        ("07:00-19:30", "07:00", True),
        ("07:00-19:30", "19:29", True),
        ("07:00-19:30", "19:30", False),
        ("22:00-06:00", "23:00", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "12:00", False),
        ("00:00-24:00", "23:59", True),
        ("08:00-08:00", "12:00", True),
        ("24:00-00:00", "12:00", True),
        ("24:00-06:00", "05:59", True),
        ("24:00-06:00", "06:00", False),
    ],
)
def test_hours(hours: str | None, clock: str, watched: bool) -> None:
    """The end is exclusive, and midnight is no border."""
    hour, minute = map(int, clock.split(":"))
    moment = datetime(2026, 1, 15, hour, minute).astimezone()
    assert is_watched(hours, moment.timestamp()) is watched
