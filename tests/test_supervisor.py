"""What a supervisor hears, in the words of sd_notify(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.supervisor import Supervisor


class Listener:
    """The other end of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4_096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(str(tmp_path / "notify"))
    yield made
    made.close()


def test_a_life_is_told(listener: Listener, tmp_path: Path) -> None:
    """From ready over a change to the end."""
    supervisor = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    supervisor.ready()
    supervisor.reloading()
    supervisor.ready()
    supervisor.stopping("the device is gone")
    first, change, again, end = listener.heard()
    assert first == again == "READY=1"
    assert change.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert end == "STOPPING=1\nSTATUS=the device is gone"


def test_the_watchdog_is_fed_three_times_within_its_patience(
    listener: Listener, tmp_path: Path
) -> None:
    """However often the worker says that it lives."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}
    supervisor = Supervisor(env)
    for tick in range(120):
        supervisor.alive("2 of 3 cameras see", 100.0 + tick / 4)
    assert listener.heard() == ["WATCHDOG=1\nSTATUS=2 of 3 cameras see"] * 3


def test_an_abstract_socket_is_one_too() -> None:
    """Its name begins with an @ in the environment."""
    name = f"maskwatch-test-{os.getpid()}"
    listener = Listener(f"\0{name}")
    Supervisor({"NOTIFY_SOCKET": f"@{name}"}).ready()
    assert listener.heard() == ["READY=1"]
    listener.close()


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": "/nowhere"}, {"WATCHDOG_USEC": "x"}])
def test_where_nobody_listens_nothing_happens(env: dict[str, str]) -> None:
    """The worker goes on."""
    supervisor = Supervisor(env)
    supervisor.ready()
    supervisor.alive("", 100.0)
    supervisor.stopping()


def test_a_listener_that_does_not_read_holds_nothing_up(listener: Listener, tmp_path: Path) -> None:
    """Its queue is full after a while."""
    supervisor = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    for _ in range(2_000):
        supervisor.ready()
    assert listener.heard()
