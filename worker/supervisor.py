"""What systemd wants to hear of a service: that it is ready, that it lives, that it ends.

The protocol is that of sd_notify(3): one datagram of ``KEY=value`` lines to the socket that
``NOTIFY_SOCKET`` names. Without one nobody listens, and nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Supervisor:
    """The supervisor of this process, as its environment describes it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        meant = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        micros = env.get("WATCHDOG_USEC", "")
        self._patience_s = int(micros) / 1e6 if meant and micros.isdigit() else 0.0
        self._told_s = 0.0

    def ready(self) -> None:
        """Everything runs, for the first time or after a change."""
        self._tell("READY=1")

    def alive(self, status: str, now_s: float) -> None:
        """It works, and how; call it often: it tells three times within its patience."""
        if now_s - self._told_s >= (self._patience_s / 3 or 5.0):
            self._told_s = now_s
            self._tell("WATCHDOG=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is read again; ``ready`` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def stopping(self, status: str = "") -> None:
        """The end has begun."""
        self._tell("STOPPING=1", f"STATUS={status}")

    def _tell(self, *lines: str) -> None:
        """Send, and never wait: a supervisor that does not listen holds nothing up."""
        if self._address:
            with (
                contextlib.suppress(OSError),
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
            ):
                out.setblocking(False)
                out.sendto("\n".join(lines).encode(), self._address)
