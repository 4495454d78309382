"""Of two workers of one name one works, wherever they are, and a killed one is soon replaced."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from service.redis_server import client_of
from service.worker_process import documents, wait_for, worker

from worker.output.embedded import RedisServer

pytestmark = pytest.mark.timeout(180)


def configuration(clip: Path, server: RedisServer, state: Path) -> str:
    return (
        f'[worker]\nworker_id = "lobby"\nstate_dir = "{state}"\n'
        f'[cameras.hall]\nurl = "{clip}"\nrealtime = true\nloop = true\nanalyse_fps = 4\n'
        f'[redis]\nurl = "{server.url}"\n'
    )


def folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    return made


def test_a_second_worker_of_the_same_name(
    tmp_path: Path, clip: Path, redis_server: RedisServer
) -> None:
    """On the same folder it does not start; elsewhere it ends when it sees the first one live."""
    key = "maskwatch:frames:hall"
    with (
        worker(configuration(clip, redis_server, tmp_path / "a"), folder(tmp_path, "1")) as first,
        client_of(redis_server) as client,
    ):
        first.started()
        wait_for(lambda: client.xlen(key) >= 2)
        here = configuration(clip, redis_server, tmp_path / "a")
        with worker(here, folder(tmp_path, "2")) as second:
            assert second.process.wait(60) == 2
            assert f"is in use by another worker (process {first.process.pid})" in (
                second.log.read_text()
            )
        elsewhere = configuration(clip, redis_server, tmp_path / "b")
        with worker(elsewhere, folder(tmp_path, "3")) as third:
            assert third.process.wait(60) == 1
            log = third.log.read_text()
            assert "the worker 'lobby' is at work already, as run" in log
            assert "Traceback" not in log
        assert first.terminate() == 0
        assert len({event["run_id"] for event in documents(client, key)}) == 1
        assert not client.exists("maskwatch:worker:lobby")


def test_a_killed_worker_is_replaced_at_once_on_its_folder(
    tmp_path: Path, clip: Path, redis_server: RedisServer
) -> None:
    """Its lease still stands, but its lock is gone, which proves that it is dead."""
    text = configuration(clip, redis_server, tmp_path / "a")
    key = "maskwatch:frames:hall"
    with client_of(redis_server) as client:
        with worker(text, folder(tmp_path, "1")) as first:
            first.started()
            wait_for(lambda: client.xlen(key) >= 2)
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
        held_ms = client.pttl("maskwatch:worker:lobby")
        assert held_ms > 0
        before = client.xlen(key)
        with worker(text, folder(tmp_path, "2")) as second:
            second.started()
            wait_for(lambda: client.xlen(key) > before)
            assert "which is dead" in second.log.read_text()
            assert "is not free" not in second.log.read_text()
            assert second.terminate() == 0
