"""`maskwatch bench`: what a camera costs, as a multiple of what decoding it costs.

The whole service runs in this process against a real server of the Redis protocol in another.
Counted are the seconds between warm-up and the ordered end; making the clip, the server and
the start do not count. The unit is the decode floor: the CPU seconds that
``ffmpeg -threads 1 -i CLIP -f null -`` takes for the same seconds of video, here and now.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
from redis import Redis
from rich.console import Console
from rich.table import Table

from worker.capture.demo import Scene
from worker.config import Camera, CameraDefaults, Http, Settings
from worker.config import Detection as DetectionSettings
from worker.config import Redis as RedisSettings
from worker.errors import ConfigError
from worker.evaluation.clip import CLIP_FPS, CLIP_SIZE, make_clip
from worker.evaluation.report_loop import LoopCost, run_report_loop
from worker.output.embedded import embedded_redis
from worker.process import Worker
from worker.service import Service

WARM_UP_S = 3.0
FLOOR_RUNS = 3
CLIP_SECONDS = 20
CLIP_PEOPLE = 4
CLIP_SEED = 7

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Load:
    """What is played, and how it is analysed."""

    clip: Path | None
    seconds: float
    cameras: int = 1
    analyse_fps: float = 5.0
    motion: bool = True
    min_face_px: int = 30
    detector: str | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """What decoding alone costs: the unit of all others."""

    s_per_frame: float
    fps: float
    by: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What it cost. Times are CPU seconds of this process unless they say otherwise."""

    cost_ratio: float
    cpu_s: float
    floor_cpu_s: float
    wall_s: float
    cpu_ms_per_analysed_frame: float
    cpu_ms_per_source_frame: float
    analysed_fps: float
    unchanged_share: float
    faces_per_second: float
    latency_ms: dict[str, float]
    dropped: dict[str, int]
    peak_memory_mb: float
    device: str


def run_bench(load: Load, *, report_loop: bool, as_json: bool) -> None:
    """Measure with and without the motion gate, and print it.

    Args:
        load: without a clip, a seeded one of moving faces is made.
        report_loop: measure the original report's loop as well, in the same run.
        as_json: print one JSON object rather than a table.

    Raises:
        ConfigError: a clip, a server or a package is missing.
    """
    with tempfile.TemporaryDirectory(prefix="maskwatch-bench-") as folder:
        clip = load.clip or make_clip(
            Path(folder) / "faces.mp4",
            Scene(*CLIP_SIZE, CLIP_FPS, CLIP_PEOPLE, CLIP_SEED),
            CLIP_SECONDS,
        )
        floor = decode_floor(clip)
        runs = {
            f"motion gate {'on' if motion else 'off'}": _in_a_fresh_process(
                measure, replace(load, motion=motion), clip, floor
            )
            for motion in (True, False)
        }
        every = max(1, round(floor.fps / load.analyse_fps))
        loop = _in_a_fresh_process(run_report_loop, clip, every=every) if report_loop else None
    name = str(load.clip) if load.clip else f"seeded, 720p, {CLIP_FPS} fps, moving faces"
    if as_json:
        report: dict[str, Any] = {
            "clip": name,
            "load": {"cameras": load.cameras, "analyse_fps": load.analyse_fps},
            "decode_floor": asdict(floor),
            "runs": {title: asdict(cost) for title, cost in runs.items()},
        }
        if loop:
            report["report_loop"] = {
                **asdict(loop),
                "cpu_ms_per_frame": 1000 * loop.cpu_s_per_frame,
                "cost_ratio": loop.cpu_s_per_frame / floor.s_per_frame,
            }
        print(json.dumps(_rounded(report), indent=2))
    else:
        Console().print(_table(f"{name}, {load.cameras} cameras", floor, runs, loop))


def _table(title: str, floor: Floor, runs: dict[str, Cost], loop: LoopCost | None) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    for name in runs:
        table.add_column(name, justify="right")
    if loop:
        table.add_column("the report's loop", justify="right")

    def row(name: str, show: Callable[[Cost], str], of_loop: str = "") -> None:
        table.add_row(name, *map(show, runs.values()), *([of_loop] if loop else []))

    loop_s = loop.cpu_s_per_frame if loop else 0.0
    row(
        "cost ratio (decoding is 1)",
        lambda c: f"{c.cost_ratio:.2f}",
        f"{loop_s / floor.s_per_frame:.2f}",
    )
    row(
        "CPU ms a source frame",
        lambda c: f"{c.cpu_ms_per_source_frame:.2f}",
        f"{1000 * loop_s:.2f}",
    )
    row(
        "CPU ms an analysed frame",
        lambda c: f"{c.cpu_ms_per_analysed_frame:.1f}",
        f"{1000 * loop.cpu_s_per_analysed_frame:.1f}" if loop else "",
    )
    row("analysed frames a second", lambda c: f"{c.analysed_fps:.2f}")
    row("  of them unchanged", lambda c: f"{100 * c.unchanged_share:.0f} %")
    row("faces a second", lambda c: f"{c.faces_per_second:.1f}")
    for share in ("p50", "p95", "p99"):
        row(f"captured to published, {share}", partial(_latency, share))
    row("frames dropped", lambda c: str(sum(c.dropped.values())))
    row("peak memory", lambda c: f"{c.peak_memory_mb:.0f} MB")
    table.caption = (
        f"decode floor {1000 * floor.s_per_frame:.2f} CPU ms a frame, by {floor.by}; "
        f"classifying on {next(iter(runs.values())).device}"
    )
    return table


def _latency(share: str, cost: Cost) -> str:
    return f"{cost.latency_ms[share]:.0f} ms"


def _in_a_fresh_process(work: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """So that one run's memory and caches do not count for the next."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments, **options).result()


def measure(load: Load, clip: Path, floor: Floor) -> Cost:
    """Play the clip as live cameras through the whole service.

    Raises:
        ConfigError: the clip cannot be played, or the embedded server is missing.
    """
    with (
        embedded_redis() as server,
        tempfile.TemporaryDirectory(prefix="maskwatch-bench-") as state,
    ):
        service = Service(_settings(load, clip, server.url, Path(state)))
        runner = threading.Thread(target=service.run, name="service")
        runner.start()
        time.sleep(WARM_UP_S)
        before = _Reading(service)
        time.sleep(load.seconds)
        after = _Reading(service)
        service.stop()
        runner.join()
        latencies, unchanged, faces = _published(server.url, before, after)
    wall_s = after.wall_s - before.wall_s
    cpu_s = after.cpu_s - before.cpu_s
    floor_s = floor.s_per_frame * floor.fps * wall_s * load.cameras
    analysed = len(latencies)
    return Cost(
        cost_ratio=cpu_s / floor_s,
        cpu_s=cpu_s,
        floor_cpu_s=floor_s,
        wall_s=wall_s,
        cpu_ms_per_analysed_frame=1000 * cpu_s / max(1, analysed),
        cpu_ms_per_source_frame=1000 * cpu_s / (wall_s * floor.fps * load.cameras),
        analysed_fps=analysed / wall_s,
        unchanged_share=unchanged / max(1, analysed),
        faces_per_second=faces / wall_s,
        latency_ms={
            f"p{share}": float(np.percentile(latencies, share)) if analysed else float("nan")
            for share in (50, 95, 99)
        },
        dropped={
            reason: after.dropped[reason] - before.dropped[reason] for reason in after.dropped
        },
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        device=service.device,
    )


def decode_floor(clip: Path) -> Floor:
    """What it costs to decode a clip and do nothing else.

    By ffmpeg where it is installed, otherwise by the same decoder through PyAV, which takes
    the same time.

    Raises:
        ConfigError: the clip is no video.
    """
    try:
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            fps = float(stream.average_rate or 25)
            frames = sum(1 for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, IndexError, OSError) as error:
        raise ConfigError(f"--clip {clip} is no video that can be read; name another") from error
    if frames < 2:
        raise ConfigError(f"--clip {clip} is a single picture; name a video")
    by = "ffmpeg" if shutil.which("ffmpeg") else "PyAV"
    runs = [_decode_once(clip) for _ in range(FLOOR_RUNS)]
    return Floor(float(np.median(runs)) / frames, fps, by)


def _decode_once(clip: Path) -> float:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        started = time.process_time()
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.codec_context.thread_count = "NONE", 1
            for _ in container.decode(stream):
                pass
        return time.process_time() - started
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(  # noqa: S603 (our own arguments, no shell)
        [ffmpeg, "-v", "error", "-nostdin", "-threads", "1", "-i", clip, "-f", "null", "-"],
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class _Reading:
    """The clocks and counters of the service at one moment."""

    def __init__(self, service: Service) -> None:
        self.wall_s = time.time()
        self.cpu_s = time.process_time()
        self.dropped: dict[str, int] = {}
        for family in service.metrics.frames_dropped.collect():
            for sample in family.samples:
                reason = sample.labels["reason"]
                self.dropped[reason] = self.dropped.get(reason, 0) + int(sample.value)


def _settings(load: Load, clip: Path, redis_url: str, state: Path) -> Settings:
    detection = DetectionSettings(detector=load.detector) if load.detector else DetectionSettings()
    camera = Camera(
        url=str(clip.resolve()),
        realtime=True,
        loop=True,
        analyse_fps=load.analyse_fps,
        motion=load.motion,
        min_face_px=load.min_face_px,
    )
    return Settings.model_construct(  # as it stands, whatever the environment says
        worker=Worker(worker_id="bench", state_dir=state),
        cameras={f"bench-{n}": camera for n in range(load.cameras)},
        defaults=CameraDefaults(),
        detection=detection,
        redis=RedisSettings(url=redis_url),
        http=Http(port=0),
    )


def _published(redis_url: str, before: _Reading, after: _Reading) -> tuple[list[float], int, int]:
    """Latency in ms of each frame event published in between; how many unchanged; faces."""
    latencies: list[float] = []
    unchanged = faces = 0
    with Redis.from_url(redis_url, decode_responses=True) as client:
        for key in client.scan_iter("maskwatch:frames:*"):
            entries: Any = client.xrange(key, int(before.wall_s * 1000), int(after.wall_s * 1000))
            for entry_id, fields in entries:
                event = json.loads(fields["event"])
                published_ms = int(entry_id.partition("-")[0])
                captured = np.datetime64(event["captured_at"].rstrip("Z"), "ms")
                latencies.append(published_ms - float(captured.astype(np.int64)))
                unchanged += event["detection"] == "unchanged"
                faces += len(event["faces"])
    return latencies, unchanged, faces


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value
