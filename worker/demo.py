"""`maskwatch demo`: the whole service on synthetic cameras and an embedded Redis."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from worker.config import Camera, CameraDefaults, Http, Settings
from worker.config import Redis as RedisSettings
from worker.output.embedded import embedded_redis
from worker.output.tail import follow, line
from worker.process import Worker
from worker.service import Service
from worker.venue import Zone

CAMERAS = ("entrance", "hall")
FACE_PX = 20
"""Faces in the far row of the scene are smaller than what cameras look for by default."""
COUNTER = [(0.42, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]
"""Where the demo's violations are told of: the right half of what each camera sees."""


def demo_settings(redis_url: str, state: Path, *, cameras: int, port: int) -> Settings:
    """A configuration that needs nothing but this machine."""
    names = [CAMERAS[n] if n < len(CAMERAS) else f"camera-{n + 1}" for n in range(cameras)]
    return Settings.model_construct(  # as it stands, whatever the environment says
        worker=Worker(worker_id="demo", schemes=["demo"], state_dir=state),
        defaults=CameraDefaults(),
        cameras={name: Camera(url=f"demo:{name}", min_face_px=FACE_PX) for name in names},
        zones={"counter": Zone(cameras=dict.fromkeys(names, COUNTER))},
        redis=RedisSettings(url=redis_url),
        http=Http(port=port),
    )


def run_demo(
    *,
    seconds: float | None,
    cameras: int,
    port: int,
    redis_port: int,
    say: Callable[[str], None],
) -> dict[str, int]:
    """Run the demo until ``seconds`` are over, a signal comes, or nobody reads what it says.

    Returns:
        Faces seen, by label.
    """
    totals: dict[str, int] = {}
    with (
        embedded_redis(port=redis_port) as server,
        tempfile.TemporaryDirectory(prefix="maskwatch-demo-") as state,
    ):
        service = Service(
            demo_settings(server.url, Path(state), cameras=cameras, port=port),
            on_started=lambda address: tell(
                f"live page  {address}/\n"
                f"metrics    {address}/metrics\n"
                f"events     redis-cli -u {server.url} XREAD BLOCK 0 "
                f"STREAMS maskwatch:frames:{CAMERAS[0]} '$'\n"
                "Ctrl-C stops"
            ),
        )
        service.obey_signals()
        reading_ends = threading.Event()

        def tell(text: str) -> None:
            try:
                say(text)
            except BrokenPipeError:  # the reader has gone, as in `| head`
                service.stop()

        def read() -> None:
            for event in follow(server.url, prefix="maskwatch", stop=reading_ends):
                tell(line(event))
                for label, count in event.get("counts", {}).items():
                    totals[label] = totals.get(label, 0) + count

        reader = threading.Thread(target=read, name="reader", daemon=True)
        timer = threading.Timer(seconds, service.stop) if seconds else None
        reader.start()
        if timer:
            timer.daemon = True
            timer.start()
        try:
            service.run()
        finally:
            reading_ends.set()
            reader.join(3)
    return totals
