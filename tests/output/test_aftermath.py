"""A life that ended without a word is told by the next one: gaps, and ends of what was open."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from output.rig import PERIOD, SUMMARY, Rig, frame_of, wait_for

from worker.output.disk.aftermath import Aftermath
from worker.output.embedded import RedisServer
from worker.output.event import Event, RuleSummary, ViolationSummary
from worker.records import CameraState, CameraStatus

Make = Callable[..., Rig]

NOWHERE = "redis://127.0.0.1:1/0"
T0 = 1_795_520_000.0
VIOLATION = ViolationSummary(3, 12, "without_mask", T0 - 5.0, 5.0, 0.9, "till")


class Life:
    """A worker's output without a worker, beside a Redis that is away."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.folder = folder
        self.told: list[dict[str, Any]] = []
        assert rig.spool is not None
        self.aftermath = Aftermath(rig.spool.former, rig.events)
        rig.events._sink = self._put
        rig.start_disk()

    def _put(self, event: Event) -> None:
        self.told.append(json.loads(event.document))
        self.rig.publisher.put(event)

    def frame(self, at: float, camera: str = "hall") -> None:
        self.rig.events.frame(frame_of(camera, at), [], "ran")

    def settle(self) -> None:
        """Wait until all that was made and noted is on disk."""
        wait_for(lambda: self.rig.publisher.depth == 0)
        spool = self.rig.spool
        assert spool is not None
        spool._turn._beat_s = float("-inf")
        with self.rig.publisher._backlog.lock:
            spool._wake.notify_all()
        wait_for(lambda: spool._turn._beat_s > 0 and not spool.journal.page.watched_until)

    def killed(self, folder: Path) -> Path:
        """The state as a kill at this moment would leave it."""
        self.settle()
        shutil.copytree(self.folder, folder)
        return folder

    def ticks(self, at: float, **states: CameraState) -> None:
        """One look of the main thread; cameras that are not named are ``up``."""
        statuses = {
            camera: CameraStatus(camera, states.get(camera, "up"), at)
            for camera in ("hall", "door")
        }
        self.aftermath.tick(statuses, self.rig.publisher.first_frame, at)

    def ends(self) -> list[tuple[str, str, float]]:
        return [
            (
                e.get("violation_id") or e.get("rule_id") or e["track_id"],
                e["end_reason"],
                e["duration_s"],
            )
            for e in self.told
            if e.get("phase") == "end"
        ]

    def gaps(self) -> list[tuple[str, str, float]]:
        return [
            (e["camera_id"], e["reason"], e["duration_s"])
            for e in self.told
            if e["schema"] == "maskwatch.gap/1"
        ]


@pytest.fixture
def life(rig_for: Make) -> Callable[..., Life]:
    """Begins a life on a folder."""
    runs = iter(range(10))

    def begin(folder: Path) -> Life:
        return Life(rig_for(NOWHERE, folder=folder, run_id=f"1ngaxyz0000{next(runs)}"), folder)

    return begin


def test_a_kill_is_told_as_a_gap(life: Callable[..., Life], tmp_path: Path) -> None:
    """From the last frame before to the first one after, with its reason."""
    first = life(tmp_path / "a")
    first.frame(T0 - 1)
    first.frame(T0)
    second = life(first.killed(tmp_path / "b"))
    second.aftermath.begin(["hall"], T0 + 60)
    second.ticks(T0 + 61)
    assert second.gaps() == []
    second.frame(T0 + 62)
    second.frame(T0 + 63)
    second.ticks(T0 + 63)
    second.ticks(T0 + 64)
    assert second.gaps() == [("hall", "killed", 62.0)]


def test_an_ordered_stop_is_told_as_a_gap(life: Callable[..., Life], tmp_path: Path) -> None:
    """The reason says that it was meant."""
    first = life(tmp_path)
    first.frame(T0)
    first.rig.close(0.0)
    second = life(tmp_path)
    second.frame(T0 + 5)
    second.ticks(T0 + 5)
    assert second.gaps() == [("hall", "stopped", 5.0)]


def test_a_second_death_keeps_the_gap(life: Callable[..., Life], tmp_path: Path) -> None:
    """As long as no gap event has told of it, the time stays unaccounted for."""
    first = life(tmp_path / "a")
    first.frame(T0)
    second = life(first.killed(tmp_path / "b"))
    second.frame(T0 + 10)  # and it dies before it could tell
    third = life(second.killed(tmp_path / "c"))
    third.frame(T0 + 30)
    third.ticks(T0 + 30)
    assert third.gaps() == [("hall", "killed", 30.0)]
    third.frame(T0 + 31)
    fourth = life(third.killed(tmp_path / "d"))
    fourth.frame(T0 + 40)
    fourth.ticks(T0 + 40)
    assert fourth.gaps() == [("hall", "killed", 9.0)]


def test_a_camera_that_stays_down_is_accounted_for_from_then_on(
    life: Callable[..., Life], tmp_path: Path
) -> None:
    """Its own gap begins where this one ends."""
    first = life(tmp_path / "a")
    first.frame(T0)
    second = life(first.killed(tmp_path / "b"))
    second.ticks(T0 + 7, hall="down")
    assert second.gaps() == [("hall", "killed", 7.0)]


def test_a_camera_that_was_off_was_not_missed(life: Callable[..., Life], tmp_path: Path) -> None:
    """Outside its hours only the time without a worker counts."""
    first = life(tmp_path / "a")
    first.frame(T0)
    first.rig.publisher.put_state(CameraStatus("hall", "off", T0 + 1))
    second = life(first.killed(tmp_path / "b"))
    assert second.rig.spool is not None
    [camera] = second.rig.spool.former.unwatched
    assert camera.since == second.rig.spool.former.died_at


def test_what_was_open_is_ended_under_its_name(life: Callable[..., Life], tmp_path: Path) -> None:
    """Tracks, violations and rules end when they were last known; ended ones do not again."""
    first = life(tmp_path / "a")
    first.rig.events.track("hall", "start", SUMMARY)
    first.rig.events.violation("hall", "start", VIOLATION)
    first.rig.events.violation("hall", "update", VIOLATION)
    first.rig.events.rule("start", RuleSummary(1, 0.9, T0 - 180, 180.0, PERIOD))
    for phase in ("start", "end"):
        first.rig.events.track("door", phase, dataclasses.replace(SUMMARY, number=13))
    first.frame(T0 + 2)
    second = life(first.killed(tmp_path / "b"))
    second.aftermath.begin(["hall", "door"], T0 + 60)
    names = ["1ngaxyz00000-12", "1ngaxyz00000-v3", "1ngaxyz00000-r1"]
    assert [name for name, _, _ in second.ends()] == names
    assert second.ends()[1] == ("1ngaxyz00000-v3", "restarted", 7.0)
    third = life(second.killed(tmp_path / "c"))
    third.aftermath.begin(["hall", "door"], T0 + 70)
    assert third.ends() == []


def test_a_camera_that_is_no_more_is_closed_as_well(
    life: Callable[..., Life], tmp_path: Path
) -> None:
    """Its violations end and its gap is told once."""
    first = life(tmp_path / "a")
    first.frame(T0)
    first.rig.events.violation("hall", "start", VIOLATION)
    second = life(first.killed(tmp_path / "b"))
    second.aftermath.begin(["door"], T0 + 60)
    assert second.gaps() == [("hall", "killed", 60.0)]
    assert [reason for _, reason, _ in second.ends()] == ["restarted"]


def test_what_begins_is_noted_before_anybody_is_told(
    shared_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """However soon after it the worker is killed, the next life knows what is open."""
    rig = rig_for(shared_redis, folder=tmp_path / "a").start()
    wait_for(lambda: rig.publisher.connected)
    for number in range(10):
        summary = dataclasses.replace(SUMMARY, number=number)
        rig.events.track("hall", "start", summary)
        wait_for(lambda number=number: len(rig.counts.sent) > number)  # type: ignore[misc]
        shutil.copytree(tmp_path / "a", tmp_path / f"b{number}")
        copy = rig_for(NOWHERE, folder=tmp_path / f"b{number}")
        assert copy.spool is not None
        assert len(copy.spool.former.open) == number + 1
    assert rig.counts.replays == 0
