"""Cameras come, change and go without waiting for what hangs, and no other is touched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from service.worker_process import wait_for

from worker.capture.source import Source
from worker.config import Camera, Http, Settings
from worker.config import Redis as RedisSettings
from worker.config_changes import changes_between
from worker.fleet import CHANGE_WAIT_S, Fleet
from worker.service import Service


class Rig:
    """The fleet of a service that was never started, and whose sources hang in a library."""

    def __init__(self) -> None:
        self.now_s = time.monotonic()
        self.service = Service(
            Settings(
                cameras={name: Camera(url=f"rtsp://192.0.2.1/{name}") for name in ("hall", "door")},
                redis=RedisSettings(url="redis://127.0.0.1:1/0"),
                http=Http(port=0),
            )
        )
        for run in self.fleet.runs.values():
            run.start()

    @property
    def fleet(self) -> Fleet:
        return self.service._fleet

    def change(self, **urls: str) -> None:
        """These are the cameras from now on."""
        cameras = {name: Camera(url=f"rtsp://192.0.2.1/{url}") for name, url in urls.items()}
        before = self.service.configuration.settings
        new = before.model_copy(update={"cameras": cameras})
        changes = changes_between(before, new)
        self.service.configuration.settings = changes.settings
        self.service.rules.change(changes.settings, self.now_s, time.time())
        self.fleet.change(changes, self.now_s)
        self.fleet.tend(self.now_s)

    def later(self, seconds: float) -> None:
        self.now_s += seconds
        self.fleet.tend(self.now_s)

    def close(self) -> None:
        for run in self.fleet.runs.values():
            run.stop()
        self.service._http.stop()
        self.service._publisher.close(0.0)
        self.service._state_lock.release()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What all sources hang in, until it is set."""
    returns = threading.Event()
    monkeypatch.setattr(Source, "run", lambda _self: returns.wait(60))
    yield returns
    returns.set()


@pytest.fixture
def rig(library: threading.Event) -> Iterator[Rig]:
    made = Rig()
    yield made
    library.set()
    made.close()


def test_a_camera_that_hangs_is_gone_at_once(rig: Rig, library: threading.Event) -> None:
    """Its thread is watched until it ends; the camera that stays is the same one."""
    stays = rig.fleet.runs["hall"]
    rig.change(hall="hall")
    assert dict(rig.fleet.runs) == {"hall": stays}
    assert rig.fleet.hanging(rig.now_s) == 0
    assert rig.fleet.hanging(rig.now_s + 3_600) == 1
    library.set()
    wait_for(lambda: (rig.fleet.tend(rig.now_s), rig.fleet.hanging(rig.now_s + 3_600) == 0)[1])


def test_a_change_waits_for_the_old_connection_but_not_for_ever(rig: Rig) -> None:
    """Whoever mends an address does not wait for the time-out of the wrong one."""
    hall, door = rig.fleet.runs["hall"], rig.fleet.runs["door"]
    rig.change(hall="other", door="door")
    assert rig.fleet.runs["hall"] is hall
    rig.later(CHANGE_WAIT_S)
    assert rig.fleet.runs["hall"].camera.url == "rtsp://192.0.2.1/other"
    assert rig.fleet.runs["hall"].history is hall.history
    assert rig.fleet.runs["door"] is door


def test_the_last_change_counts(rig: Rig) -> None:
    """A camera that changes again, goes or comes back before it was through begins once."""
    rig.change(hall="one", door="door")
    rig.change(hall="two", door="door")
    rig.later(CHANGE_WAIT_S)
    assert rig.fleet.runs["hall"].camera.url == "rtsp://192.0.2.1/two"
    rig.change(hall="three", door="door")
    rig.change(door="door")
    rig.later(CHANGE_WAIT_S)
    assert set(rig.fleet.runs) == {"door"}
    rig.change(hall="four", door="other")
    rig.change(hall="four")
    rig.change(hall="four", door="third")
    rig.later(CHANGE_WAIT_S)
    urls = {name: run.camera.url for name, run in rig.fleet.runs.items()}
    assert urls == {"hall": "rtsp://192.0.2.1/four", "door": "rtsp://192.0.2.1/third"}
