"""What waits is bounded, and what is given up is known."""

from __future__ import annotations

import pytest
from output.rig import FACE, MODEL, PERIOD, SUMMARY, frame_of

from worker.output.backlog import Backlog, Waiting
from worker.output.event import Event, EventMaker, Loss
from worker.output.losses import TELL_EVERY_S, LossLedger


@pytest.fixture
def maker() -> EventMaker:
    """A maker whose events go nowhere."""
    return EventMaker(worker_id="lobby", run_id="run", model=MODEL, sink=lambda _event: None)


def frames(maker: EventMaker, n: int) -> list[Event]:
    """So many frame events of the hall."""
    return [maker.frame(frame_of("hall"), [FACE], "ran") for _ in range(n)]


def test_alerts_leave_first(maker: EventMaker) -> None:
    """An alert passes the frames that wait; frames keep their order."""
    backlog = Backlog(10)
    waiting = [*frames(maker, 3), maker.track("hall", "start", SUMMARY)]
    for event in waiting:
        backlog.put(Waiting(event, 0.0))
    assert [w.event for w in backlog.take(3, 0, 0.0)] == [waiting[3], waiting[0], waiting[1]]
    backlog.hand = []
    assert [w.event for w in backlog.take(3, 0, 0.0)] == [waiting[2]]


def test_the_least_important_goes_first(maker: EventMaker) -> None:
    """Frames go before summaries, summaries before alerts, the oldest of a kind first."""
    backlog = Backlog(3)
    alerts = [maker.track("hall", "start", SUMMARY) for _ in range(6)]
    summary = maker.compliance(PERIOD)
    for event in (*frames(maker, 1), summary, *alerts[:1]):
        assert backlog.put(Waiting(event, 0.0)) is None
    gone = [backlog.put(Waiting(event, 0.0)) for event in alerts[1:]]
    assert [event.type for event in gone if event] == ["frame", "compliance", *["track"] * 3]
    assert [w.event for w in backlog.take(9, 0, 0.0)] == alerts[3:]


def test_loss_events_push_nothing_out(maker: EventMaker) -> None:
    """To tell of a loss costs no other event."""
    backlog = Backlog(1)
    backlog.put(Waiting(frames(maker, 1)[0], 0.0))
    loss = maker.loss(Loss("hall", "frames", 0, 1, 2, "queue_full"))
    assert backlog.put(Waiting(loss, 0.0)) is None
    assert len(backlog) == 2


def test_a_loss_is_told_once_as_a_range(maker: EventMaker) -> None:
    """Losses of one camera, stream and reason become one range."""
    ledger = LossLedger("run")
    for event in frames(maker, 5):
        ledger.note(event, "queue_full")
    assert ledger.due(0.0) == [Loss("hall", "frames", 0, 4, 5, "queue_full")]
    assert ledger.due(0.0) == []


def test_a_loss_that_goes_on_is_told_in_turns(maker: EventMaker) -> None:
    """While it goes on it is told every few seconds, or at once where that is asked for."""
    ledger = LossLedger("run")
    events = frames(maker, 3)
    ledger.note(events[0], "rejected")
    ledger.due(0.0)
    ledger.note(events[1], "rejected")
    assert ledger.due(TELL_EVERY_S - 0.1) == []
    assert [loss.first_seq for loss in ledger.due(TELL_EVERY_S)] == [1]
    ledger.note(events[2], "rejected")
    assert [loss.first_seq for loss in ledger.due(TELL_EVERY_S, everything=True)] == [2]


def test_a_lost_loss_event_is_told_anew(maker: EventMaker) -> None:
    """Where a loss event itself is lost, its news is not."""
    ledger = LossLedger("run")
    told = Loss("hall", "frames", 3, 9, 7, "queue_full")
    ledger.note(maker.loss(told), "rejected")
    assert ledger.due(0.0) == [Loss("hall", "alerts", 0, 0, 1, "rejected"), told]
