"""A camera's hash shows what was heard of it, and for how long that holds."""

from __future__ import annotations

import pytest
from output.rig import FACE, MODEL, frame_of

from worker.output.event import EventMaker, rfc3339
from worker.output.states import REFRESH_S, VALID_S, CameraStates
from worker.records import CameraStatus


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """One clock for both times."""
    return Clock()


@pytest.fixture
def states(clock: Clock) -> CameraStates:
    """States that nobody has told of anything yet."""
    return CameraStates(worker_id="lobby", run_id="run", monotonic=clock, wall=clock)


def test_the_hash_holds_what_was_told(states: CameraStates) -> None:
    """State, counts and identity stand in it; what is not known is empty."""
    maker = EventMaker(worker_id="lobby", run_id="run", model=MODEL, sink=states.saw)
    maker.frame(frame_of("hall", 999.5), [FACE], "ran")
    states.tell(CameraStatus("hall", "down", 998.0, "timeout"))
    assert states.due()["hall"] == {
        "state": "down",
        "reason": "timeout",
        "since": rfc3339(998.0),
        "last_frame_at": rfc3339(999.5),
        "fps": "",
        "without_mask": "0",
        "with_mask": "1",
        "mask_worn_incorrectly": "0",
        "unknown": "0",
        "seq": "0",
        "run_id": "run",
        "worker_id": "lobby",
        "valid_until": rfc3339(1_000.0 + VALID_S),
    }


def test_writing_is_bounded_but_changes_come_at_once(states: CameraStates, clock: Clock) -> None:
    """The same state again waits its turn; another state does not."""
    states.tell(CameraStatus("hall", "up", 1_000.0))
    assert "hall" in states.due()
    states.tell(CameraStatus("hall", "up", 1_000.0))
    assert not states.due()
    states.tell(CameraStatus("hall", "down", 1_000.0, "timeout"))
    assert "hall" in states.due()
    states.tell(CameraStatus("hall", "down", 1_000.0, "timeout"))
    clock.now += REFRESH_S
    assert "hall" in states.due()


def test_validity_counts_from_the_telling(states: CameraStates, clock: Clock) -> None:
    """Writing an old state again does not make it young."""
    states.tell(CameraStatus("hall", "up", 1_000.0))
    first = states.due()["hall"]["valid_until"]
    clock.now += 100
    states.write_again()
    assert states.due()["hall"]["valid_until"] == first


def test_what_is_not_told_is_not_written(states: CameraStates, clock: Clock) -> None:
    """Without news there is nothing to write, however much time goes by."""
    states.tell(CameraStatus("hall", "up", 1_000.0))
    states.due()
    clock.now += 100
    assert not states.due()


def test_the_end_makes_all_blind(states: CameraStates) -> None:
    """After an ordered stop nothing is valid any more."""
    states.tell(CameraStatus("hall", "up", 1_000.0))
    states.expire()
    assert states.due()["hall"]["valid_until"] == rfc3339(1_000.0)


def test_a_camera_that_is_no_more_leaves_no_hash(states: CameraStates) -> None:
    """Until it is told of again; the end of the worker does not bring it back."""
    states.tell(CameraStatus("hall", "up", 1_000.0))
    states.forget("hall")
    states.forget("never-heard-of")
    assert states.due() == {"hall": {}}
    states.expire()
    assert states.due() == {}
    states.write_again()
    assert states.due() == {"hall": {}}
    states.tell(CameraStatus("hall", "up", 1_000.0))
    assert states.due()["hall"]["state"] == "up"
