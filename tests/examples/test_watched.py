"""What was watched, out of what the streams say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from output.stream import LATER_RUN, RUN, Stream
from service.redis_server import _shared_server, client_of, shared_redis

from worker.output.embedded import RedisServer
from worker.output.event import rfc3339
from worker.records import CameraStatus

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "python"))

from watched import watched

__all__ = ["_shared_server", "shared_redis"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"
BEGIN = 1_700_000_000.0


def at(seconds: float) -> str:
    return rfc3339(BEGIN + seconds)


def change(state: str, since: float, reason: str | None = None, run: str = RUN) -> dict[str, Any]:
    """A camera event."""
    return {
        "schema": "maskwatch.camera/1",
        "run_id": run,
        "state": state,
        "reason": reason,
        "since": at(since),
    }


def gap(begin: float, end: float, run: str = RUN, reason: str = "stalled") -> dict[str, Any]:
    """A gap event."""
    return {
        "schema": "maskwatch.gap/1",
        "run_id": run,
        "from": at(begin),
        "to": at(end),
        "reason": reason,
    }


@pytest.mark.parametrize(
    ("alerts", "last", "spans"),
    [
        ([change("up", 1)], {RUN: 9}, [(1, 9)]),
        ([], {RUN: 9}, []),
        ([change("up", 1)], {}, []),
        # frames are trimmed long before alerts: the next run's gap tells how far this one came
        ([change("up", 1), gap(9, 12, LATER_RUN, "stopped")], {}, [(1, 9)]),
        ([change("up", 1), gap(9, 12, LATER_RUN, "killed")], {RUN: 8}, [(1, 8)]),
        (
            [
                change("up", 1),
                gap(5, 6, LATER_RUN, "stopped"),
                change("up", 6, run=LATER_RUN),
                gap(20, 22, "third", "stopped"),
            ],
            {},
            [(1, 5), (6, 20)],
        ),
        ([change("up", 1), change("down", 5, "stalled")], {RUN: 5}, [(1, 5)]),
        (
            [
                change("up", 1),
                change("down", 5, "stalled"),
                change("down", 7, "refused"),
                change("up", 9),
                gap(5, 9),
            ],
            {RUN: 12},
            [(1, 5), (9, 12)],
        ),
        (
            [change("up", 1), change("up", 4, "frozen"), change("up", 8), gap(4, 8)],
            {RUN: 12},
            [(1, 4), (8, 12)],
        ),
        ([change("up", 1), change("up", 3, "clock")], {RUN: 9}, [(1, 3), (3, 9)]),
        ([change("up", 1), change("off", 5), change("up", 8)], {RUN: 9}, [(1, 5), (8, 9)]),
        (
            [change("up", 1), gap(5, 8, LATER_RUN), change("up", 8, run=LATER_RUN)],
            {RUN: 6, LATER_RUN: 9},
            [(1, 5), (8, 9)],
        ),
        (
            [change("up", 1), change("up", 8, run=LATER_RUN)],
            {RUN: 6, LATER_RUN: 9},
            [(1, 6), (8, 9)],
        ),
        ([change("up", 1), gap(3, 4)], {RUN: 9}, [(1, 3), (4, 9)]),
    ],
    ids=[
        "up",
        "no state",
        "no frame yet",
        "frames that were trimmed",
        "frames up to a kill",
        "two runs whose frames were trimmed",
        "down",
        "an outage",
        "frozen",
        "a wrong clock",
        "off",
        "a death that was told",
        "a death that nobody told",
        "a gap alone",
    ],
)
def test_spans(
    alerts: list[dict[str, Any]], last: dict[str, float], spans: list[tuple[float, float]]
) -> None:
    """States begin and end what was watched, and gaps are taken out of it."""
    last_frame = {run: at(seconds) for run, seconds in last.items()}
    assert watched(alerts, last_frame) == [(at(begin), at(end)) for begin, end in spans]


def test_the_program(shared_redis: RedisServer) -> None:
    """It reads the streams of a server, and prints a line for each span."""
    with client_of(shared_redis) as client:
        stream = Stream(client)
        maker = stream.maker()
        stream.write(maker.camera(CameraStatus("hall", "up", BEGIN)))
        stream.write(maker.camera(CameraStatus("gate", "up", BEGIN)))
        stream.write(maker.camera(CameraStatus("hall", "down", BEGIN + 5, "stalled")))
        stream.write(maker.camera(CameraStatus("hall", "up", BEGIN + 60)))
        stream.write(maker.gap("hall", BEGIN + 5, BEGIN + 60, "stalled"))
        stream.write(maker.camera(CameraStatus("yard", "up", BEGIN)))
        (last,) = stream.frames(1)
        result = subprocess.run(
            [sys.executable, "watched.py", shared_redis.url],
            cwd=EXAMPLES,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert result.stdout.splitlines() == [
        f"hall {at(0)} {at(5)}",
        f"hall {at(60)} {rfc3339(last.captured_at)}",
    ]
