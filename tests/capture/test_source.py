"""A source from URL to due frames: files of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from capture.clips import make_clip
from capture.watch import FakeClock, Watch, played, watching

from worker.capture import source as source_module
from worker.capture.picture import AvPicture
from worker.capture.source import Source


def test_a_file_is_played_to_its_end(clip: Path) -> None:
    """Every fifth of 25 fps is due at 5, none is dropped, and the file ends."""
    watch = played(url=str(clip), analyse_fps=5)
    assert watch.numbers == list(range(0, 50, 5))
    assert watch.received == 50
    assert watch.states == ["connecting", "up", "ended"]
    assert not watch.drops


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hevc.mp4", {"codec": "libx265"}),
        ("mjpeg.mkv", {"codec": "mjpeg"}),
        ("b-frames.mp4", {"bf": 3, "preset": "veryfast"}),
        ("stream.ts", {}),
        ("bare.h264", {}),
    ],
)
def test_codecs(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """H.265, Motion JPEG, B-frames, a transport stream and bare H.264 all come in order."""
    watch = played(url=str(make_clip(tmp_path / name, **options)), analyse_fps=5)
    assert watch.numbers == list(range(0, 50, 5))


def test_keyframes_only(clip: Path) -> None:
    """Only keyframes are decoded, whatever rate was asked for."""
    watch = played(url=str(clip), analyse_fps=25, keyframes_only=True)
    assert watch.numbers == [0, 25]
    assert watch.received == 2


def test_file_urls(clip: Path, tmp_path: Path) -> None:
    """A file may be named as a URL, with its odd characters quoted."""
    odd = tmp_path / "a clip%20.mp4"
    odd.write_bytes(clip.read_bytes())
    assert played(url=odd.as_uri()).states[-1] == "ended"


def test_the_resolution_changes(tmp_path: Path) -> None:
    """A stream that goes on in another size is followed."""
    small = make_clip(tmp_path / "small.h264", size=(320, 180), seconds=1)
    large = make_clip(tmp_path / "large.h264", size=(640, 360), seconds=1)
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    watch = played(url=str(both), analyse_fps=5)
    shapes = [frame.picture.bgr().shape for frame in watch.frames]
    assert shapes == [(180, 320, 3)] * 5 + [(360, 640, 3)] * 5
    assert watch.numbers == [0, 5, 10, 15, 20] * 2


def test_frames_that_are_not_due_are_not_wrapped(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten of fifty frames are due, and only ten pictures are ever made."""
    made = 0

    class CountedPicture(AvPicture):
        def __init__(self, *arguments: Any) -> None:
            nonlocal made
            made += 1
            super().__init__(*arguments)

    monkeypatch.setattr(source_module, "AvPicture", CountedPicture)
    played(url=str(clip), analyse_fps=5)
    assert made == 10


def test_damage_is_dropped_up_to_the_next_keyframe(tmp_path: Path) -> None:
    """What is built on a damaged frame is smeared: counted as corrupt, not analysed."""
    clip = make_clip(tmp_path / "whole.h264", gop=25, seconds=3)
    data = bytearray(clip.read_bytes())
    slices = [at for at in range(len(data) - 4) if data[at : at + 4] == b"\0\0\0\1"]
    broken = next(at for at in slices[12:] if data[at + 4] & 31 == 1)
    data[broken + 8 : broken + 400] = bytes(392)
    damaged = tmp_path / "damaged.h264"
    damaged.write_bytes(data)
    watch = played(url=str(damaged), analyse_fps=25)
    assert watch.drops["corrupt"] > 5
    assert watch.frames[-1].dropped == {}
    assert sum(frame.dropped.get("corrupt", 0) for frame in watch.frames) == watch.drops["corrupt"]
    assert watch.numbers[-50:] == list(range(25, 75))


def _picture(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((50, 50, 3), np.uint8))


def _truncated(path: Path) -> None:
    whole = make_clip(path.with_name("whole.mp4")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _header_only(path: Path) -> None:
    whole = make_clip(path.with_name("whole.mkv")).read_bytes()
    path.write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75")])  # up to the first cluster


def _blanked(path: Path) -> None:
    whole = make_clip(path.with_name("whole.mp4")).read_bytes()
    begin, end = whole.index(b"mdat") + 4, whole.index(b"moov") - 4
    path.write_bytes(whole[:begin] + bytes(end - begin) + whole[end:])


@pytest.mark.parametrize(
    ("name", "make", "reason", "words"),
    [
        ("header.mkv", _header_only, "undecodable", "truncated"),
        ("blank.mp4", _blanked, "undecodable", "no picture that can be decoded"),
        ("picture.png", _picture, "unsupported", "single picture"),
        ("picture.jpg", _picture, "unsupported", "single picture"),
        ("empty.mp4", Path.touch, "undecodable", "empty, truncated"),
        ("truncated.mp4", _truncated, "undecodable", "empty, truncated"),
        ("text.mp4", lambda p: p.write_text("no video\n" * 99), "undecodable", "no video"),
        ("folder.mp4", Path.mkdir, "unsupported", "cannot be opened"),
        ("missing.mp4", lambda _: None, "not_found", "check the path"),
    ],
)
def test_no_video(tmp_path: Path, name: str, make: Any, reason: str, words: str) -> None:
    """What is no video takes the camera down with a sentence, and nothing is raised."""
    path = tmp_path / name
    make(path)
    clock = FakeClock()
    watch = _stopped_after_a_retry(url=str(path), clock=clock)
    assert watch.states == ["connecting", f"down: {reason}"]
    assert words in watch.statuses[-1].detail
    assert str(path) in watch.statuses[-1].detail


def test_only_sound(tmp_path: Path) -> None:
    """A file with sound but no pictures says so."""
    import av

    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    watch = _stopped_after_a_retry(url=str(path), clock=FakeClock())
    assert watch.states[-1] == "down: unsupported"
    assert "no video in it" in watch.statuses[-1].detail


@pytest.mark.parametrize("url", ["concat:{0}|{0}", "subfile,,start,0,end,0,,:{0}", "pipe:0"])
def test_names_are_no_protocols(clip: Path, url: str) -> None:
    """The name of a file can't make FFmpeg open something else."""
    watch = _stopped_after_a_retry(url=url.format(clip), clock=FakeClock())
    assert watch.states[-1] == "down: not_found"


def test_realtime_is_paced_by_the_stamps(clip: Path) -> None:
    """A file at its own pace takes as long as it is."""
    clock = FakeClock()
    watch = played(url=str(clip), realtime=True, analyse_fps=5, clock=clock)
    assert watch.numbers == list(range(0, 50, 5))
    arrivals = [frame.monotonic_s - 1_000 for frame in watch.frames]
    assert arrivals == pytest.approx([index / 5 for index in range(10)], abs=0.001)
    assert clock.now_s == pytest.approx(1_002.0, abs=0.05)


def test_realtime_keeps_the_newest(clip: Path) -> None:
    """At its own pace a file is a live source: nobody waits for who doesn't take."""
    watch = played(url=str(clip), realtime=True, analyse_fps=5, clock=FakeClock(), take=False)
    assert watch.drops == {"replaced": 9}
    assert watch.slot.ready


def test_loop(clip: Path) -> None:
    """A file that loops starts again and again, and stays up."""
    with watching(url=str(clip), loop=True, analyse_fps=5) as watch:
        watch.until(lambda: len(watch.numbers) >= 25)
    assert watch.numbers[:25] == [*range(0, 50, 5), *range(0, 50, 5), *range(0, 25, 5)]
    assert watch.states == ["connecting", "up"]


def test_arrival_is_the_wall_clock(clip: Path) -> None:
    """``captured_at`` is our clock, not the stream's."""
    clock = FakeClock()
    watch = played(url=str(clip), realtime=True, clock=clock)
    first, last = watch.frames[0], watch.frames[-1]
    assert first.captured_at == first.monotonic_s + clock.wall_offset_s
    assert last.captured_at > first.captured_at


def test_a_stop_wakes_who_waits_for_the_pipeline(clip: Path) -> None:
    """Nobody takes frames any more, and the source still stops; its frame is kept."""
    with watching(url=str(clip), take=False) as watch:
        watch.until(lambda: watch.slot.ready)
    assert watch.slot.ready
    assert watch.states == ["connecting", "up"]


def test_waiting_for_the_pipeline_is_no_hang(clip: Path) -> None:
    """While the pipeline is slow, the thread shows life."""
    with watching(url=str(clip), take=False) as watch:
        watch.until(lambda: watch.slot.ready)
        seen = watch.source.last_activity_s
        watch.until(lambda: watch.source.last_activity_s > seen)


def _stopped_after_a_retry(**arguments: Any) -> Watch:
    """A source that is stopped at its second try."""

    class Impatient(Source):
        tries = 0

        def run_once(self) -> None:
            self.tries += 1
            if self.tries == 3:
                self.stop()
            super().run_once()

    watch = Watch(**arguments)
    watch.source = Impatient(
        "entrance", watch.camera, watch.slot, listener=watch, clock=arguments["clock"]
    )
    watch.source.run()
    return watch
