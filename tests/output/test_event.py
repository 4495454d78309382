"""Documents follow their schema, are numbered without holes, and never change."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from output.rig import FACE, MODEL, PERIOD, SUMMARY, frame_of

from worker.errors import BadDataError
from worker.output.event import (
    Event,
    EventMaker,
    Loss,
    RuleSummary,
    ViolationSummary,
    rfc3339,
)
from worker.output.run import new_run_id
from worker.output.wire import EVENT_TYPES, EventType, json_schema
from worker.records import Box, CameraStatus, Decision, Face, Track

DOCUMENTS = Path(__file__).parent / "documents"
T0 = 1_795_520_000.125


def maker(sink: Callable[[Event], object] = lambda event: event) -> EventMaker:
    """A maker whose clocks stand still."""
    return EventMaker(
        worker_id="lobby",
        run_id="1ngaxyz00000",
        model=MODEL,
        sink=sink,
        wall=lambda: T0,
        monotonic=lambda: 100.0,
    )


def unsure(number: int) -> Face:
    """A face without an id, a label or a probability."""
    track = Track(number, Box(-5, 700, 15, 730), 0.5, 1, False, True, T0)
    return Face(track, Decision("unknown", 0.0, "too_small"), None)


def examples() -> dict[EventType, Event]:
    """One event of each type, the same at each call."""
    m = maker()
    frame = dataclasses.replace(frame_of("hall", T0 - 0.1), dropped={"replaced": 2})
    violation = ViolationSummary(3, 12, "without_mask", T0 - 2, 2.0, 0.97, "till")
    period = dataclasses.replace(PERIOD, start=T0 - 60, end=T0)
    return {
        "frame": m.frame(frame, [FACE, unsure(13)], "ran"),
        "track": m.track(
            "hall",
            "end",
            dataclasses.replace(
                SUMMARY,
                started_at=T0 - 4.2,
                frames={"with_mask": 20, "unknown": 1},
                seconds={"with_mask": 4.0004, "unknown": 0.2},
            ),
            end_reason="gone",
        ),
        "violation": m.violation("hall", "start", violation),
        "camera": m.camera(CameraStatus("hall", "down", T0 - 12, "timeout", "no packet for 10 s")),
        "gap": m.gap("hall", T0 - 60, T0, "timeout"),
        "loss": m.loss(Loss("hall", "frames", 110, 219, 110, "queue_full")),
        "rule": m.rule("start", RuleSummary(1, 0.9, T0 - 180, 180.0, period)),
        "compliance": m.compliance(period),
    }


def check(event: Event) -> dict[str, Any]:
    """The document of an event, once it has been found to follow its published schema."""
    document: dict[str, Any] = json.loads(event.document)
    jsonschema.Draft202012Validator(json_schema(event.type)).validate(document)
    return document


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_each_type_follows_its_schema(kind: EventType) -> None:
    """What is made passes the JSON Schema that consumers get."""
    event = examples()[kind]
    document = check(event)
    assert document["schema"] == f"maskwatch.{kind}/1"
    assert document["event_id"] == event.event_id
    assert list(document)[:6] == ["schema", "event_id", "run_id", "worker_id", "camera_id", "seq"]


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_documents_are_made_as_ever(kind: EventType) -> None:
    """The bytes of version 1 stand in a file; a change of them is a change for every consumer."""
    golden = (DOCUMENTS / f"{kind}-1.json").read_bytes()
    assert examples()[kind].document == golden.rstrip(b"\n")


def test_numbers_count_per_camera_and_stream() -> None:
    """Each camera and stream counts from 0 without a hole."""
    m = maker()
    made = [
        m.frame(frame_of("hall"), [], "ran"),
        m.frame(frame_of("door"), [], "ran"),
        m.gap("hall", T0, T0, "timeout"),
        m.frame(frame_of("hall"), [], "unchanged"),
        m.camera(CameraStatus("hall", "up", T0)),
    ]
    assert [event.event_id for event in made] == [
        "1ngaxyz00000:frames:hall:0",
        "1ngaxyz00000:frames:door:0",
        "1ngaxyz00000:alerts:hall:0",
        "1ngaxyz00000:frames:hall:1",
        "1ngaxyz00000:alerts:hall:1",
    ]


def test_events_are_handed_over_in_order() -> None:
    """However many threads make events of a camera, the sink gets them by number."""
    got: list[int] = []
    m = maker(lambda event: got.append(event.seq))

    def work() -> None:
        for _ in range(200):
            m.gap("hall", T0, T0, "timeout")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == list(range(800))


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 1.5, -0.5])
def test_nonsense_is_refused_and_uses_no_number(score: float) -> None:
    """A score that is none makes no document, and leaves no hole in the numbers."""
    m = maker()
    face = dataclasses.replace(FACE, decision=Decision("with_mask", score))
    with pytest.raises(BadDataError, match=r"faces\.0\.score"):
        m.frame(frame_of("hall"), [face], "ran")
    assert m.frame(frame_of("hall"), [FACE], "ran").seq == 0


def test_endless_numbers_are_refused() -> None:
    """Infinity has no place in JSON."""
    with pytest.raises(BadDataError, match="blind_s"):
        maker().compliance(dataclasses.replace(PERIOD, blind={"hall": float("inf")}))


def test_a_connecting_camera_is_no_news() -> None:
    """There is no event for a camera that is still trying."""
    with pytest.raises(BadDataError, match="state"):
        maker().camera(CameraStatus("hall", "connecting", T0))


def test_a_period_without_a_rate_still_has_its_denominator() -> None:
    """Where too few were judged the rate is null, not 0 and not 1, and their number is told."""
    persons: dict[Any, int] = {"unknown": 4, "with_mask": 1}
    document = check(
        maker().compliance(dataclasses.replace(PERIOD, rate=None, persons=persons, blind={}))
    )
    assert (document["rate"], document["denominator"]) == (None, 1)
    assert (document["persons"]["seen"], document["coverage"]) == (5, 1.0)


def test_coverage_is_what_blindness_leaves() -> None:
    """Half a minute blind, of two cameras over a minute, leaves three quarters."""
    document = check(maker().compliance(dataclasses.replace(PERIOD, blind={"door": 30.0})))
    assert (document["blind_s"], document["coverage"]) == (30.0, 0.75)
    assert document["blind"] == {"door": 30.0}


def test_events_of_several_cameras_are_numbered_apart() -> None:
    """What belongs to no single camera counts under the reserved camera `all`."""
    m = maker()
    made = [m.compliance(PERIOD), m.compliance(PERIOD), m.gap("hall", T0, T0, "timeout")]
    assert [event.event_id for event in made] == [
        "1ngaxyz00000:compliance:all:0",
        "1ngaxyz00000:compliance:all:1",
        "1ngaxyz00000:alerts:hall:0",
    ]


def test_boxes_are_cut_at_the_edge() -> None:
    """A face that stands half outside has the box of its visible part."""
    document = check(maker().frame(frame_of("hall"), [unsure(1)], "ran"))
    [face] = document["faces"]
    assert face["box"] == [0.0, 700.0, 15.0, 20.0]
    assert face["track_id"] is None


def test_the_detail_of_a_fault_stays_inside() -> None:
    """What a camera's fault said in full is not published."""
    assert b"no packet" not in examples()["camera"].document


shares = st.floats(0, 1)
edges = st.floats(-3_000, 9_000)
faces = st.builds(
    lambda box, score, label, p: Face(
        Track(1, Box(*box), score, 3, True, True, T0), Decision(label, score), p
    ),
    st.tuples(edges, edges, edges, edges).map(
        lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
    ),
    shares,
    st.sampled_from(["with_mask", "without_mask", "mask_worn_incorrectly"]),
    st.none() | st.tuples(shares, shares, shares),
)


@given(st.lists(faces, max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_faces_make_a_valid_document(found: list[Face]) -> None:
    """Whatever the stages find, its document follows the schema and counts its faces."""
    document = check(maker().frame(frame_of("hall"), found, "ran"))
    assert sum(document["counts"].values()) == len(found)


def test_run_ids_sort_by_time() -> None:
    """A later start has a greater id; two of one second differ."""
    ids = [new_run_id(T0 + second) for second in (0, 1, 31, 32, 100_000, 1e9)]
    assert ids == sorted(ids)
    assert {len(run_id) for run_id in ids} == {12}
    assert new_run_id(T0) != new_run_id(T0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_795_520_000.125, "2026-11-24T11:33:20.125Z"),
        (1_795_520_000.9996, "2026-11-24T11:33:21.000Z"),
    ],
)
def test_times_are_rfc_3339(seconds: float, text: str) -> None:
    """Milliseconds, rounded, in UTC."""
    assert rfc3339(seconds) == text
