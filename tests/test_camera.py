"""What is open ends when nobody watches any more, and never beside a frame on its way."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from fakes import frame, noise

from worker.camera import CameraRun
from worker.capture.clock import Moment
from worker.config import Camera
from worker.errors import CameraError
from worker.metrics import Metrics
from worker.output.rules.compliance import Compliance
from worker.records import CameraState, CameraStatus, Gap


class OpenPipeline:
    """A pipeline that only tells how it is used, and finds out when it is used twice at once."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._lock = threading.Lock()

    def _note(self, call: str) -> None:
        assert self._lock.acquire(blocking=False), "two threads at once"
        self.calls.append(call)
        self._lock.release()

    def begin(self, _: Any) -> str:
        self._note("begin")
        return "pending"

    def close(self, _camera: str, reason: str, _now_s: float) -> None:
        self._note(reason)


class Told:
    """An event maker that makes nothing."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **_keys: self.made.append((name, *arguments))


class Rig:
    """A camera whose source never runs: its frames and states come from the test."""

    def __init__(self, **camera: Any) -> None:
        self.pipeline: Any = OpenPipeline()
        self.compliance = Compliance(
            {"all": ["hall"]}, period_s=60, min_persons=1, now_s=time.monotonic(), now=0.0
        )
        self.ready: list[CameraRun] = []
        self.told: Any = Told()
        self.run = CameraRun(
            "hall",
            Camera(url="rtsp://192.0.2.1/x", **camera),
            self.pipeline,
            self.told,
            compliance=self.compliance,
            metrics=Metrics().add_camera("hall"),
            on_ready=self.ready.append,
        )

    def become(self, state: CameraState) -> None:
        reason: Any = "timeout" if state == "down" else None
        self.run.status(CameraStatus("hall", state, time.time(), reason))
        self.run.tell_changes()

    def freeze(self) -> None:
        """Its picture stands still since ten seconds."""
        self.run.status(CameraStatus("hall", "up", time.time() - 10, "frozen"))
        self.run.tell_changes()

    def put(self, at_s: float) -> None:
        """A frame arrives in the slot."""
        self.run._slot.put(frame(noise(), time.monotonic() - 100.0 + at_s))


def test_a_camera_that_leaves_while_blind_has_its_gap() -> None:
    """Who mends an address while the camera is down still reads how long it was."""
    rig = Rig()
    sight = rig.run._source._sight
    sight.connects(Moment(1_000.0, 10.0))
    sight.sees(Moment(1_001.0, 11.0))
    sight.fails(CameraError("refused", "nobody"), "", Moment(1_002.0, 12.0))
    rig.run.tell_changes()
    rig.run.retire()
    rig.run.leave()
    kinds = [name for name, *_ in rig.told.made]
    assert kinds == ["camera", "camera", "camera", "gap"]
    assert rig.run.condition.state == "off"
    assert rig.told.made[-1][-1] == "refused"


def test_nobody_is_visible_on_a_dead_camera() -> None:
    """Not even who was in the frame that was on its way when it went."""
    rig = Rig()
    rig.put(0.0)
    rig.run.begin()
    rig.become("down")
    rig.run._metrics.visible["without_mask"].set(1)
    rig.run.rest()
    assert rig.run._metrics.visible["without_mask"]._value.get() == 0


def test_blind_time_goes_by_the_monotonic_clock() -> None:
    """A wall clock that was set meanwhile makes no hour of ten seconds."""
    rig = Rig()
    rig.become("up")
    now_s = time.monotonic()
    rig.compliance._start_s = now_s - 7_200
    status = CameraStatus("hall", "down", time.time() - 3_600, "stalled", since_s=now_s - 10)
    rig.run.status(status)
    assert rig.compliance.now("all", now_s, 7_200.0).blind_s == pytest.approx(10.0, abs=1.0)


@pytest.mark.parametrize("state", ["down", "off"])
def test_a_blind_camera_ends_what_is_open(state: CameraState) -> None:
    """At once, where no frame is on its way."""
    rig = Rig()
    rig.become("up")
    assert rig.pipeline.calls == []
    rig.become(state)
    assert rig.pipeline.calls == ["camera_down"]


def test_a_frame_on_its_way_is_waited_for() -> None:
    """It might begin something after the end of all; so the end comes right behind it."""
    rig = Rig()
    rig.put(0.0)
    rig.run.begin()
    rig.become("down")
    assert rig.pipeline.calls == ["begin"]
    rig.run.rest()
    assert rig.pipeline.calls == ["begin", "camera_down"]
    rig.put(0.1)
    assert rig.ready == [rig.run, rig.run]


def test_a_frame_that_came_meanwhile_gets_its_turn() -> None:
    """An end between two frames delays nothing."""
    rig = Rig()
    rig.put(0.0)
    rig.run.begin()
    rig.put(0.1)
    rig.become("down")
    rig.run.rest()
    assert rig.ready == [rig.run, rig.run]
    assert rig.run.begin() is not None


def test_a_file_ends_what_is_open_after_its_last_frame() -> None:
    """Not before: a file's frames all count."""
    rig = Rig()
    rig.put(0.0)
    rig.become("ended")
    assert rig.pipeline.calls == []
    rig.run.begin()
    rig.run.rest()
    rig.run.tell_changes()
    assert rig.pipeline.calls == ["begin", "ended"]


def test_states_reach_compliance_at_once() -> None:
    """Blind seconds don't wait for the main thread."""
    rig = Rig()
    rig.run.status(CameraStatus("hall", "up", time.time()))
    later_s = time.monotonic() + 60
    before = rig.compliance.now("all", later_s, 60.0).blind_s
    assert rig.compliance.now("all", later_s + 60, 120.0).blind_s == before


def test_a_frozen_camera_is_up_and_sees_nobody() -> None:
    """What is open ends, and compliance counts it as blind since its picture stands."""
    rig = Rig()
    rig.become("up")
    begin_s = time.monotonic()
    rig.freeze()
    assert rig.pipeline.calls == ["camera_down"]
    assert rig.run.condition.state == "up"
    blind_s = rig.compliance.now("all", begin_s + 60, 60.0).blind_s
    assert blind_s == pytest.approx(60.0, abs=1.0)  # the period began with the test


def test_a_gap_is_told_after_the_return() -> None:
    """First that the camera sees again, then what it missed; both in order with all others."""
    rig = Rig()
    rig.run.status(CameraStatus("hall", "down", 100.0, "stalled"))
    rig.run.status(CameraStatus("hall", "up", 160.0))
    rig.run.gap(Gap("hall", 100.0, 160.0, "stalled"))
    assert rig.run.tell_changes()
    names = [made[0] for made in rig.told.made]
    assert names == ["camera", "camera", "gap"]
    assert rig.told.made[-1] == ("gap", "hall", 100.0, 160.0, "stalled")


def test_ends_and_frames_never_meet() -> None:
    """Whatever the threads do, the pipeline sees one of them at a time, and no frame is left."""
    rig = Rig()
    turns: list[CameraRun] = rig.ready
    done = threading.Event()

    def detect() -> None:
        while not done.is_set() or turns:
            if turns:
                turns.pop().begin()
                rig.run.rest()

    thread = threading.Thread(target=detect)
    thread.start()
    for n in range(300):
        rig.put(n / 1_000)
        rig.become("down" if n % 2 else "up")
    done.set()
    thread.join()
    assert not rig.run._slot.ready
    assert rig.pipeline.calls.count("camera_down") >= 1
