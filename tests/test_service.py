"""The service's own promises: it fails whole, shares fairly, and accounts for every event."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service.worker_process import faces_clip, wait_for

from worker.capture.source import Source
from worker.config import Camera, Http, Settings
from worker.config import Redis as RedisSettings
from worker.errors import ConfigError, WorkError
from worker.output.embedded import RedisServer, embedded_redis
from worker.process import Worker
from worker.service import MAX_ABANDONED, Service, usable_cores


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faces_clip(tmp_path_factory.mktemp("clip") / "faces.mp4", seconds=2)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with embedded_redis() as server:
        yield server


def service(clip: Path, redis_server: RedisServer, *, cameras: int = 1, **camera: Any) -> Service:
    watched = {"realtime": True, "loop": True, "motion": False, **camera}
    return Service(
        Settings(
            worker=Worker(worker_id="test", stop_timeout_s=60),
            cameras={f"c{n}": Camera(url=str(clip), **watched) for n in range(cameras)},
            redis=RedisSettings(url=redis_server.url),
            http=Http(port=0),
        )
    )


class Running:
    """A service on a thread; its end, and what it ended with."""

    def __init__(self, of: Service) -> None:
        self.service = of
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.service.run()
        except WorkError as error:
            self.error = error

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.service.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def ended(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


def count(of: Service, name: str) -> float:
    """A counter, summed over its labels."""
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in of.metrics.exposition().decode().splitlines()
        if line.startswith((f"{name} ", f"{name}{{"))
    )


def test_dead_stage_ends_the_worker(
    clip: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the thread that owns the device dies, the worker ends and says why."""
    of = service(clip, redis_server)

    def burn(_crops: object) -> None:
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(of._classifier, "classify", burn)
    with Running(of) as running:
        running.ended()
    assert "device died: RuntimeError: the device is gone" in str(running.error)


def test_one_failed_batch_is_counted_and_passed_over(
    clip: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faces of a batch that the device failed on get no label; the next batch does."""
    of = service(clip, redis_server)
    classify = of._classifier.classify
    calls: list[int] = []

    def sometimes(crops: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("an illegal access")
        return classify(crops)

    monkeypatch.setattr(of._classifier, "classify", sometimes)
    with Running(of):
        wait_for(lambda: len(calls) >= 4)
    assert count(of, "maskwatch_device_errors_total") == 1


def test_a_detector_s_device_that_is_gone_ends_the_worker(
    clip: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no picture's fault does not cost one frame after the other for ever."""
    of = service(clip, redis_server)

    def gone(_picture: object, _part: object) -> None:
        raise WorkError("cuda failed on 3 batches of pictures in a row")

    monkeypatch.setattr(of.cameras["c0"]._pipeline._detector, "look", gone)
    with Running(of) as running:
        running.ended()
    assert "cuda failed on 3 batches" in str(running.error)


def test_detection_that_hangs_ends_the_worker(
    clip: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread cannot be killed, and without it every camera would be blind unseen."""
    of = service(clip, redis_server)
    library = threading.Event()
    monkeypatch.setattr("worker.service.DEVICE_HANG_S", 0.5)
    monkeypatch.setattr(of.cameras["c0"]._pipeline._detector, "look", lambda *_: library.wait(60))
    with Running(of) as running:
        wait_for(lambda: of._failure is not None)
        library.set()
        running.ended()
    assert "looking for faces in one picture has taken" in str(running.error)


def test_main_thread_that_fails_ends_in_order(
    clip: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the thread that watches over all others ends the worker, with everything told."""
    of = service(clip, redis_server)

    def fall(_now_s: float, _now: float) -> None:
        if of.cameras["c0"].analysed >= 2:
            raise ValueError("an odd clock")

    monkeypatch.setattr(of.rules, "tick", fall)
    with Running(of) as running:
        running.ended()
    assert "main died: ValueError: an odd clock" in str(running.error)
    assert count(of, "maskwatch_queue_depth") == 0


def test_one_bad_frame_is_counted_and_passed_over(
    clip: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that breaks a stage is dropped as failed; the next one is analysed."""
    of = service(clip, redis_server)
    pipeline = of.cameras["c0"]._pipeline
    begin = pipeline.begin
    calls: list[int] = []

    def sometimes(frame: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("an odd picture")
        return begin(frame)

    monkeypatch.setattr(pipeline, "begin", sometimes)
    with Running(of):
        wait_for(lambda: of.cameras["c0"].analysed >= 4)
    assert count(of, "maskwatch_frames_dropped_total") >= 1
    assert 'reason="failed"} 1.0' in of.metrics.exposition().decode()


def test_overload_starves_no_camera(
    clip: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When detection cannot keep up, every camera gets its turn and the rest is counted."""
    of = service(clip, redis_server, cameras=4, analyse_fps=10)

    for run in of.cameras.values():
        detector = run._pipeline._detector

        def slow(_picture: Any, _part: Any) -> list[Any]:
            time.sleep(0.08)
            return []

        monkeypatch.setattr(detector, "look", slow)
    with Running(of):
        wait_for(lambda: sum(run.analysed for run in of.cameras.values()) >= 40)
    shares = [run.analysed for run in of.cameras.values()]
    assert min(shares) >= 0.6 * max(shares)
    assert count(of, "maskwatch_frames_dropped_total") > 0


def test_hung_capture_thread_is_replaced(
    clip: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that hangs is given up, a fresh one goes on, nothing of the old gets out."""
    of = service(clip, redis_server)
    run = of.cameras["c0"]
    hangs = iter([True])
    monkeypatch.setattr(run, "hung", lambda _now: next(hangs, False))
    with Running(of):
        wait_for(lambda: run.analysed >= 3)
        wait_for(lambda: run.hanging() == 0)


def test_too_many_hung_threads_end_the_worker(
    clip: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads cannot be killed: after a few the supervisor has to start afresh."""
    of = service(clip, redis_server)
    library = threading.Event()
    monkeypatch.setattr(Source, "run", lambda _self: library.wait(60))
    monkeypatch.setattr(of.cameras["c0"], "hung", lambda _now: True)
    with Running(of) as running:
        running.ended()
    library.set()
    assert f"{MAX_ABANDONED + 1} capture threads hang" in str(running.error)


def test_every_event_is_accounted_for(clip: Path, redis_server: RedisServer) -> None:
    """After an ordered stop: created = published + lost, and queues are empty."""
    of = service(clip, redis_server, cameras=2)
    with Running(of):
        wait_for(lambda: all(run.analysed >= 5 for run in of.cameras.values()))
    created = count(of, "maskwatch_events_created_total")
    assert created > 10
    assert count(of, "maskwatch_events_published_total") == created
    assert count(of, "maskwatch_events_lost_total") == 0
    assert count(of, "maskwatch_queue_depth") == 0


def test_threads_are_gone_after_the_stop(clip: Path, redis_server: RedisServer) -> None:
    """Starting and stopping leaves no thread behind."""
    before = {thread.name for thread in threading.enumerate()}
    for _ in range(2):
        of = service(clip, redis_server, cameras=2)
        with Running(of):
            wait_for(lambda run=of.cameras["c1"]: run.analysed >= 1)
    wait_for(lambda: {t.name for t in threading.enumerate()} - before <= {"AnyIO worker thread"})


def test_missing_model_starts_nothing(tmp_path: Path, redis_server: RedisServer) -> None:
    """A worker without its model does not begin to watch."""
    from worker.config import Inference

    with pytest.raises(ConfigError, match="no model in"):
        Service(
            Settings(
                cameras={"c0": Camera(url="rtsp://192.0.2.1/x")},
                inference=Inference(model=tmp_path),
                redis=RedisSettings(url=redis_server.url),
            )
        )


def test_cores_are_at_least_one() -> None:
    """Whatever the machine says, there is a core to work on."""
    assert usable_cores() >= 1
