"""States and gaps: what was seen when, and what was not."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest

from worker.capture.clock import Moment
from worker.capture.sight import Sight
from worker.errors import CameraError
from worker.records import CameraStatus, Gap

REFUSED = CameraError("refused", "it refuses")
STALLED = CameraError("stalled", "it is silent")


def at(seconds: float, set_s: float = 0.0) -> Moment:
    """So many seconds after the start; the wall clock was set by ``set_s``."""
    return Moment(1_700_000_000.0 + seconds + set_s, seconds)


class Ears:
    """Hears all, in order, times counted from the start."""

    def __init__(self, silence_s: float = math.inf) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.sight = Sight("hall", "rtsp://camera.example/live", self, silence_s=silence_s)

    def status(self, status: CameraStatus) -> None:
        self.heard.append((status.state, status.reason, round(status.since - 1_700_000_000, 3)))

    def gap(self, gap: Gap) -> None:
        start, end = gap.start - 1_700_000_000, gap.end - 1_700_000_000
        self.heard.append(("gap", round(start, 3), round(end, 3), gap.reason))


def test_an_outage_reaches_from_the_last_good_frame_to_the_next() -> None:
    """The state that tells it counts from there, too, and the gap follows the return."""
    ears = Ears()
    ears.sight.connects(at(0))
    ears.sight.sees(at(1))
    ears.sight.sees(at(9.5))
    ears.sight.fails(STALLED, "", at(20))
    ears.sight.fails(STALLED, "", at(30))
    ears.sight.sees(at(40))
    assert ears.heard == [
        ("connecting", None, 0),
        ("up", None, 1),
        ("down", "stalled", 9.5),
        ("up", None, 40),
        ("gap", 9.5, 40, "stalled"),
    ]


def test_a_silence_that_nobody_told_of_is_a_gap() -> None:
    """A process that was frozen saw nothing; whoever counts blind time hears of it as well."""
    ears = Ears(silence_s=10.0)
    ears.sight.connects(at(0))
    ears.sight.sees(at(1))
    ears.sight.sees(at(11))
    ears.sight.sees(at(22))
    assert ears.heard == [
        ("connecting", None, 0),
        ("up", None, 1),
        ("down", "stalled", 11),
        ("up", None, 22),
        ("gap", 11, 22, "stalled"),
    ]


def test_a_camera_that_never_was_up_is_missed_from_the_start() -> None:
    """Its first gap begins when it should have been watched."""
    ears = Ears()
    ears.sight.connects(at(0))
    ears.sight.fails(REFUSED, "", at(1))
    ears.sight.sees(at(60))
    assert ears.heard[1:] == [
        ("down", "refused", 0),
        ("up", None, 60),
        ("gap", 0, 60, "refused"),
    ]


def test_a_gap_has_its_first_reason() -> None:
    """Another reason on the way is told as a state, from its own time on."""
    ears = Ears()
    ears.sight.sees(at(0))
    ears.sight.fails(STALLED, "", at(10))
    ears.sight.fails(REFUSED, "", at(11))
    ears.sight.sees(at(20))
    assert ears.heard[1:] == [
        ("down", "stalled", 0),
        ("down", "refused", 11),
        ("up", None, 20),
        ("gap", 0, 20, "stalled"),
    ]


def test_the_hours_end_a_gap() -> None:
    """What nobody wants to watch is missed by nobody; nor does it begin one."""
    ears = Ears()
    ears.sight.sees(at(0))
    ears.sight.fails(STALLED, "", at(10))
    ears.sight.is_off(at(60))
    ears.sight.connects(at(100))
    ears.sight.fails(REFUSED, "", at(101))
    ears.sight.sees(at(110))
    assert [told for told in ears.heard if told[0] == "gap"] == [
        ("gap", 0, 60, "stalled"),
        ("gap", 100, 110, "refused"),
    ]


def test_frozen_is_a_warning_and_still_a_gap() -> None:
    """The camera stays up; from the last change of its picture to the next nobody was seen."""
    ears = Ears()
    ears.sight.sees(at(0))
    ears.sight.doubts("frozen", at(5), at(125))
    ears.sight.doubts("frozen", at(5), at(126))
    ears.sight.sees(at(130))
    assert ears.heard[1:] == [
        ("up", "frozen", 5),
        ("up", None, 130),
        ("gap", 5, 130, "frozen"),
    ]


def test_covered_is_down() -> None:
    """There are frames, and nothing in them."""
    ears = Ears()
    ears.sight.sees(at(0))
    ears.sight.doubts("covered", at(5), at(15))
    ears.sight.sees(at(20))
    assert ears.heard[1:] == [
        ("down", "covered", 5),
        ("up", None, 20),
        ("gap", 5, 20, "covered"),
    ]


def test_a_clock_that_is_wrong_hides_nothing() -> None:
    """It is told, and no second counts as missed."""
    ears = Ears()
    ears.sight.sees(at(0))
    ears.sight.sees(at(1), "clock")
    ears.sight.sees(at(61))
    assert ears.heard == [("up", None, 0), ("up", "clock", 1), ("up", None, 61)]


@pytest.mark.parametrize("set_s", [3_600.0, -3_600.0])
def test_a_clock_that_was_set_changes_no_duration(set_s: float) -> None:
    """The gap ends by the new clock and is as long as it was."""
    ears = Ears()
    ears.sight.sees(at(0))
    ears.sight.fails(STALLED, "", at(10))
    ears.sight.sees(at(30, set_s))
    assert ears.heard[-1] == ("gap", set_s, set_s + 30, "stalled")


def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often it is tried."""
    ears = Ears()
    with caplog.at_level(logging.INFO):
        ears.sight.connects(at(0))
        for second in range(1, 50):
            ears.sight.fails(REFUSED, "it refuses", at(second))
        for second in range(50, 60):
            ears.sight.sees(at(second))
    assert [record.getMessage() for record in caplog.records] == [
        "camera hall: connecting (rtsp://camera.example/live)",
        "camera hall: down, refused: it refuses",
        "camera hall: up (rtsp://camera.example/live)",
    ]
