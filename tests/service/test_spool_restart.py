"""A worker that is killed while Redis is away: what was on disk arrives, once, in order."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from service.redis_server import client_of
from service.worker_process import (
    WorkerProcess,
    documents,
    faces_clip,
    free_port,
    wait_for,
    worker,
)

from worker.output.embedded import RedisServer, valkey_binary

pytestmark = pytest.mark.timeout(180)


def by_run(events: list[dict[str, Any]]) -> dict[str, list[int]]:
    """The numbers of each run, in the order in which they lie there."""
    runs: dict[str, list[int]] = {}
    for event in events:
        runs.setdefault(event["run_id"], []).append(event["seq"])
    return runs


def accounted(of: WorkerProcess) -> bool:
    """Created + recovered = published + lost + in memory + on disk; the worker is at rest."""
    metric = of.metric
    made = metric("maskwatch_events_created_total") + metric("maskwatch_events_recovered_total")
    kept = metric("maskwatch_events_spooled") + metric("maskwatch_queue_depth", stage="publish")
    gone = metric("maskwatch_events_published_total") + metric("maskwatch_events_lost_total")
    return made == kept + gone


def test_kills_while_redis_is_away(tmp_path: Path) -> None:
    """Three lives: two are killed, the third finds Redis, loses it for a while, and stops."""
    clip = faces_clip(tmp_path / "faces.mp4")
    server = RedisServer(valkey_binary(), port=free_port())
    configuration = (
        f'[cameras.hall]\nurl = "{clip}"\nrealtime = true\nloop = true\nanalyse_fps = 4\n'
        f'[redis]\nurl = "redis://127.0.0.1:{server.port}/0"\ntimeout_s = 0.5\n'
    )
    on_disk = 0.0
    for _ in range(2):
        with worker(configuration, tmp_path) as running:
            running.started()
            assert running.metric("maskwatch_events_recovered_total") >= on_disk
            before = on_disk
            wait_for(
                lambda before=before: running.metric("maskwatch_events_spooled") >= before + 12
            )
            on_disk = running.metric("maskwatch_events_spooled")
            running.process.kill()
            running.process.wait()
    server.start()
    try:
        with worker(configuration, tmp_path) as running, client_of(server) as client:
            running.started()
            assert running.metric("maskwatch_events_recovered_total") >= on_disk
            wait_for(lambda: running.metric("maskwatch_events_published_total") >= on_disk)
            os.kill(server.pid, signal.SIGSTOP)
            wait_for(lambda: running.metric("maskwatch_events_spooled") >= 4)
            os.kill(server.pid, signal.SIGCONT)
            wait_for(
                lambda: (
                    running.metric("maskwatch_redis_up") == 1
                    and running.metric("maskwatch_events_spooled") == 0
                )
            )
            wait_for(lambda: accounted(running))
            assert running.metric("maskwatch_events_lost_total") == 0
            assert running.terminate() == 0
            frames = documents(client, "maskwatch:frames:hall")
            alerts = documents(client, "maskwatch:alerts")
    finally:
        server.stop()

    ids = [event["event_id"] for event in (*frames, *alerts)]
    assert len(ids) == len(set(ids)) >= on_disk
    assert [run for run, _ in itertools.groupby(event["run_id"] for event in frames)] == list(
        by_run(frames)
    )
    for numbers in (*by_run(frames).values(), *by_run(alerts).values()):
        assert numbers == list(range(len(numbers)))
    assert len(by_run(frames)) == 3
    gaps = [event["reason"] for event in alerts if event["schema"] == "maskwatch.gap/1"]
    assert gaps == ["killed", "killed"]
    opened = [e["track_id"] for e in alerts if "track_id" in e and e["phase"] == "start"]
    ended = [e["track_id"] for e in alerts if "track_id" in e and e["phase"] == "end"]
    assert sorted(opened) == sorted(ended)
    assert "restarted" in {event.get("end_reason") for event in alerts}
