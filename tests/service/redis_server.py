"""Real servers for tests: Valkey, as the demo has it, and Debian's Redis 7.0 as the second."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.output.embedded import RedisServer, valkey_binary


def binary_of(name: str) -> Path:
    """The server of that name; the test is skipped, or fails under CI, where it is missing."""
    if name == "valkey":
        return valkey_binary()
    path = shutil.which("redis-server")
    if path is None:
        message = "redis-server is missing; install the apt package redis-server"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return Path(path)


def client_of(server: RedisServer, password: str | None = None) -> redis.Redis:
    """A client that speaks text and tries once."""
    once = Retry(NoBackoff(), 0)
    return redis.Redis(port=server.port, password=password, decode_responses=True, retry=once)


def kill(server: RedisServer) -> None:
    """End the server as a crash would."""
    os.kill(server.pid, signal.SIGKILL)
    server.stop()


@pytest.fixture(scope="session", params=["valkey", "redis"])
def _shared_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    server = RedisServer(binary_of(request.param))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def shared_redis(_shared_server: RedisServer) -> RedisServer:
    """A server with nothing in it, for tests that leave its settings alone."""
    with client_of(_shared_server) as client:
        client.flushall()
    return _shared_server


@pytest.fixture(params=["valkey", "redis"])
def own_redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server of the test's own, not started yet, to be killed and set as it likes."""
    server = RedisServer(binary_of(request.param))
    yield server
    server.stop()
