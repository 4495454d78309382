"""The worker of the rig: one process at a time, killed, frozen, stopped and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 60.0
STOP_S = 30.0
GROWTH = 1.05

# The worker dies with us, however we die: no run of this leaves a process behind.
_BOOT = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.executable, [sys.executable, "-m", "worker", "run", "--config", sys.argv[2]])
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds."""

    memory_mb: float
    threads: int
    descriptors: int

    def growth(self, before: Usage) -> str:
        """What has grown by more than 5 %, and by more than one; empty where nothing has."""
        pairs = {
            "memory": (before.memory_mb, self.memory_mb),
            "threads": (before.threads, self.threads),
            "descriptors": (before.descriptors, self.descriptors),
        }
        return ", ".join(
            name for name, (old, new) in pairs.items() if new > max(old * GROWTH, old + 1)
        )

    def __str__(self) -> str:
        return f"{self.memory_mb:.0f} MB, {self.threads} threads, {self.descriptors} descriptors"


class WorkerLife:
    """`maskwatch run` on a configuration that lies in ``file``. Use it from the main thread."""

    def __init__(self, file: Path, log: Path, port: int) -> None:
        self.file = file
        self.log = log
        self.port = port
        self.started_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """True while the process is there, even frozen."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process; it is not ready yet."""
        self.started_s = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(os.getpid()), str(self.file)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end it in order
            )

    def start(self) -> float:
        """Start, and wait until it answers; the seconds that took.

        Without those in which its main thread was ready and had no core, for others may be busy.

        Raises:
            RuntimeError: it does not.
        """
        self.launch()
        self.await_alive()
        took_s = time.monotonic() - self.started_s
        waited_ns = Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]
        return took_s - int(waited_ns) / 1e9

    def await_alive(self) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it does not.
        """
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            if not self.alive:
                raise RuntimeError(f"the worker ended at its start: {self.said()[-600:]}")
            if self.get("/healthz") == b"alive\n":
                return
            time.sleep(0.05)
        raise RuntimeError(f"the worker did not answer within {START_S:g} s")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(STOP_S)

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.alive:
            self.kill()

    def get(self, path: str, timeout_s: float = 3.0) -> bytes:
        """The answer of the HTTP side; empty while there is none."""
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                return bytes(answer.read())
        return b""

    def metrics(self, timeout_s: float = 3.0) -> dict[str, float]:
        """Every series by its name with labels, as the exposition has it; empty if away."""
        text = self.get("/metrics", timeout_s).decode()
        rows = (line.rpartition(" ") for line in text.splitlines() if line.startswith("maskwatch_"))
        return {series: float(value) for series, _, value in rows}

    def state(self) -> dict[str, Any]:
        """The document behind the live page."""
        return dict(json.loads(self.get("/api/state") or b"{}"))

    def said(self, offset: int = 0) -> str:
        """The log, of all lives, from a byte on."""
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    def log_size(self) -> int:
        """Where the log ends now."""
        return self.log.stat().st_size if self.log.exists() else 0

    def usage(self) -> Usage:
        """What it holds now."""
        process = Path(f"/proc/{self.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return Usage(
            memory_mb=int(status["VmRSS"].split()[0]) / 1024,
            threads=int(status["Threads"]),
            descriptors=len(list((process / "fd").iterdir())),
        )
