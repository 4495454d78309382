"""The hours in which a camera is watched."""

from __future__ import annotations

from datetime import datetime

DAY_MIN = 24 * 60


def is_watched(active_hours: str | None, wall_s: float) -> bool:
    """True where a moment lies within the hours of the day, in this machine's time zone.

    Args:
        active_hours: ``HH:MM-HH:MM``, the end exclusive; past midnight where the end comes
            first, the whole day where both are the same or the value is None.
        wall_s: seconds since the epoch.
    """
    if active_hours is None:
        return True
    begin, end = (_minute(clock) for clock in active_hours.split("-"))
    moment = datetime.fromtimestamp(wall_s).astimezone()
    minute = moment.hour * 60 + moment.minute
    begin %= DAY_MIN  # 24:00 is where the next day begins
    if begin < end:
        return begin <= minute < end
    return minute >= begin or minute < end


def _minute(clock: str) -> int:
    """Minutes since midnight of ``HH:MM``."""
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)
