"""The examples do what they say, against a real Redis."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from output.rig import wait_for
from output.stream import RUN, Stream
from programs import program
from service.redis_server import _shared_server, client_of, own_redis, shared_redis

from worker.output.embedded import RedisServer
from worker.output.event import ViolationSummary
from worker.records import CameraStatus

__all__ = ["_shared_server", "own_redis", "shared_redis"]

EXAMPLES = Path(__file__).parents[2] / "examples"
VIOLATION = ViolationSummary(1, 12, "without_mask", 1_700_000_000.0, 2.0, 0.97, "all")
DOWN = CameraStatus("yard", "down", 1_700_000_000.0, "timeout")


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[list[str]]:
    """The lines that an example prints, as they come; it is told to stop at the end."""
    lines: list[str] = []
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )

    def read() -> None:
        assert process.stdout
        lines.extend(iter(process.stdout.readline, ""))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            reader.join(5)
            if process.stdout:
                process.stdout.close()


def joined(stream: Stream, group: str, key: str) -> None:
    """Wait until the example reads."""

    def is_there() -> bool:
        groups: Any = stream.client.xinfo_groups(key) if stream.client.exists(key) else []
        return any(g["name"] == group and g["consumers"] for g in groups)

    wait_for(is_there, 30)


def alerts_of(stream: Stream) -> None:
    """A person without a mask, and a camera that goes down."""
    stream.write(stream.maker().violation("hall", "start", VIOLATION))
    stream.write(stream.maker().camera(DOWN))


def done(stream: Stream, key: str, group: str) -> None:
    wait_for(lambda: stream.pending(key, group) == 0)


def test_python(shared_redis: RedisServer) -> None:
    """It prints a violation and a blind camera, notes a hole, and acknowledges."""
    command = [sys.executable, "consumer.py", shared_redis.url]
    with (
        client_of(shared_redis) as client,
        running(command, EXAMPLES / "python") as lines,
    ):
        stream = Stream(client)
        joined(stream, "example-python", "maskwatch:alerts")
        alerts_of(stream)
        stream.maker().camera(DOWN)
        alerts_of(stream)
        wait_for(lambda: len(lines) >= 5)
        done(stream, "alerts", "example-python")
    assert [line.split(" ", 1)[1] for line in lines] == [
        "hall: without_mask\n",
        "yard is blind\n",
        "hall: without_mask\n",
        f"1 events of camera yard are missing from alerts: seq 1 to 1 of run {RUN}\n",
        "yard is blind\n",
    ]


def test_python_with_asyncio(shared_redis: RedisServer) -> None:
    """It counts faces."""
    command = [sys.executable, "async_consumer.py", shared_redis.url]
    with (
        client_of(shared_redis) as client,
        running(command, EXAMPLES / "python") as lines,
    ):
        stream = Stream(client)
        stream.frames(1)
        joined(stream, "example-async", "maskwatch:frames:hall")
        stream.frames(2)
        wait_for(lambda: len(lines) >= 2)
    assert lines[-1] in {"hall {'with_mask': 2}\n", "hall {'with_mask': 3}\n"}


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example for Node with its module, which npm fetches."""
    npm = program("npm", "npm (with nodejs)")
    folder = tmp_path_factory.mktemp("node")
    for name in ("consumer.js", "package.json", "package-lock.json"):
        shutil.copy(EXAMPLES / "node" / name, folder)
    command = [npm, "ci", "--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts"]
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    if result.returncode:
        message = f"the npm package ioredis is missing, and npm ci failed: {result.stderr[-300:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


def test_node(shared_redis: RedisServer, node_folder: Path) -> None:
    """It prints a violation and a blind camera, and acknowledges; broken JSON stops nothing."""
    command = [program("node", "nodejs"), "consumer.js", shared_redis.url]
    with client_of(shared_redis) as client, running(command, node_folder) as lines:
        stream = Stream(client)
        joined(stream, "example-node", "maskwatch:alerts")
        stream.raw("alerts", {"type": "camera", "event": "{"})
        alerts_of(stream)
        wait_for(lambda: len(lines) >= 3)
        done(stream, "alerts", "example-node")
    assert "is no event" in lines[0]
    assert lines[1].endswith("hall: without_mask\n")
    assert lines[2].endswith("yard is blind: timeout\n")


def test_node_takes_up_what_it_left_undone(shared_redis: RedisServer, node_folder: Path) -> None:
    """What an earlier life was given comes first."""
    import socket

    with client_of(shared_redis) as client:
        stream = Stream(client)
        client.xgroup_create("maskwatch:alerts", "example-node", id="0", mkstream=True)
        alerts_of(stream)
        client.xreadgroup("example-node", socket.gethostname(), {"maskwatch:alerts": ">"})
        command = [program("node", "nodejs"), "consumer.js", shared_redis.url]
        with running(command, node_folder) as lines:
            wait_for(lambda: len(lines) >= 2, 30)
            done(stream, "alerts", "example-node")
    assert lines[0].endswith("hall: without_mask\n")


def test_node_says_what_was_trimmed(shared_redis: RedisServer, node_folder: Path) -> None:
    """Before the group read it, and after it was given to a member that is gone."""
    with client_of(shared_redis) as client:
        stream = Stream(client)
        client.xgroup_create("maskwatch:alerts", "example-node", id="$", mkstream=True)
        alerts_of(stream)
        given = client.xreadgroup("example-node", "gone", {"maskwatch:alerts": ">"}, count=1)
        alerts_of(stream)
        client.xtrim("maskwatch:alerts", maxlen=1, approximate=False)
        length, added = client.xlen("maskwatch:alerts"), 2 * 2
        command = [program("node", "nodejs"), "consumer.js", shared_redis.url]
        with running(command, node_folder) as lines:
            wait_for(lambda: len(lines) >= 2, 30)
    assert given
    assert lines[0] == f"{added - length - 1} entries were trimmed before they were read\n"


def test_shell_says_what_was_trimmed(shared_redis: RedisServer) -> None:
    """Which it was given in an earlier life, and did not finish."""
    import socket

    program("redis-cli", "redis-tools")
    with client_of(shared_redis) as client:
        stream = Stream(client)
        client.xgroup_create("maskwatch:alerts", "example-shell", id="0", mkstream=True)
        alerts_of(stream)
        client.xreadgroup("example-shell", socket.gethostname(), {"maskwatch:alerts": ">"}, count=1)
        client.xtrim("maskwatch:alerts", maxlen=1, approximate=False)
        command = ["sh", "follow.sh", shared_redis.url]
        with running(command, EXAMPLES / "redis-cli") as lines:
            wait_for(lambda: len(lines) >= 2)
    assert "was trimmed before it was done with" in lines[0]
    assert lines[1].startswith("{")


def test_shell_waits_for_redis(own_redis: RedisServer) -> None:
    """Started first, it joins when there is a server, and misses nothing from then on."""
    program("redis-cli", "redis-tools")
    server = own_redis
    server.start()
    server.stop()
    command = ["sh", "follow.sh", server.url]
    with running(command, EXAMPLES / "redis-cli") as lines:
        wait_for(lambda: len(lines) >= 1)
        server.start()
        with client_of(server) as client:
            stream = Stream(client)
            joined(stream, "example-shell", "maskwatch:alerts")
            event = stream.maker().violation("hall", "start", VIOLATION)
            stream.write(event)
            wait_for(lambda: lines[-1].startswith("{"))


def test_shell(shared_redis: RedisServer) -> None:
    """It prints each document, byte for byte, and acknowledges."""
    program("redis-cli", "redis-tools")
    command = ["sh", "follow.sh", shared_redis.url]
    with client_of(shared_redis) as client, running(command, EXAMPLES / "redis-cli") as lines:
        stream = Stream(client)
        joined(stream, "example-shell", "maskwatch:alerts")
        event = stream.maker().violation("hall", "start", VIOLATION)
        stream.write(event)
        wait_for(lambda: len(lines) >= 1)
        done(stream, "alerts", "example-shell")
    assert lines == [event.document.decode() + "\n"]
