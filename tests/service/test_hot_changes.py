"""A running worker reads its configuration again: what changed is touched, and nothing else."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from service.redis_server import client_of
from service.worker_process import WorkerProcess, documents, wait_for, worker

from worker.output.embedded import RedisServer

pytestmark = pytest.mark.timeout(180)

ZONE = "[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]"


class Rig:
    """A worker with some of three cameras, and its Redis."""

    def __init__(self, clip: Path, redis_server: RedisServer, folder: Path, watch: str) -> None:
        self.clip = clip
        self.server = redis_server
        self.folder = folder
        self.watch = watch
        self.running: WorkerProcess

    def text(self, *cameras: str, more: str = "", **fps: int) -> str:
        tables = "".join(
            f'[cameras.{name}]\nurl = "{self.clip}"\nrealtime = true\nloop = true\n'
            f"motion = false\nanalyse_fps = {fps.get(name, 4)}\n"
            for name in cameras
        )
        return (
            f'[worker]\nreload = "{self.watch}"\n{tables}{more}\n'
            f'[redis]\nurl = "{self.server.url}"\n'
        )

    def write(self, text: str) -> None:
        port = f"\n[http]\nport = {self.running.port}\n"
        (self.folder / "maskwatch.toml").write_text(text + port, encoding="utf-8")

    def change(self, text: str) -> None:
        """Write, signal, and wait until it was looked at."""
        name = "maskwatch_config_reloads_total"
        before = self.running.metric(name)
        self.write(text)
        self.running.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.running.metric(name) == before + 1)

    def cameras(self) -> set[str]:
        return {camera["camera_id"] for camera in self.running.state().get("cameras", [])}

    def frames(self, client: Any, camera: str) -> list[dict[str, Any]]:
        return documents(client, f"maskwatch:frames:{camera}")


@pytest.fixture
def rig(clip: Path, redis_server: RedisServer, tmp_path: Path) -> Rig:
    return Rig(clip, redis_server, tmp_path, "signal")


def test_cameras_come_change_and_go_beside_one_that_stays(rig: Rig, tmp_path: Path) -> None:
    """The one that stays keeps its connection; numbers go on in one that comes back."""
    with (
        worker(rig.text("stays", "goes"), tmp_path) as rig.running,
        client_of(rig.server) as client,
    ):
        running = rig.running
        running.started()
        for camera in ("stays", "goes"):
            wait_for(lambda camera=camera: client.xlen(f"maskwatch:frames:{camera}") >= 4)

        rig.change(rig.text("stays", "comes"))
        wait_for(lambda: rig.cameras() == {"stays", "comes"})
        wait_for(lambda: client.xlen("maskwatch:frames:comes") >= 2)
        wait_for(lambda: not client.exists("maskwatch:camera:goes"))
        assert 'camera="goes"' not in running.get("/metrics").decode()
        gone_at = client.xlen("maskwatch:frames:goes")

        rig.change(rig.text("stays", "comes", "goes", comes=2))
        wait_for(lambda: client.xlen("maskwatch:frames:goes") >= gone_at + 2)
        before = client.xlen("maskwatch:frames:comes")
        wait_for(lambda: client.xlen("maskwatch:frames:comes") >= before + 2)
        assert running.metric("maskwatch_events_lost_total") == 0
        assert running.terminate() == 0

        alerts = documents(client, "maskwatch:alerts")
        states = {
            camera: [
                event["state"]
                for event in alerts
                if event["schema"] == "maskwatch.camera/1" and event["camera_id"] == camera
            ]
            for camera in ("stays", "goes", "comes")
        }
        for camera in states:
            events = rig.frames(client, camera)
            assert [event["seq"] for event in events] == list(range(len(events)))
            assert len({event["run_id"] for event in events}) == 1
    assert states == {
        "stays": ["up"],
        "goes": ["up", "off", "up"],
        "comes": ["up", "off", "up"],
    }
    started = {e["track_id"] for e in alerts if e.get("phase") == "start" and "track_id" in e}
    ended = {e["track_id"] for e in alerts if e.get("phase") == "end" and "track_id" in e}
    assert started == ended


def test_a_wrong_configuration_changes_nothing(rig: Rig, tmp_path: Path) -> None:
    """The fault is told as at the start; the worker goes on, and takes the next right one."""
    with worker(rig.text("hall"), tmp_path) as rig.running, client_of(rig.server) as client:
        running = rig.running
        running.started()
        wait_for(lambda: client.xlen("maskwatch:frames:hall") >= 2)
        rig.change(rig.text("hall", "door", hall=90))
        assert rig.cameras() == {"hall"}
        assert running.metric("maskwatch_config_reloads_total", result="refused") == 1
        assert running.metric("maskwatch_config_last_reload_successful") == 0
        assert b"configuration" in running.get("/readyz")
        log = running.log.read_text()
        assert "cameras.hall.analyse_fps: must be less than or equal to 60; got 90" in log
        assert "Traceback" not in log

        rig.change(rig.text("hall", "door").replace("stop_timeout_s", "") + "timeout_s = 3\n")
        wait_for(lambda: rig.cameras() == {"hall", "door"})
        assert running.metric("maskwatch_config_last_reload_successful") == 1
        assert running.metric("maskwatch_config_restart_needed") == 1
        assert "a restart is needed for the new value of redis.timeout_s" in running.log.read_text()
        assert running.terminate() == 0
        assert [
            event["state"]
            for event in documents(client, "maskwatch:alerts")
            if event["schema"] == "maskwatch.camera/1" and event["camera_id"] == "hall"
        ] == ["up"]


def test_a_changed_file_is_taken_over_by_itself(rig: Rig, tmp_path: Path) -> None:
    """Where that is asked for; also a zone, with its periods and its series."""
    rig.watch = "file"
    zone = f"[zones.till]\ncameras = {{ hall = {ZONE} }}\n[compliance]\nperiod_s = 1\n"
    plain = "[compliance]\nperiod_s = 1\n"
    with (
        worker(rig.text("hall", more=plain), tmp_path) as rig.running,
        client_of(rig.server) as client,
    ):
        running = rig.running
        running.started()
        rig.write(rig.text("hall", more=zone))

        def told() -> set[str]:
            return {event["zone"] for event in documents(client, "maskwatch:compliance")}

        wait_for(lambda: "till" in told())
        assert 'zone="till"' in running.get("/metrics").decode()
        rig.write(rig.text("hall", more=plain))
        wait_for(lambda: 'zone="till"' not in running.get("/metrics").decode())
        assert [zone["zone"] for zone in running.state()["zones"]] == ["all"]
        assert running.terminate() == 0
        assert "Traceback" not in running.log.read_text()


def test_a_supervisor_hears_of_it(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As systemd would: ready, alive, reading again, ready, the end."""
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(60)

        def until(word: str) -> None:
            while not heard or not heard[-1].startswith(word):
                heard.append(listener.recv(4_096).decode())

        with worker(rig.text("hall"), tmp_path) as rig.running:
            until("READY=1")
            until("WATCHDOG=1\nSTATUS=1 of 1 cameras see")
            rig.change(rig.text("hall", "door"))
            until("RELOADING=1")
            until("READY=1")
            until("WATCHDOG=1\nSTATUS=2 of 2 cameras see")
            rig.running.process.send_signal(signal.SIGTERM)
            until("STOPPING=1")
            assert rig.running.process.wait(20) == 0
