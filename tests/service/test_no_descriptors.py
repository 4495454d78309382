"""A worker that may open nothing more goes on with what is open, says so, and comes back."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from service.redis_server import client_of
from service.worker_process import documents, faces_clip, wait_for, worker

from worker.output.embedded import RedisServer

pytestmark = pytest.mark.timeout(180)


def test_what_is_open_goes_on_and_the_rest_comes_later(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """Its Redis, here; the camera is down for a reason, and pages wait."""
    clip = faces_clip(tmp_path / "faces.mp4", seconds=2)
    text = (
        f'[cameras.hall]\nurl = "{clip}"\nrealtime = true\nloop = true\nanalyse_fps = 4\n'
        f'[redis]\nurl = "{redis_server.url}"\n'
    )
    with worker(text, tmp_path) as running, client_of(redis_server) as client:

        def state() -> tuple[str | None, str | None]:
            state, reason = client.hmget("maskwatch:camera:hall", "state", "reason")
            return state, reason

        running.started()
        wait_for(lambda: client.xlen("maskwatch:frames:hall") >= 2)
        pid = running.process.pid
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, usual[1]))
        wait_for(lambda: state() == ("down", "unreachable"))
        assert running.get("/healthz") == b""
        assert running.process.poll() is None
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        wait_for(lambda: state() == ("up", ""))
        wait_for(lambda: running.get("/healthz") == b"alive\n")
        assert running.metric("maskwatch_events_lost_total") == 0
        assert running.terminate() == 0
        events = documents(client, "maskwatch:frames:hall")
        assert [event["seq"] for event in events] == list(range(len(events)))
        log = running.log.read_text()
    assert "Too many open files" in log
    assert "Traceback" not in log, log
