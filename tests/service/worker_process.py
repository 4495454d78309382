"""A real worker in a process of its own, as a supervisor would run it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from worker.capture.demo import Scene

START_S = 60.0
STOP_S = 20.0


def wait_for(condition: Callable[[], Any], deadline_s: float = 40.0) -> Any:
    """The condition's value once it is true; fails after the deadline."""
    ends_s = time.monotonic() + deadline_s
    while time.monotonic() < ends_s:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    pytest.fail(f"not true after {deadline_s:g} s: {condition}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def faces_clip(path: Path, *, seconds: float = 4.0, fps: int = 10) -> Path:
    """People with and without masks, walking; H.264, 640x360."""
    scene = Scene(640, 360, fps, 3, 5)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.gop_size = fps
        for index in range(int(seconds * fps)):
            image = np.ascontiguousarray(scene.render(index))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


class WorkerProcess:
    """`maskwatch run` on a configuration, watched from outside."""

    def __init__(self, configuration: str, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "worker.log"
        file = folder / "maskwatch.toml"
        file.write_text(f"{configuration}\n[http]\nport = {self.port}\n", encoding="utf-8")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker", "run", "--config", str(file)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str) -> bytes:
        """The answer of the HTTP side; empty while there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            return b""

    def started(self) -> None:
        """Wait until it answers."""

        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.get("/healthz") == b"alive\n"

        wait_for(answers, START_S)

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all series of that name with those labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in self.get("/metrics").decode().splitlines()
            if line.split("{")[0].split(" ")[0] == name and all(part in line for part in wanted)
        )

    def state(self) -> dict[str, Any]:
        """The document behind the live page."""
        return dict(json.loads(self.get("/api/state") or b"{}"))

    def camera_state(self, camera: str) -> str | None:
        """``up``, ``down``, …; None while it is not known."""
        cameras = self.state().get("cameras", [])
        return next((str(c["state"]) for c in cameras if c["camera_id"] == camera), None)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@contextmanager
def worker(configuration: str, folder: Path) -> Iterator[WorkerProcess]:
    """A worker that is gone afterwards, whatever happened."""
    running = WorkerProcess(configuration, folder)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def documents(client: Any, key: str) -> list[dict[str, Any]]:
    """All events of a stream."""
    return [json.loads(fields["event"]) for _, fields in client.xrange(key)]
