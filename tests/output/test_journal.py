"""The journal says what is known for sure, and forgets nothing that the file did not take."""

from __future__ import annotations

import pytest
from output.rig import MODEL, SUMMARY, frame_of

from worker.output.disk.journal import Journal, Unwatched
from worker.output.event import Event, EventMaker

T0 = 1_795_520_000.0


@pytest.fixture
def maker() -> EventMaker:
    """A maker whose events go nowhere."""
    return EventMaker(worker_id="lobby", run_id="run", model=MODEL, sink=lambda _event: None)


def frame(maker: EventMaker, at: float, camera: str = "hall") -> Event:
    return maker.frame(frame_of(camera, at), [], "ran")


def test_a_camera_is_watched_until_its_newest_frame(maker: EventMaker) -> None:
    """Each page holds the newest of each camera."""
    journal = Journal()
    for at in (T0, T0 + 1):
        journal.note(frame(maker, at))
    journal.note(frame(maker, T0, "door"))
    assert journal.turn().watched_until == {"hall": T0 + 1, "door": T0}
    assert journal.turn().watched_until == {}


def test_a_gap_accounts_for_time_as_well(maker: EventMaker) -> None:
    """What was told to be unwatched need not be told again."""
    journal = Journal()
    journal.note(frame(maker, T0))
    journal.note(maker.gap("hall", T0, T0 + 9, "timeout"))
    assert journal.turn().watched_until == {"hall": T0 + 9}


def test_only_the_gap_itself_ends_a_gap(maker: EventMaker) -> None:
    """Neither frames nor a later gap stand for the one that is still to be told."""
    journal = Journal([Unwatched("hall", T0, "killed")])
    journal.note(frame(maker, T0 + 60))
    journal.note(maker.gap("hall", T0 + 50, T0 + 60, "timeout"))
    assert journal.turn().watched_until == {}
    journal.note(maker.gap("hall", T0, T0 + 50, "killed"))
    assert journal.turn().watched_until == {"hall": T0 + 50}


def test_a_page_that_was_not_kept_goes_with_the_next(maker: EventMaker) -> None:
    """The newer entry wins."""
    journal = Journal()
    journal.note(frame(maker, T0))
    journal.note(maker.track("hall", "start", SUMMARY))
    page = journal.turn()
    journal.note(frame(maker, T0 + 1))
    journal.put_back(page)
    page = journal.turn()
    assert page.watched_until == {"hall": T0 + 1}
    assert list(page.open) == ["run-12"]


def test_a_disk_that_is_away_for_long_costs_no_memory(maker: EventMaker) -> None:
    """What began and ended meanwhile leaves nothing to be written."""
    journal = Journal()
    for phase in ("start", "end"):
        journal.note(maker.track("hall", phase, SUMMARY))
        journal.put_back(journal.turn())
    assert not journal.page.open


def test_what_the_file_has_is_deleted_there(maker: EventMaker) -> None:
    """An end is kept until it is written where the beginning was."""
    journal = Journal()
    journal.note(maker.track("hall", "start", SUMMARY))
    journal.kept(journal.turn())
    journal.note(maker.track("hall", "end", SUMMARY))
    journal.put_back(journal.turn())
    assert journal.page.open == {"run-12": None}
