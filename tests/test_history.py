"""What is remembered of a camera for the live page."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from worker.history import ALERTS, FRAMES, MINUTES, RATE_S, CameraHistory
from worker.output.event import Event
from worker.records import CameraStatus, Label

START = 1_700_000_040.0
COUNTS: Mapping[Label, int] = {
    "without_mask": 1,
    "with_mask": 3,
    "mask_worn_incorrectly": 0,
    "unknown": 2,
}
NOBODY: Mapping[Label, int] = dict.fromkeys(COUNTS, 0)


class Clocks:
    """A wall and a monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def history(self) -> CameraHistory:
        return CameraHistory(monotonic=lambda: self.now, wall=lambda: self.now)


def event(kind: str, at: float) -> Event:
    document = f"{kind} {at:g}".encode()
    return Event("alerts", "hall", kind, 0, "id", document, at, at)  # type: ignore[arg-type]


def test_hour_tells_the_mean_of_each_minute() -> None:
    """Two frames, one with faces and one without, make half of each; other minutes are empty."""
    clocks = Clocks()
    history = clocks.history()
    history.frame(COUNTS)
    history.frame(NOBODY)
    clocks.now += 60
    history.frame(COUNTS)
    hour = history.hour()
    assert hour["frames"] == [0] * 58 + [2, 1]
    assert hour["faces"]["with_mask"][-2:] == [1.5, 3.0]
    assert hour["faces"]["unknown"][:-2] == [0] * 58


def test_minutes_older_than_an_hour_are_forgotten() -> None:
    """The bucket is used again; a camera that was silent for an hour has an empty one."""
    clocks = Clocks()
    history = clocks.history()
    history.frame(COUNTS)
    clocks.now += 60 * MINUTES
    assert history.hour()["frames"] == [0] * MINUTES
    history.frame(NOBODY)
    assert history.hour()["faces"]["with_mask"][-1] == 0


def test_rate_counts_the_last_seconds() -> None:
    """Five frames a second are five, and none once they cease."""
    clocks = Clocks()
    history = clocks.history()
    for _ in range(80):
        clocks.now += 0.2
        history.frame(COUNTS)
    assert history.fps() == pytest.approx(5.0, abs=0.2)
    clocks.now += RATE_S + 1
    assert history.fps() == 0.0


def test_rate_of_a_camera_that_just_came_up() -> None:
    """Four seconds of frames are enough to tell it; a single frame is not taken for many."""
    clocks = Clocks()
    history = clocks.history()
    history.frame(COUNTS)
    assert history.fps() == 0.5
    for _ in range(20):
        clocks.now += 0.2
        history.frame(COUNTS)
    assert history.fps() == pytest.approx(5.0, rel=0.06)


def test_rate_of_a_fast_camera_is_not_cut_off() -> None:
    """Sixty frames a second are more than are remembered for ten."""
    clocks = Clocks()
    history = clocks.history()
    for _ in range(900):
        clocks.now += 1 / 60
        history.frame(COUNTS)
    assert history.fps() == pytest.approx(60.0, rel=0.05)


def test_latency_is_the_median() -> None:
    """One slow frame does not show; without any there is none."""
    history = Clocks().history()
    assert history.latency_s() is None
    for seconds in (0.1, 0.1, 9.0):
        history.published(seconds)
    assert history.latency_s() == 0.1


def test_changes_come_newest_first_with_their_ends() -> None:
    """A gap is a state that is not up, from its begin to the next change."""
    history = Clocks().history()
    history.status(CameraStatus("hall", "up", 10.0))
    history.status(CameraStatus("hall", "down", 20.0, "stalled"))
    history.status(CameraStatus("hall", "up", 25.0))
    assert history.changes() == [
        {"state": "up", "reason": None, "since": 25.0, "until": None},
        {"state": "down", "reason": "stalled", "since": 20.0, "until": 25.0},
        {"state": "up", "reason": None, "since": 10.0, "until": 20.0},
    ]


def test_events_are_bounded_and_frames_do_not_push_alerts_out() -> None:
    """A thousand frames later the track is still there."""
    history = Clocks().history()
    history.event(event("track", 1.0))
    for n in range(1_000):
        history.event(event("frame", 2.0 + n))
    documents = history.documents()
    assert len(documents) == FRAMES + 1 <= ALERTS + FRAMES
    assert documents[0] == b"frame 1001"
    assert documents[-1] == b"track 1"
