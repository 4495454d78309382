"""The whole worker as a process, between real streams and a real Redis."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from service.redis_server import client_of, kill
from service.rtsp_server import require_rtsp_server, rtsp_server
from service.worker_process import (
    START_S,
    documents,
    faces_clip,
    free_port,
    wait_for,
    worker,
)

from worker.output.embedded import RedisServer, valkey_binary

pytestmark = pytest.mark.timeout(180)

PASSWORD = "pa55 w@rd/%"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faces_clip(tmp_path_factory.mktemp("clip") / "faces.mp4")


def holes(events: list[dict[str, Any]]) -> list[int]:
    """Numbers that are missing in what should count from 0 without a hole."""
    numbers = [event["seq"] for event in events]
    return [n for n in range(len(numbers)) if n not in set(numbers)]


def test_rtsp_cameras_to_events_and_metrics(
    tmp_path: Path, clip: Path, redis_server: RedisServer
) -> None:
    """Two cameras over TCP, one over UDP, with a password: events, metrics, recovery, end."""
    require_rtsp_server()
    (tmp_path / "secret").write_text(PASSWORD)
    with rtsp_server({"one": clip, "two": clip}, user="viewer", password=PASSWORD) as server:
        cameras = "\n".join(
            f'[cameras.{name}]\nurl = "{server.url(path)}"\nusername = "viewer"\n'
            f'password_file = "{tmp_path}/secret"\nrtsp_transport = "{transport}"\n'
            for name, path, transport in (
                ("hall", "one", "tcp"),
                ("gate", "two", "tcp"),
                ("yard", "one", "udp"),
            )
        )
        configuration = (
            f"[defaults]\nanalyse_fps = 2\nread_timeout_s = 3\n{cameras}"
            f'[redis]\nurl = "{redis_server.url}"\n'
        )
        with worker(configuration, tmp_path) as running, client_of(redis_server) as client:
            running.started()
            for camera in ("hall", "gate", "yard"):
                key = f"maskwatch:frames:{camera}"
                wait_for(lambda key=key: client.xlen(key) >= 4)
            server.kill()
            wait_for(lambda: running.camera_state("hall") == "down")
            assert running.get("/healthz") == b"alive\n"
            server.start()
            wait_for(lambda: all(running.camera_state(c) == "up" for c in ("hall", "gate", "yard")))
            before = client.xlen("maskwatch:frames:hall")
            wait_for(lambda: client.xlen("maskwatch:frames:hall") > before)
            exposition = running.get("/metrics").decode()
            assert running.terminate() == 0

            frames = {
                c: documents(client, f"maskwatch:frames:{c}") for c in ("hall", "gate", "yard")
            }
            alerts = documents(client, "maskwatch:alerts")
            written = "".join(
                [running.log.read_text(), exposition, str(frames), str(alerts)]
                + [str(client.hgetall(f"maskwatch:camera:{c}")) for c in frames]
            )
    for events in frames.values():
        assert holes(events) == []
        assert {event["width"] for event in events} == {640}
    seen = [face for events in frames.values() for event in events for face in event["faces"]]
    assert seen
    states = [
        (event["state"], event["reason"])
        for event in alerts
        if event["schema"] == "maskwatch.camera/1" and event["camera_id"] == "hall"
    ]
    # while it is down its reason may change, which is told as well
    assert [state for state, _ in itertools.groupby(s for s, _ in states)] == ["up", "down", "up"]
    assert states[1][1] in {"ended", "refused", "timeout", "stalled"}
    for secret in (PASSWORD, "pa55", "w%40rd"):
        assert secret not in written


def test_metrics_agree_with_what_redis_holds(
    tmp_path: Path, clip: Path, redis_server: RedisServer
) -> None:
    """Every event that the metrics count as published is in Redis, and none is lost."""
    configuration = (
        f'[cameras.hall]\nurl = "{clip}"\nrealtime = true\nloop = true\nanalyse_fps = 4\n'
        f'[redis]\nurl = "{redis_server.url}"\n'
    )
    with worker(configuration, tmp_path) as running, client_of(redis_server) as client:
        running.started()
        wait_for(lambda: running.metric("maskwatch_events_published_total", type="frame") >= 8)
        os.kill(running.process.pid, signal.SIGSTOP)  # so that nothing moves between two looks
        in_redis = client.xlen("maskwatch:frames:hall")
        os.kill(running.process.pid, signal.SIGCONT)
        analysed = running.metric("maskwatch_frames_analysed_total", camera="hall")
        assert analysed >= in_redis
        assert running.metric("maskwatch_events_lost_total") == 0
        assert running.metric("maskwatch_camera_up", camera="hall") == 1
        assert running.metric("maskwatch_faces_total", camera="hall") > 0
        wait_for(lambda: float(client.hget("maskwatch:camera:hall", "fps") or 0) > 1)
        assert running.terminate() == 0
        assert holes(documents(client, "maskwatch:frames:hall")) == []


def test_file_is_analysed_whole_and_the_worker_ends(
    tmp_path: Path, clip: Path, redis_server: RedisServer
) -> None:
    """From a file no due frame is dropped, and when it has ended the worker ends with 0."""
    configuration = (
        f'[cameras.tape]\nurl = "{clip}"\nanalyse_fps = 5\n[redis]\nurl = "{redis_server.url}"\n'
    )
    with worker(configuration, tmp_path) as running, client_of(redis_server) as client:
        assert running.process.wait(90) == 0, running.log.read_text()
        events = documents(client, "maskwatch:frames:tape")
        ends = [e for e in documents(client, "maskwatch:alerts") if e.get("state") == "ended"]
    assert len(events) == 20
    assert all(event["dropped_since_last"] == {} for event in events)
    assert len(ends) == 1


def test_one_bad_camera_disturbs_no_other(
    tmp_path: Path, clip: Path, redis_server: RedisServer
) -> None:
    """Beside cameras that refuse, are no video or do not exist, a good one goes on."""
    picture = tmp_path / "not-a-video.txt"
    picture.write_text("hello")
    configuration = (
        f'[cameras.good]\nurl = "{clip}"\nrealtime = true\nloop = true\n'
        f'[cameras.refused]\nurl = "rtsp://127.0.0.1:{free_port()}/x"\n'
        f'[cameras.text]\nurl = "{picture}"\nrealtime = true\n'
        f'[cameras.absent]\nurl = "{tmp_path}/nothing.mp4"\nrealtime = true\n'
        f'[redis]\nurl = "{redis_server.url}"\n'
    )
    with worker(configuration, tmp_path) as running, client_of(redis_server) as client:
        running.started()
        wait_for(lambda: client.xlen("maskwatch:frames:good") >= 5)
        for camera in ("refused", "text", "absent"):
            assert wait_for(lambda camera=camera: running.camera_state(camera) == "down")
        assert b'"degraded"' in running.get("/readyz")
        assert running.terminate() == 0
        assert "Traceback" not in running.log.read_text()


def test_redis_that_comes_late_misses_nothing(tmp_path: Path, clip: Path) -> None:
    """A worker that starts without Redis says so, keeps its events, and delivers them all."""
    server = RedisServer(valkey_binary(), port=free_port())
    configuration = (
        f'[cameras.hall]\nurl = "{clip}"\nrealtime = true\nloop = true\nanalyse_fps = 4\n'
        f'[redis]\nurl = "redis://127.0.0.1:{server.port}/0"\n'
    )
    with worker(configuration, tmp_path) as running:
        running.started()
        wait_for(lambda: running.metric("maskwatch_frames_analysed_total") >= 6)
        assert running.metric("maskwatch_redis_up") == 0
        server.start()
        try:
            with client_of(server) as client:
                wait_for(lambda: client.xlen("maskwatch:frames:hall") >= 6)
                kill(server)
                wait_for(lambda: running.metric("maskwatch_redis_up") == 0)
                server.start()
                wait_for(lambda: client.exists("maskwatch:frames:hall"))
                assert running.terminate() == 0
                assert running.metric("maskwatch_events_lost_total") == 0
                after = [event["seq"] for event in documents(client, "maskwatch:frames:hall")]
        finally:
            server.stop()
    assert after == list(range(after[0], after[0] + len(after)))


def test_second_signal_ends_at_once(tmp_path: Path, clip: Path) -> None:
    """Who cannot wait for the ordered end sends the signal again."""
    configuration = (
        f'[worker]\nstop_timeout_s = 60\n[cameras.hall]\nurl = "{clip}"\nrealtime = true\n'
        f'loop = true\n[redis]\nurl = "redis://127.0.0.1:{free_port()}/0"\n'
    )
    with worker(configuration, tmp_path) as running:
        running.started()
        wait_for(lambda: running.metric("maskwatch_frames_analysed_total") >= 1, START_S)
        running.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping in order" in running.log.read_text())
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(5) == 128 + signal.SIGTERM
