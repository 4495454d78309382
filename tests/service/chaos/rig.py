"""What faults are done to: a real worker between real cameras, a real Redis and a real disk.

::

    RTSP server ─► proxy ─► camera hall ─┐
    RTSP server ──────────► camera gate ─┼─ worker ─► proxy ─► Redis (append-only file)
    a file, over and over ► camera tape ─┘    └─ state on a small file system of its own

``hall`` is the one that suffers, ``gate`` shares its server, ``tape`` shares nothing with them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from service.chaos.clips import View, clip
from service.chaos.disk import Disk
from service.chaos.tcp_proxy import TcpProxy
from service.chaos.worker_life import WorkerLife
from service.redis_server import binary_of
from service.rtsp_server import RtspServer, missing, rtsp_server
from service.worker_process import free_port

from worker.errors import WorkError
from worker.output.embedded import RedisServer

USER, PASSWORD = "viewer", "pa55 w@rd/%"
CAMERAS = ("hall", "gate", "tape")
READ_TIMEOUT_S = 2.0
COVERED_S = 2.0
FROZEN_S = 3.0

CONFIGURATION = """
[worker]
worker_id = "chaos"
state_dir = "{state}"
[defaults]
analyse_fps = 5
open_timeout_s = {timeout}
read_timeout_s = {timeout}
covered_after_s = {covered}
frozen_after_s = {frozen}
{defaults}
[cameras.hall]
url = "{hall}"
username = "{user}"
password_file = "{secret}"
[cameras.gate]
url = "{gate}"
username = "{user}"
password_file = "{secret}"
[cameras.tape]
url = "{tape}"
realtime = true
loop = true
{more}
[redis]
url = "redis://127.0.0.1:{redis}/0"
timeout_s = 1
frames_keep_s = 86400
[http]
port = {http}
{sections}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is particular to a rig.

    Attributes:
        server: ``valkey`` or ``redis``.
        defaults: lines for ``[defaults]``.
        more: further tables of cameras.
        sections: further sections.
    """

    server: str = "valkey"
    defaults: str = ""
    more: str = ""
    sections: str = ""


class Store:
    """A Redis whose data outlives it, and somebody who may do anything to it."""

    def __init__(self, folder: Path, kind: str) -> None:
        folder.mkdir()
        self.kind = kind
        self._folder = folder
        self._binary = binary_of(kind)
        self._port = free_port()
        self._server = self._made()
        self._server.start()

    @property
    def port(self) -> int:
        """Where it listens, over all of its lives."""
        return self._port

    @property
    def admin(self) -> redis.Redis:
        """A client past the proxy, that waits for a server which comes back."""
        patient = Retry(ExponentialBackoff(cap=0.5, base=0.05), 40)
        return redis.Redis(
            port=self._port,
            decode_responses=True,
            retry=patient,
            retry_on_error=[redis.BusyLoadingError, redis.ConnectionError],
            protocol=2,
        )

    def kill(self) -> None:
        """End it as a power cut would; what it has confirmed lies in its file."""
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop()

    def start(self, *options: str) -> None:
        """Start it on the data of its last life; returns when it answers, loading or not."""
        self._server = self._made(*options)
        self._server.start()

    def freeze(self) -> None:
        """Stop it in its tracks, connections open."""
        os.kill(self._server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._server.pid, signal.SIGCONT)

    def revive(self) -> None:
        """Let it run, whatever was done to it."""
        try:
            self.thaw()
        except (WorkError, ProcessLookupError):
            self.start()

    def stop(self) -> None:
        """The end; idempotent."""
        with contextlib.suppress(WorkError, ProcessLookupError):
            self.thaw()
        self._server.stop()

    def _made(self, *options: str) -> RedisServer:
        # A kill loses nothing that a write has handed to the kernel; syncing is for power cuts.
        lasting = (f'dir "{self._folder}"', "appendonly yes", "appendfsync no", *options)
        return RedisServer(self._binary, self._port, options=lasting)


@dataclass(slots=True)
class Rig:
    """All of it, running.

    Attributes:
        folder: where its files lie.
        rtsp: the server behind ``hall`` and ``gate``.
        hall: between ``hall`` and its server.
        wire: between the worker and Redis.
        worker: the worker, over all of its lives.
        configuration: the file as it should be.
    """

    folder: Path
    store: Store
    rtsp: RtspServer
    hall: TcpProxy
    wire: TcpProxy
    disk: Disk
    worker: WorkerLife
    configuration: str

    @contextlib.contextmanager
    def second_store(self) -> Iterator[Store]:
        """Another Redis of the same kind, with nothing in it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            other = Store(Path(name) / "redis", self.store.kind)
            try:
                yield other
            finally:
                other.stop()

    @property
    def tape(self) -> Path:
        """The clip that ``tape`` plays."""
        return self.folder / "tape.mkv"

    def write(self, text: str) -> None:
        """Lay another configuration before the worker."""
        self.worker.file.write_text(text, encoding="utf-8")

    @contextlib.contextmanager
    def another_camera(
        self,
        view: View | None = "people",
        *,
        codec: str = "libx264",
        width: int = 320,
        height: int = 240,
        password: str = PASSWORD,
    ) -> Iterator[None]:
        """Somebody has put another camera in the place of ``hall``; ``view`` None: on no path."""
        path = self.folder / f"{view}-{codec}-{width}.mkv"
        if not path.exists():
            clip(path, view or "people", codec=codec, width=width, height=height)
        clips = {"hall" if view else "nothing": path}
        with rtsp_server(clips, user=USER, password=password) as server:
            self.hall.target = server.port
            self.hall.cut()
            try:
                yield
            finally:
                self.hall.target = self.rtsp.port
                self.hall.cut()


@contextlib.contextmanager
def rig(plan: Plan | None = None) -> Iterator[Rig]:
    """A rig whose worker is not started yet; nothing is left of it afterwards.

    Raises:
        RuntimeError: a program that it needs is not installed.
    """
    remedy = missing()
    if remedy:
        raise RuntimeError(f"no RTSP server: {remedy}")
    plan = plan or Plan()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maskwatch-chaos-")))
        tape = clip(folder / "tape.mkv")
        wide = clip(folder / "wide.mkv", width=480, height=272)
        store = Store(folder / "redis", plan.server)
        stack.callback(store.stop)
        disk = Disk(folder / "state")
        stack.callback(disk.close)
        server = stack.enter_context(
            rtsp_server({"hall": tape, "gate": wide}, user=USER, password=PASSWORD)
        )
        hall = stack.enter_context(TcpProxy(server.port))
        wire = stack.enter_context(TcpProxy(store.port))
        port = free_port()
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        text = CONFIGURATION.format(
            state=disk.folder / "worker",
            timeout=READ_TIMEOUT_S,
            covered=COVERED_S,
            frozen=FROZEN_S,
            hall=f"rtsp://127.0.0.1:{hall.port}/hall",
            gate=server.url("gate"),
            tape=tape,
            user=USER,
            secret=secret,
            redis=wire.port,
            http=port,
            defaults=plan.defaults,
            more=plan.more,
            sections=plan.sections,
        )
        worker = WorkerLife(folder / "maskwatch.toml", folder / "worker.log", port)
        stack.callback(worker.end)
        running = Rig(folder, store, server, hall, wire, disk, worker, text)
        running.write(text)
        yield running


def total(metrics: Mapping[str, float], name: str, *labels: str) -> float:
    """The sum over the series of a metric with those labels, written as in the exposition."""
    return sum(
        value
        for series, value in metrics.items()
        if series.partition("{")[0] == name and all(label in series for label in labels)
    )


def down(metrics: Mapping[str, float], cameras: Sequence[str] = CAMERAS) -> list[str]:
    """The cameras that do not see."""
    return [c for c in cameras if total(metrics, "maskwatch_camera_up", f'camera="{c}"') < 1]
