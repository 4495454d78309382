"""The ledger sees what is wrong in a stream, and nothing where nothing is."""

from __future__ import annotations

import json
from typing import Any

from service.chaos.ledger import Ledger

RUN, NEXT = "1ngaxyz00000", "1ngaxyz10000"


def at(second: float) -> str:
    return f"2026-11-24T11:{int(second // 60):02}:{second % 60:06.3f}Z"


def event(kind: str, seq: int, run: str = RUN, *, line: str = "alerts", **fields: Any) -> str:
    head = {
        "schema": f"maskwatch.{kind}/1",
        "event_id": f"{run}:{line}:hall:{seq}",
        "run_id": run,
        "camera_id": "hall",
        "seq": seq,
    }
    return json.dumps({**head, **fields})


def frame(seq: int, run: str = RUN, second: float | None = None, dropped: int = 0) -> str:
    when = at(seq / 5 if second is None else second)
    since = {"replaced": dropped} if dropped else {}
    return event("frame", seq, run, line="frames", captured_at=when, dropped_since_last=since)


def loss(seq: int, first: int, last: int, **more: Any) -> str:
    told: dict[str, Any] = {
        "stream": "frames",
        "first_seq": first,
        "last_seq": last,
        "count": last - first + 1,
    }
    return event("loss", seq, reason="spool_full", **(told | more))


def gap(seq: int, start: float, end: float) -> str:
    times: dict[str, Any] = {"from": at(start), "to": at(end)}
    return event("gap", seq, **times)


def ledger(*texts: str) -> Ledger:
    made = Ledger()
    for text in texts:
        made.take(text)
    return made


def unwatched(made: Ledger) -> list[str]:
    return made.unwatched("hall", limit_s=3.0, slack_s=1.5, frame_s=0.2)


def test_a_stream_without_fault() -> None:
    """Nothing is said of what is in order, over two runs."""
    made = ledger(frame(0), frame(1), frame(2), frame(0, NEXT, 1.0), frame(1, NEXT, 1.2))
    assert made.missing() == made.disorder == made.duplicates == unwatched(made) == []
    assert (made.events, made.repeats, made.unique(RUN)) == (5, 0, 3)


def test_a_hole_is_missed() -> None:
    """Numbers that never came are named."""
    (sentence,) = ledger(frame(0), frame(1), frame(4)).missing()
    assert "lacks 2-3" in sentence


def test_what_comes_first_starts_at_nought() -> None:
    """The events before the first that came are missed as well."""
    (sentence,) = ledger(frame(2)).missing()
    assert "lacks 0-1" in sentence


def test_a_loss_that_is_told_explains_its_hole() -> None:
    """Only what is told of is explained, and it is counted."""
    made = ledger(frame(0), frame(5), loss(0, 1, 3))
    assert "lacks 4" in made.missing()[0]
    assert made.lost == {"spool_full": 3}


def test_a_loss_that_did_not_happen() -> None:
    """What is told to be lost must not come."""
    events = [frame(seq) for seq in (0, 1, 2, 3, 5)]
    assert ledger(*events, loss(0, 4, 4)).contradicted() == []
    assert ledger(*events, loss(0, 3, 4, count=1)).contradicted() == []
    (sentence,) = ledger(*events, loss(0, 3, 4)).contradicted()
    assert "2 are told to be lost, 1 are missing" in sentence


def test_a_loss_of_an_earlier_run() -> None:
    """A later run may tell what was lost of an earlier one."""
    lost_later = loss(0, 1, 2).replace(f'"run_id": "{RUN}"', f'"run_id": "{NEXT}"')
    made = ledger(frame(0), frame(3), lost_later.replace("}", f', "of_run_id": "{RUN}"}}'))
    assert made.missing() == []


def test_a_repetition_is_counted_and_no_duplicate() -> None:
    """The same bytes again are what at least once means."""
    made = ledger(frame(0), frame(1), frame(0), frame(1))
    assert (made.repeats, made.duplicates, made.disorder) == (2, [], [])


def test_two_contents_under_one_name() -> None:
    """An id with other bytes is a contradiction."""
    made = ledger(frame(0), frame(0, second=7.0))
    assert len(made.duplicates) == 1


def test_the_same_news_under_two_numbers() -> None:
    """De-duplication by id cannot catch it, so it is a duplicate."""
    made = ledger(*(event("track", seq, track_id="a", phase="end") for seq in range(2)))
    assert len(made.duplicates) == 1


def test_what_comes_after_its_successor() -> None:
    """Within a run, and from run to run."""
    assert len(ledger(frame(1), frame(0)).disorder) == 1
    assert len(ledger(frame(0), frame(0, NEXT, 1.0), frame(1, second=0.2)).disorder) == 1


def test_a_blind_time_that_nobody_tells() -> None:
    """Between two frames there is more time than there may be."""
    (sentence,) = unwatched(ledger(frame(0), frame(1, second=10.0)))
    assert "blind for 10.0 s" in sentence


def test_a_gap_explains_a_blind_time() -> None:
    """As far as it reaches."""
    frames = (frame(0), frame(1, second=10.0))
    assert unwatched(ledger(*frames, gap(0, 1.0, 10.0))) == []
    assert unwatched(ledger(*frames, gap(0, 5.0, 10.0)))
    assert unwatched(ledger(*frames, gap(0, 0.0, 6.0), gap(1, 5.0, 10.0))) == []


def test_dropped_frames_explain_their_time() -> None:
    """They arrived, and that they were not analysed is told."""
    assert unwatched(ledger(frame(0), frame(1, second=10.0, dropped=49))) == []
    assert unwatched(ledger(frame(0), frame(1, second=10.0, dropped=10)))


def test_a_loss_explains_a_blind_time() -> None:
    """The camera was watched; what it showed was lost, and that is told."""
    made = ledger(frame(0), frame(50, second=10.0), loss(0, 1, 49))
    assert unwatched(made) == []


def test_what_never_ends() -> None:
    """A track that began and has no end is named; one that ended is not."""
    begun = event("track", 0, track_id="a", phase="start")
    ended = event("track", 1, track_id="a", phase="end")
    other = event("track", 2, track_id="b", phase="start")
    assert ledger(begun, ended).open_ends() == []
    assert "b began" in ledger(begun, ended, other).open_ends()[0]
