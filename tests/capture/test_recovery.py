"""How a source comes back: back-off, hours, hangs, and what it says about it."""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import pytest
from capture.clips import make_clip
from capture.watch import FakeClock, Watch, watching

from worker.capture.source import LONGEST_WAIT_S

URL = "rtsp://admin:hunter2@camera.example/live"


class Opener:
    """Stands in for ``av.open``: each call does what the next act says; the last one stops."""

    def __init__(self, *acts: Any) -> None:
        self.acts = list(acts)
        self.calls = 0
        self.stop: Callable[[], None] = lambda: None

    def __call__(self, *_arguments: Any, **_options: Any) -> Any:
        act = self.acts[min(self.calls, len(self.acts) - 1)]
        self.calls += 1
        if self.calls >= len(self.acts):
            self.stop()
        if isinstance(act, Exception):
            raise act
        return av.open(str(act))


def refused() -> Exception:
    """What PyAV raises, with the secret address in it."""
    return av.error.ConnectionRefusedError(111, "Connection refused", URL)


def run(*acts: Any, **arguments: Any) -> tuple[Watch, FakeClock]:
    """A live camera that lived through some acts, on a clock of its own."""
    opener, clock = Opener(*acts), FakeClock()
    watch = Watch(
        url=URL,
        clock=clock,
        options={"opener": opener, "jitter": lambda: 1.0},
        **arguments,
    )
    opener.stop = watch.source.stop
    watch.source.run()
    return watch, clock


def test_a_hundred_outages_are_told_once() -> None:
    """The waits double up to a cap, for ever; status and log speak once."""
    watch, clock = run(*[refused() for _ in range(101)])
    assert watch.states == ["connecting", "down: refused"]
    assert watch.retries == {"refused": 100}
    assert clock.slept[:6] == [0.5, 1, 2, 4, 8, LONGEST_WAIT_S]
    assert max(clock.slept) == LONGEST_WAIT_S


def test_a_change_of_reason_is_told() -> None:
    """Another fault is news."""
    lost = av.error.HTTPNotFoundError(1, "Server returned 404 Not Found", URL)
    watch, _ = run(refused(), refused(), lost, lost, refused(), refused())
    assert watch.states == ["connecting", "down: refused", "down: not_found", "down: refused"]


def test_a_camera_comes_back(clip: Path) -> None:
    """A live stream that just ends is a failure, and the next connection is up again."""
    watch, _ = run(refused(), clip, clip, refused())
    assert watch.states == ["connecting", "down: refused", "up", "down: ended", "up", "down: ended"]
    assert watch.retries == {"refused": 1, "ended": 2}


def test_a_connection_that_held_resets_the_wait(clip: Path) -> None:
    """After a good while of pictures, the first retry comes quickly again."""
    clock = FakeClock()
    opener = Opener(*[refused() for _ in range(6)], clip, refused())
    watch = Watch(url=URL, clock=clock, options={"opener": opener, "jitter": lambda: 1.0})
    opener.stop = watch.source.stop

    def hold(status: Any) -> None:
        if status.state == "up":
            clock.now_s += 60

    watch._on_status = hold
    watch.source.run()
    assert clock.slept[-1] == 0.5


def test_a_wrong_password_is_not_hammered() -> None:
    """Cameras lock out who tries too often."""
    wrong = av.error.HTTPUnauthorizedError(1, "Server returned 401", URL)
    watch, clock = run(wrong, wrong, wrong)
    assert watch.states == ["connecting", "down: unauthorised"]
    assert min(clock.slept) >= 30


@pytest.mark.parametrize("error", [refused(), RuntimeError(f"odd, at {URL}")], ids=["av", "odd"])
def test_the_password_is_nowhere(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """No log line and no status shows it, not even with a fault that nobody foresaw."""
    with caplog.at_level(logging.DEBUG):
        watch, _ = run(error, error)
    assert watch.states[-1].startswith("down")
    assert "hunter2" not in caplog.text + repr(watch.statuses)
    assert "rtsp://camera.example/live" in caplog.text


def test_an_unforeseen_fault_ends_nothing(clip: Path) -> None:
    """The loop that owns recovery catches all."""
    watch, _ = run(ZeroDivisionError(), clip, refused())
    assert watch.states == ["connecting", "down: undecodable", "up", "down: ended"]


def test_status_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Twenty failures are one warning."""
    with caplog.at_level(logging.INFO):
        run(*[refused() for _ in range(20)])
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


def test_active_hours(clip: Path) -> None:
    """Outside its hours a camera is off, not down, and nothing is opened."""
    opener, clock = Opener(clip, refused(), refused()), FakeClock()
    opened: list[str] = []
    watch = Watch(
        url=URL,
        clock=clock,
        active_hours="07:00-07:01",
        options={"opener": opener, "jitter": lambda: 1.0},
    )
    begin = datetime(2026, 1, 15, 6, 59).astimezone().timestamp()
    clock.wall_offset_s = begin - clock.now_s

    def stop_when_off_again(status: Any) -> None:
        opened.append(f"{status.state} {opener.calls}")
        if [s.state for s in watch.statuses].count("off") == 2:
            watch.source.stop()

    watch._on_status = stop_when_off_again
    watch.source.run()
    assert opened[:2] == ["off 0", "connecting 0"]
    assert watch.statuses[-1].state == "off"
    assert watch.states[0] == "off"


def test_the_hours_end_a_connection(clip: Path) -> None:
    """A camera that sends is let go of when its hours are over."""
    clock = FakeClock()
    watch = Watch(url=str(clip), realtime=True, loop=True, clock=clock, active_hours="07:00-07:01")
    begin = datetime(2026, 1, 15, 7, 0).astimezone().timestamp()
    clock.wall_offset_s = begin - clock.now_s
    watch._on_status = lambda status: watch.source.stop() if status.state == "off" else None
    watch.source.run()
    assert watch.states == ["connecting", "up", "off"]
    assert clock.now_s - 1_000 < 60 + 10


def test_a_stop_wakes_a_sleeper() -> None:
    """A source that waits a minute for its next try stops at once."""
    wrong = av.error.HTTPUnauthorizedError(1, "Server returned 401", URL)
    with watching(url=URL, options={"opener": Opener(wrong, wrong, wrong)}) as watch:
        watch.until(lambda: watch.states[-1:] == ["down: unauthorised"])
    assert not watch.retries


def test_stop_before_run_and_twice() -> None:
    """A source that was stopped before it began opens nothing."""
    opener = Opener(refused())
    watch = Watch(url=URL, options={"opener": opener})
    watch.source.stop()
    watch.source.stop()
    watch.source.run()
    assert opener.calls == 0


def test_an_abandoned_thread_is_silent(clip: Path) -> None:
    """A hung opener shows no life; given up, nothing of its late success gets out."""
    entered, release = threading.Event(), threading.Event()

    def hang(*_arguments: Any, **_options: Any) -> Any:
        entered.set()
        assert release.wait(30)
        return av.open(str(clip))

    watch = Watch(url=URL, options={"opener": hang})
    watch.thread.start()
    assert entered.wait(30)
    seen = watch.source.last_activity_s
    assert seen == watch.source.last_activity_s
    watch.source.abandon()
    release.set()
    watch.thread.join(30)
    assert not watch.thread.is_alive()
    assert watch.states == ["connecting"]
    assert (watch.received, watch.frames) == (0, [])


def test_a_frame_on_its_way_does_not_get_out(clip: Path) -> None:
    """A thread that is given up between decoding and handing over keeps its frame."""

    class LateClock(FakeClock):
        opened = False

        def wall_s(self) -> float:
            if self.opened:
                watch.source.abandon()
            return super().wall_s()

    clock = LateClock()

    def open_clip(*_arguments: Any, **_options: Any) -> Any:
        clock.opened = True
        return av.open(str(clip))

    watch = Watch(url=URL, clock=clock, options={"opener": open_clip})
    watch.source.run()
    assert watch.states == ["connecting"]
    assert (watch.received, watch.frames, watch.drops) == (0, [], {})


def test_a_successor_takes_over(clip: Path) -> None:
    """The slot outlives a source that was given up; the next one guards its reads."""
    guards: list[Any] = []

    def open_guarded(*_arguments: Any, timeout: Any, **_options: Any) -> Any:
        guards.append(timeout[1])
        return av.open(str(clip))

    watch = Watch(url=URL, clock=FakeClock(), read_timeout_s=3, options={"opener": open_guarded})
    watch.source.abandon()
    successor = watch.source.successor()
    watch._on_status = lambda status: successor.stop() if status.state == "down" else None
    successor.run()
    assert guards == [3]
    assert watch.frames


def test_refused_cameras_leak_nothing(unused_port: int) -> None:
    """Two thousand real refusals leave threads, descriptors and memory as they were."""
    tries = 0
    footprint: list[tuple[int, int, int]] = []

    def open_really(*arguments: Any, **options: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries in {100, 2_100}:
            gc.collect()
            footprint.append(_footprint())
        if tries == 2_100:
            watch.source.stop()
        return av.open(*arguments, **options)

    watch = Watch(
        url=f"rtsp://127.0.0.1:{unused_port}/live",
        clock=FakeClock(),
        options={"opener": open_really},
    )
    watch.source.run()
    (threads, descriptors, kib), (threads_after, descriptors_after, kib_after) = footprint
    assert watch.states == ["connecting", "down: refused"]
    assert (threads_after, descriptors_after) == (threads, descriptors)
    assert kib_after - kib < 512


def test_cameras_that_hang_up_leak_nothing(tmp_path: Path) -> None:
    """Nor do hundreds of connections that each gave pictures and were lost."""
    clip = make_clip(tmp_path / "short.mkv", codec="mjpeg", size=(208, 96), seconds=0.12)
    footprint: list[tuple[int, int, int]] = []
    opener = Opener(*[clip] * 300)

    def open_really(*_arguments: Any, **_options: Any) -> Any:
        if opener.calls in {99, 299}:
            gc.collect()
            footprint.append(_footprint())
        for heard in (watch.frames, watch.numbers, watch.statuses, watch.gaps):
            heard.clear()
        return opener()

    watch = Watch(url=URL, clock=FakeClock(), options={"opener": open_really})
    opener.stop = watch.source.stop
    watch.source.run()
    (threads, descriptors, kib), (threads_after, descriptors_after, kib_after) = footprint
    assert watch.retries == {"ended": 299}
    assert (threads_after, descriptors_after) == (threads, descriptors)
    assert kib_after - kib < 1_024


def _footprint() -> tuple[int, int, int]:
    """Threads, open descriptors, and resident memory in KiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    kib = pages * os.sysconf("SC_PAGE_SIZE") // 1024
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), kib
