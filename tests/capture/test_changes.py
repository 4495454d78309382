"""A stream that becomes another one while it is being watched."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from capture.clips import make_clip
from capture.watch import played, watching

from worker.capture.connection import Connection
from worker.config import Camera
from worker.errors import CameraError

SHORT_S = 0.1


class _Camera(BaseHTTPRequestHandler):
    """Sends H.264 in a transport stream first, and from then on H.265 of another size."""

    def do_GET(self) -> None:
        """A second of the first codec to the first who asks; the second codec for ever."""
        server: Any = self.server
        before = server.before if next(server.asked) == 0 else b""
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        try:
            self.wfile.write(before)
            while not server.ended.wait(SHORT_S):
                self.wfile.write(server.after)
        except OSError:
            pass  # the client has gone

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of such a camera."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    server.before = make_clip(tmp_path / "a.ts", seconds=1).read_bytes()
    after = make_clip(tmp_path / "b.ts", codec="libx265", size=(640, 360), seconds=1)
    server.after, server.ended, server.asked = (
        after.read_bytes(),
        threading.Event(),
        itertools.count(),
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/stream"
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_codec_changes_within_a_connection(address: str) -> None:
    """What the decoder cannot follow takes the camera down; the next connection can."""
    with watching(url=address, read_timeout_s=1, analyse_fps=5) as watch:
        watch.until(lambda: bool(watch.frames) and watch.frames[-1].picture.width == 640)
    assert watch.states[:4] == ["connecting", "up", "down: undecodable", "up"]


def test_parameter_sets_change_within_a_file(tmp_path: Path) -> None:
    """Profile, frame rate, keyframe interval and size change at a cut, and no frame is lost."""
    parts = [
        make_clip(tmp_path / "a.h264", seconds=1, profile="baseline"),
        make_clip(tmp_path / "b.h264", seconds=1, profile="high", gop=5, crf=35),
        make_clip(tmp_path / "c.h264", seconds=1, size=(640, 360), fps=10),
    ]
    whole = tmp_path / "whole.h264"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    watch = played(url=str(whole), analyse_fps=60)
    assert watch.numbers == [*range(25), *range(25), *range(10)]
    assert [frame.picture.width for frame in watch.frames] == [320] * 50 + [640] * 10
    assert watch.states == ["connecting", "up", "ended"]


@pytest.mark.parametrize("codec", ["libx265", "mjpeg"])
def test_a_file_that_goes_on_in_another_codec(tmp_path: Path, codec: str) -> None:
    """What cannot be followed is told: the file ends too soon, and is not begun again."""
    first = make_clip(tmp_path / "a.ts", seconds=1)
    second = make_clip(tmp_path / "b.ts", codec=codec, seconds=6, start_s=1)
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    watch = played(url=str(both))
    assert watch.states == ["connecting", "up", "ended: undecodable"]
    assert "too soon" in watch.statuses[-1].detail


def test_a_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    """Its header promises more than it holds."""
    whole = make_clip(tmp_path / "whole.mkv", seconds=8).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    watch = played(url=str(cut))
    assert watch.states == ["connecting", "up", "ended: undecodable"]
    assert watch.frames


@pytest.mark.parametrize(
    ("url", "gives_up"), [("/dev/video0", True), ("rtsp://host/x", True), ("clip.mp4", False)]
)
def test_what_sends_no_picture_is_given_up(url: str, gives_up: bool) -> None:
    """A device as much as a network camera; a file may begin with as much rubbish as it likes."""
    connection = object.__new__(Connection)
    connection._camera = Camera(url=url)
    connection._keyframe_s, connection._frame_s = 1.0, 0.0
    if gives_up:
        with pytest.raises(CameraError, match="no sound picture"):
            connection._check_decodable(100.0)
    else:
        connection._check_decodable(100.0)
