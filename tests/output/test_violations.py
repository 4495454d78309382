"""A violation begins late, bears doubt, and always ends, with a reason."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.output.rules.violations import Change, ViolationWatch
from worker.records import Box, Decision, Face, Label, Track
from worker.venue import Violations

RULES = {
    "enter_score": 0.8,
    "enter_s": 2.0,
    "leave_score": 0.5,
    "leave_s": 3.0,
    "update_s": 10.0,
    "cool_down_s": 30.0,
}
BARE, MASKED = Decision("without_mask", 0.9), Decision("with_mask", 0.9)
WRONG, UNKNOWN = Decision("mask_worn_incorrectly", 0.9), Decision("unknown", 0.7, "undecided")


class Scene:
    """One camera; each step is one frame with the same decision on every track in it."""

    def __init__(self, *zones: str, **rules: Any) -> None:
        self.zones = zones or ("till",)
        self.watch = ViolationWatch(
            Violations(**{**RULES, **rules}), self.zones, itertools.count(1)
        )

    def step(
        self, at_s: float, decision: Decision, *tracks: int, zones: tuple[str, ...] | None = None
    ) -> list[Change]:
        numbers = tracks or (1,)
        faces = [face(number, decision) for number in numbers]
        where = frozenset(self.zones if zones is None else zones)
        return self.watch.watch(faces, dict.fromkeys(numbers, where), at_s, 1_000.0 + at_s)

    def told(self, *steps: tuple[float, Decision]) -> list[tuple[float, str, str | None]]:
        """When what was told."""
        return [
            (at_s, change.phase, change.end_reason)
            for at_s, decision in steps
            for change in self.step(at_s, decision)
        ]


def face(number: int, decision: Decision) -> Face:
    return Face(Track(number, Box(0, 0, 9, 9), 0.9, 3, True, True, 0.0), decision, None)


def test_time_unseen_is_no_time_of_violation() -> None:
    """Two looks with a gap between them say nothing of the gap."""
    scene = Scene()
    scene.step(0.0, BARE)
    for n in range(1, 10):
        scene.watch.watch([], {}, n / 5, 1_000.0 + n / 5)
    assert scene.step(2.0, BARE) == []
    told = [scene.step(2.0 + n / 5, BARE) for n in range(1, 12)]
    assert sum(map(len, told)) == 1
    (change,) = next(changes for changes in told if changes)
    assert change.violation.duration_s == pytest.approx(2.0, abs=0.21)
    assert change.violation.started_at == pytest.approx(1_001.8)


def test_time_unseen_does_not_end_a_violation() -> None:
    """Hidden for long and then undecided once: ``leave_s`` has only begun."""
    scene = Scene()
    for n in range(4):
        scene.step(float(n), BARE)
    for n in range(20, 60):
        scene.watch.watch([], {}, n / 5, 1_000.0 + n / 5)
    assert scene.step(12.0, UNKNOWN) == []
    ended = [scene.step(12.0 + n / 5, UNKNOWN) for n in range(1, 40)]
    assert [c.end_reason for changes in ended for c in changes] == ["unknown"]


def test_one_begins_once_it_has_lasted() -> None:
    """Not with the first frame, but it is told since when it really is."""
    scene = Scene()
    assert scene.step(5.0, BARE) == []
    assert scene.step(6.9, BARE) == []
    [change] = scene.step(7.0, BARE)
    assert change.phase == "start"
    violation = change.violation
    assert (violation.kind, violation.track, violation.zone) == ("without_mask", 1, "till")
    assert (violation.started_at, violation.duration_s, violation.score) == (1_005.0, 2.0, 0.9)
    assert scene.watch.active == (violation,)


def test_scores_at_the_bounds_are_enough() -> None:
    """What is configured is the least that is asked for."""
    enough, kept = Decision("without_mask", 0.8), Decision("without_mask", 0.5)
    steps = [(0, enough), (2, enough), *((n, kept) for n in range(3, 10))]
    assert Scene().told(*steps) == [(2, "start", None)]


@pytest.mark.parametrize("doubt", [MASKED, UNKNOWN, WRONG, Decision("without_mask", 0.79)])
def test_a_single_doubt_begins_the_time_anew(doubt: Decision) -> None:
    """Every decision until the start has to be sure."""
    told = Scene().told((0, BARE), (1, doubt), (2, BARE), (3.9, BARE), (4, BARE))
    assert told == [(4, "start", None)]


def test_none_begins_on_unknown() -> None:
    """Whoever cannot be judged is in no violation, however long."""
    assert Scene().told(*((n, UNKNOWN) for n in range(100))) == []


def test_without_enter_time_the_first_frame_counts() -> None:
    """No delay, where none is wanted."""
    assert Scene(enter_s=0).told((0, BARE)) == [(0, "start", None)]


def test_doubt_does_not_end_one() -> None:
    """Until it has lasted for the leave time, a wrong decision changes nothing."""
    steps = [(0, BARE), (2, BARE), (3, MASKED), (4, UNKNOWN), (4.9, MASKED), (5, BARE), (7, MASKED)]
    assert Scene().told(*steps) == [(2, "start", None)]


def test_a_lower_score_keeps_it_open() -> None:
    """To go on takes less than to begin."""
    low = Decision("without_mask", 0.55)
    assert Scene().told((0, BARE), (2, BARE), *((n, low) for n in range(3, 9))) == [
        (2, "start", None)
    ]


@pytest.mark.parametrize(
    ("decision", "reason"),
    [
        (MASKED, "complied"),
        (WRONG, "changed"),
        (UNKNOWN, "unknown"),
        (Decision("without_mask", 0.49), "unknown"),
    ],
)
def test_one_ends_when_the_decision_changed_for_long_enough(
    decision: Decision, reason: str
) -> None:
    """With what it changed to as the reason."""
    told = Scene().told((0, BARE), (2, BARE), (3, decision), (4.9, decision), (5, decision))
    assert told == [(2, "start", None), (5, "end", reason)]


def test_another_kind_begins_on_its_own() -> None:
    """A mask that was pulled under the nose is a violation of its own, after the first one."""
    steps = [(0, BARE), (2, BARE), *((n, WRONG) for n in range(3, 9))]
    assert Scene().told(*steps) == [(2, "start", None), (5, "end", "changed"), (7, "start", None)]


def test_updates_come_at_intervals() -> None:
    """One every so often while it lasts, with its highest score."""
    scene = Scene()
    for at_s in range(2):
        scene.step(at_s, BARE)
    scene.step(2, BARE)
    scene.step(3, Decision("without_mask", 0.97))
    told = [(n, change) for n in range(4, 30) for change in scene.step(n, BARE)]
    assert [(n, change.phase) for n, change in told] == [(12, "update"), (22, "update")]
    assert told[0][1].violation.score == 0.97
    assert told[0][1].violation.number == told[1][1].violation.number == 1


def test_none_begins_while_it_cools_down() -> None:
    """After an end the same person begins none of that kind for a while."""
    scene = Scene(leave_s=0, cool_down_s=30)
    steps = [(0, BARE), (2, BARE), (3, MASKED), *((n, BARE) for n in range(4, 40))]
    assert scene.told(*steps) == [(2, "start", None), (3, "end", "complied"), (35, "start", None)]


def test_who_leaves_the_zone_ends_it() -> None:
    """What is not seen in the zone is not told of in it."""
    scene = Scene()
    scene.told((0, BARE), (2, BARE))
    [change] = scene.step(3, BARE, zones=())
    assert (change.phase, change.end_reason) == ("end", "left_zone")
    assert scene.watch.active == ()


def test_each_zone_has_its_own() -> None:
    """A person in two zones is told of in both, and leaves one of them."""
    scene = Scene("door", "till")
    scene.step(0, BARE)
    assert [c.violation.zone for c in scene.step(2, BARE)] == ["door", "till"]
    [change] = scene.step(3, BARE, zones=("till",))
    assert (change.violation.zone, change.end_reason) == ("door", "left_zone")


def test_zones_without_the_rule_are_left_alone() -> None:
    """Only the chosen zones tell of violations."""
    scene = Scene("till")
    assert not [c for n in range(9) for c in scene.step(n, BARE, zones=("all", "door"))]


def test_kinds_that_are_not_asked_for_are_not_told() -> None:
    """A venue may not mind how a mask is worn."""
    scene = Scene(kinds=["without_mask"])
    assert scene.told(*((n, WRONG) for n in range(9))) == []
    assert Scene(kinds=[]).told(*((n, BARE) for n in range(9))) == []


@pytest.mark.parametrize("reason", ["gone", "camera_down", "stopped"])
def test_one_ends_with_its_track(reason: Any) -> None:
    """In every zone, with the reason of the track's end."""
    scene = Scene("door", "till")
    scene.told((0, BARE), (2, BARE))
    ends = scene.watch.end([1, 7], reason, 4.0)
    assert [(c.phase, c.violation.zone, c.end_reason, c.violation.duration_s) for c in ends] == [
        ("end", "door", reason, 4.0),
        ("end", "till", reason, 4.0),
    ]
    assert scene.watch.active == ()


def test_what_never_began_never_ends() -> None:
    """A mere suspicion is not told of at the end of its track."""
    scene = Scene()
    scene.step(0, BARE)
    assert scene.watch.end([1], "gone", 1.0) == []


def test_nothing_is_kept_of_tracks_that_ended() -> None:
    """Memory holds those who are there."""
    scene = Scene("door", "till")
    for number in range(1, 200):
        scene.step(number, BARE, number)
        scene.watch.end([number], "gone", number)
    assert not scene.watch._persons


frames = st.lists(
    st.tuples(
        st.sampled_from([0.1, 0.5, 2.0, 5.0]),
        st.sampled_from(["with_mask", "without_mask", "mask_worn_incorrectly", "unknown"]),
        st.sampled_from([0.3, 0.6, 0.9]),
        st.booleans(),
    ),
    max_size=60,
)


@given(frames)
@settings(max_examples=200, deadline=None)
def test_lives_are_whole(scenes: list[tuple[float, Label, float, bool]]) -> None:
    """Whatever is decided: one start, updates, one end each; never two open of one person."""
    scene = Scene(cool_down_s=1.0)
    changes: list[Change] = []
    now_s = 0.0
    for pause_s, label, score, inside in scenes:
        now_s += pause_s
        zones = ("till",) if inside else ()
        changes += scene.step(now_s, Decision(label, score), zones=zones)
        assert len(scene.watch.active) <= 1
    changes += scene.watch.end([1], "stopped", now_s)
    lives = itertools.groupby(changes, key=lambda change: change.violation.number)
    for life in ([change.phase for change in group] for _, group in lives):
        assert life[0] == "start"
        assert life[-1] == "end"
        assert set(life[1:-1]) <= {"update"}
