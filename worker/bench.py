"""`maskwatch bench`: what a camera costs, as a multiple of what decoding it costs.

The whole service runs in this process against a real server of the Redis protocol in another.
Counted are the seconds between warm-up and the ordered end; making the clip, the server and
the start do not count. The unit is the decode floor: the CPU seconds that
``ffmpeg -threads 1 -i CLIP -f null -`` takes for the same seconds of video, here and now.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from redis import Redis

from worker.config import Camera, CameraDefaults, Http, Settings, Worker
from worker.config import Detection as DetectionSettings
from worker.config import Redis as RedisSettings
from worker.errors import ConfigError
from worker.output.embedded import embedded_redis
from worker.service import Service

WARM_UP_S = 3.0
FLOOR_RUNS = 3


@dataclass(frozen=True, slots=True)
class Load:
    """What is played, and how it is analysed."""

    clip: Path | None
    seconds: float
    cameras: int = 1
    analyse_fps: float = 5.0
    motion: bool = True
    min_face_px: int = 20
    detector: str | None = None


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

    def to_json(self) -> str:
        """One JSON object, figures rounded to what the noise allows."""
        return json.dumps(_rounded(asdict(self)), indent=2)


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
        clip = load.clip or _seeded_clip(Path(folder) / "faces.mp4")
        floor, source_fps = decode_floor(clip)
        costs = {
            name: _in_a_fresh_process(measure, replace(load, motion=motion), clip)
            for name, motion in (("motion gate on", True), ("motion gate off", False))
        }
        loop = (
            _in_a_fresh_process(measure_report_loop, clip, source_fps / load.analyse_fps)
            if report_loop
            else None
        )
    report = {
        "clip": str(load.clip or "seeded, 1280x720, 25 fps, moving faces"),
        "decode_floor_ms_per_frame": 1000 * floor / source_fps,
        "cameras": load.cameras,
        "analyse_fps": load.analyse_fps,
        "runs": {name: asdict(cost) for name, cost in costs.items()},
    }
    if loop is not None:
        report["report_loop"] = {**loop, "cost_ratio": loop["cpu_ms_per_source_frame"] / 1000
                                 * source_fps / floor}
    if as_json:
        print(json.dumps(_rounded(report), indent=2))
    else:
        _print_table(report)


def _in_a_fresh_process(work: Callable[..., T], *arguments: Any) -> T:
    """So that one run's memory and caches do not count for the next."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def measure(load: Load, clip: Path) -> Cost:
    """Play the clip as live cameras through the whole service.

    Raises:
        ConfigError: the clip cannot be played, or the embedded server is missing.
    """
    floor_per_s, source_fps = decode_floor(clip)
    with embedded_redis() as server:
        service = Service(_settings(load, clip, server.url))
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
    floor_s = floor_per_s * wall_s * load.cameras
    analysed = len(latencies)
    return Cost(
        cost_ratio=cpu_s / floor_s,
        cpu_s=cpu_s,
        floor_cpu_s=floor_s,
        wall_s=wall_s,
        cpu_ms_per_analysed_frame=1000 * cpu_s / max(1, analysed),
        cpu_ms_per_source_frame=1000 * cpu_s / (wall_s * source_fps * load.cameras),
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


def decode_floor(clip: Path) -> tuple[float, float]:
    """CPU seconds to decode one second of a clip, and the clip's frame rate.

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
    runs = [_decode_once(clip) for _ in range(FLOOR_RUNS)]
    return float(np.median(runs)) / (frames / fps), fps


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


def _settings(load: Load, clip: Path, redis_url: str) -> Settings:
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
        worker=Worker(worker_id="bench"),
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
