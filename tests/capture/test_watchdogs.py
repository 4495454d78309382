"""Each way of being blind, through a source at work."""

from __future__ import annotations

import itertools
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from capture.clips import numbered
from capture.watch import FakeClock, Watch, watching

from worker.capture.connection import Connection
from worker.records import Image


def film(path: Path, pictures: list[Image]) -> Path:
    """A clip of these pictures, five a second, without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 5)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def shown(folder: Path, pictures: list[Image], **camera: Any) -> Watch:
    """A live camera that showed these pictures, five a second."""
    clip = film(folder / "film.mkv", pictures)
    watch = Watch(url=str(clip), realtime=True, clock=FakeClock(), **camera)
    watch.source.run()
    return watch


MOVING = [numbered(number) for number in range(40)]
BLACK = np.full_like(MOVING[0], 16)


def test_a_frozen_camera(tmp_path: Path) -> None:
    """It stays up, with a warning; its frames are marked, and the gap is told once it is over."""
    watch = shown(tmp_path, MOVING[:5] + [MOVING[5]] * 20 + MOVING[6:10], frozen_after_s=2)
    assert watch.states == ["connecting", "up", "up: frozen", "up", "ended"]
    assert [frame.frozen for frame in watch.frames] == [False] * 15 + [True] * 10 + [False] * 4
    stood, moves = watch.frames[5].captured_at, watch.frames[25].captured_at
    assert [(gap.start, gap.end, gap.reason) for gap in watch.gaps] == [
        (pytest.approx(stood), moves, "frozen")
    ]
    assert watch.statuses[2].since == pytest.approx(stood)


def test_a_covered_camera(tmp_path: Path) -> None:
    """It is down, though frames come, which go on to be analysed."""
    watch = shown(tmp_path, MOVING[:5] + [BLACK] * 20 + MOVING[6:10], covered_after_s=2)
    assert watch.states == ["connecting", "up", "down: covered", "up", "ended"]
    assert len(watch.frames) == 29
    black, light = watch.frames[5].captured_at, watch.frames[25].captured_at
    assert [(gap.start, gap.end, gap.reason) for gap in watch.gaps] == [
        (pytest.approx(black), light, "covered")
    ]


def test_a_recording_is_neither(tmp_path: Path) -> None:
    """How fast a file is read says nothing of its camera."""
    clip = film(tmp_path / "film.mkv", [BLACK] * 20)
    watch = Watch(url=str(clip), clock=FakeClock(), frozen_after_s=1e-6, covered_after_s=1e-6)
    watch.source.run()
    assert watch.states == ["connecting", "up", "ended"]


@pytest.mark.parametrize(("phase", "reason"), [("open", "timeout"), ("read", "stalled")])
def test_a_thread_that_hangs_is_told_by_another(
    clip: Path, monkeypatch: pytest.MonkeyPatch, phase: str, reason: str
) -> None:
    """At its limit, though FFmpeg does not return; once it does, the camera is up again."""
    hangs, free = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        assert free.wait(30)

    def open_slowly(*arguments: Any, **options: Any) -> Any:
        if phase == "open":
            hang()
        return av.open(*arguments, **options)

    packets = Connection._packets

    def read_slowly(self: Connection) -> Any:
        for number, packet in enumerate(packets(self)):
            if phase == "read" and number == 10:
                self._call("read", hang)
            yield packet

    monkeypatch.setattr(Connection, "_packets", read_slowly)
    with watching(url=str(clip), options={"opener": open_slowly}) as watch:
        assert hangs.wait(30)
        watch.source.watch_over(time.monotonic() + 9)
        assert f"down: {reason}" not in watch.states
        watch.source.watch_over(time.monotonic() + 11)
        watch.source.watch_over(time.monotonic() + 12)
        assert watch.states[-1] == f"down: {reason}"
        free.set()
        watch.until(lambda: watch.states[-1] == "ended")
    assert watch.states[-3:] == [f"down: {reason}", "up", "ended"]
    assert [gap.reason for gap in watch.gaps] == [reason]


def test_a_successor_knows_what_was_told(clip: Path) -> None:
    """The camera that hung is not connecting for the first time, and its gap goes on."""
    watch = Watch(url=str(clip), clock=FakeClock())
    watch.source.watch_over(1_000.0)
    watch.source._told(lambda sight, now: sight.connects(now))
    watch.source.watch_over(1_030.0)
    watch.source.abandon()
    watch.source.successor().run()
    assert watch.states == ["connecting", "down: timeout", "up", "ended"]
    assert [(gap.start, gap.reason) for gap in watch.gaps] == [(watch.statuses[0].since, "timeout")]


def test_frames_that_are_all_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of smeared pictures is as blind as one without any."""
    clip = film(tmp_path / "film.mkv", MOVING)
    monkeypatch.setattr(Connection, "_is_sound", lambda *_: False)
    clock = FakeClock()
    with watching(
        url="rtsp://camera.example/live",
        analyse_fps=5,
        read_timeout_s=2,
        clock=clock,
        options={"opener": lambda *_, **__: _passing(clock, clip)},
    ) as watch:
        watch.until(lambda: len(watch.states) >= 2)
    assert watch.states[1] == "down: undecodable"
    assert watch.drops["corrupt"] >= 5


def _passing(clock: FakeClock, clip: Path) -> Any:
    """A container in which time passes with each packet."""
    container = av.open(str(clip))

    class Passing:
        def __getattr__(self, name: str) -> Any:
            return getattr(container, name)

        def demux(self, *_streams: Any) -> Any:
            for packet in container.demux(video=0):
                clock.now_s += 0.2
                yield packet

    return Passing()


def test_a_clock_that_jumps_is_told_and_hides_nothing(tmp_path: Path) -> None:
    """Its stamps go back an hour, and not a frame less is due."""
    from capture.clips import make_clip

    clip = make_clip(tmp_path / "clip.mkv", seconds=4)
    clock, jumps = FakeClock(), itertools.count()
    container = _passing(clock, clip)

    class Jumping:
        def __getattr__(self, name: str) -> Any:
            return getattr(container, name)

        def demux(self, *_streams: Any) -> Any:
            for packet in av.open(str(clip)).demux(video=0):
                clock.now_s += 0.04
                if packet.pts is not None and next(jumps) >= 50:
                    packet.pts, packet.dts = packet.pts - 3_600_000, packet.dts - 3_600_000
                yield packet

    with watching(
        url="rtsp://camera.example/live",
        clock=clock,
        options={"opener": lambda *_, **__: Jumping()},
    ) as watch:
        watch.until(lambda: any(state.startswith("down") for state in watch.states))
    assert watch.states[:3] == ["connecting", "up", "up: clock"]
    assert watch.numbers[:20] == list(range(0, 100, 5))
