"""A camera that goes blind in one way after the other, before a real worker."""

from __future__ import annotations

import itertools
import sys
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from service.http_camera import HttpCamera, View, http_camera
from service.redis_server import client_of
from service.worker_process import WorkerProcess, documents, wait_for, worker

from worker.output.embedded import embedded_redis

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "python"))

from watched import watched

pytestmark = pytest.mark.timeout(180)

LIMIT_S = 2.0
BLIND: dict[View, tuple[str, str]] = {
    "silent": ("down", "stalled"),
    "black": ("down", "covered"),
    "still": ("up", "frozen"),
}
LATE_S = 0.5
"""What the frames' own interval, and the main thread's look every 0.25 s, may add."""


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def watches(client: Any) -> None:
    """Wait for a few frames more."""
    seen = client.xlen("maskwatch:frames:hall")
    wait_for(lambda: client.xlen("maskwatch:frames:hall") > seen + 4)


def blinded(camera: HttpCamera, running: WorkerProcess, view: View) -> float:
    """Make the camera blind until that is told, then let it see; the moment it began."""
    reason = BLIND[view][1]

    def told(value: float) -> bool:
        return running.metric("maskwatch_camera_blind", camera="hall", reason=reason) == value

    camera.show(view)
    since = camera.changed_at
    wait_for(lambda: told(1))
    camera.show("moving")
    wait_for(lambda: told(0))
    return since


def test_what_was_watched_can_be_told_from_the_streams(tmp_path: Path) -> None:
    """Each way of being blind has its state, metric and gap, and nothing else is missing."""
    with embedded_redis() as server, http_camera() as camera:
        configuration = (
            f'[cameras.hall]\nurl = "{camera.url}"\nread_timeout_s = {LIMIT_S}\n'
            f"covered_after_s = {LIMIT_S}\nfrozen_after_s = {LIMIT_S}\n"
            f'[detection]\ndetector = "haar"\n[redis]\nurl = "{server.url}"\n'
        )
        with worker(configuration, tmp_path) as running, client_of(server) as client:
            running.started()
            wait_for(lambda: running.camera_state("hall") == "up")
            began = {}
            for view in BLIND:
                watches(client)
                began[view] = blinded(camera, running, view)
            watches(client)
            assert running.terminate() == 0
            frames = documents(client, "maskwatch:frames:hall")
            alerts = documents(client, "maskwatch:alerts")
        log = running.log.read_text()

    changes = [a for a in alerts if a["schema"] == "maskwatch.camera/1"]
    states = [(a["state"], a["reason"]) for a in changes]
    assert states == [
        ("up", None),
        *itertools.chain.from_iterable((told, ("up", None)) for told in BLIND.values()),
    ]
    gaps = [a for a in alerts if a["schema"] == "maskwatch.gap/1"]
    assert [gap["reason"] for gap in gaps] == [reason for _, reason in BLIND.values()]
    for gap, start in zip(gaps, began.values(), strict=True):
        assert moment(gap["from"]) == pytest.approx(start, abs=LATE_S)
    for reason in ("stalled", "covered", "frozen"):
        assert log.count(reason) == 1
    told = [
        moment(change["occurred_at"]) - start
        for change, start in zip(changes[1::2], began.values(), strict=True)
    ]
    print("told after", [f"{seconds:.2f} s" for seconds in told], f"at limits of {LIMIT_S} s")
    assert median(told) < 2 * LIMIT_S
    spans = watched(alerts, {frame["run_id"]: frame["captured_at"] for frame in frames})
    assert_exact(spans, frames)


def assert_exact(spans: list[tuple[str, str]], frames: list[dict[str, Any]]) -> None:
    """In what was watched frames follow each other closely; there are four spans of it."""
    assert len(spans) == len(BLIND) + 1
    for begin, end in spans:
        inside = [moment(f["captured_at"]) for f in frames if begin <= f["captured_at"] <= end]
        assert inside[0] - moment(begin) < LATE_S
        assert moment(end) - inside[-1] < LATE_S
        assert max(b - a for a, b in itertools.pairwise(inside)) < LIMIT_S
