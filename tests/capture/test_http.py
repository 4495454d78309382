"""Capture over HTTP: Motion JPEG, recordings, and what is no video."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from capture.clips import numbered
from capture.watch import FakeClock, watching

FRAME_S = 0.04


class _Camera(BaseHTTPRequestHandler):
    """A camera's web server; ``server.clip`` is its recording."""

    server: Any

    def do_GET(self) -> None:
        self.server.asked += 1
        with contextlib.suppress(ConnectionError):
            getattr(self, f"_{self.path.strip('/').partition('.')[0]}", self._missing)()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def _live(self) -> None:
        self._multipart()
        for number in range(10_000):
            self._part(_jpeg(number))
            if self.server.ended.wait(FRAME_S):
                return

    def _garbage(self) -> None:
        self._multipart()
        self._part(_jpeg(0))
        while not self.server.ended.wait(FRAME_S):
            self._part(b"\xff\xd8" + b"no picture" * 100)

    def _frozen(self) -> None:
        self._multipart()
        for number in range(10):
            self._part(_jpeg(number))
        self.server.ended.wait()

    def _endless(self) -> None:
        self._multipart()
        for number in range(10):
            self._part(_jpeg(number))
        self.wfile.write(b"--part\r\nContent-Type: image/jpeg\r\n\r\n")
        while not self.server.ended.wait(FRAME_S):
            self.wfile.write(bytes(10_000))

    def _sound(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        data = self.server.sound
        for at in range(0, len(data), 2_000):
            self.wfile.write(data[at : at + 2_000])
            if at > 20_000 and self.server.ended.wait(FRAME_S):
                return

    def _recording(self) -> None:
        body = self.server.clip.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _page(self) -> None:
        body = b"<html><body>Log in</body></html>" * 50
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _secret(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="camera"')
        self.end_headers()

    def _missing(self) -> None:
        self.send_error(404)

    def _multipart(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
        self.end_headers()

    def _part(self, jpeg: bytes) -> None:
        head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        self.wfile.write(head.encode() + jpeg + b"\r\n")


def _jpeg(number: int) -> bytes:
    encoded: np.ndarray[Any, Any] = cv2.imencode(".jpg", numbered(number)[:, :, ::-1])[1]
    return encoded.tobytes()


@pytest.fixture
def web_server(clip: Path) -> Iterator[Any]:
    """A camera's web server."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    server.clip, server.ended, server.asked = clip, threading.Event(), 0
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def web(web_server: Any) -> str:
    """Its address."""
    return f"http://127.0.0.1:{web_server.server_port}"


def test_motion_jpeg(web: str) -> None:
    """Pictures without time stamps are chosen by when they arrive."""
    with watching(url=f"{web}/live", analyse_fps=5) as watch:
        watch.until(lambda: len(watch.numbers) >= 4)
    assert watch.states == ["connecting", "up"]
    assert watch.numbers == sorted(watch.numbers)
    assert watch.received > 2 * len(watch.numbers)


def test_a_recording_is_played_at_its_own_pace(web: str) -> None:
    """A finished file behind HTTP doesn't arrive all at once; its end is an end."""
    clock = FakeClock()
    with watching(url=f"{web}/recording.mp4", clock=clock, read_timeout_s=60) as watch:
        watch.until(lambda: "down: ended" in watch.states)
    arrivals = [frame.monotonic_s - watch.frames[0].monotonic_s for frame in watch.frames[:10]]
    assert arrivals == pytest.approx([index / 5 for index in range(10)], abs=0.001)


@pytest.mark.parametrize(
    ("path", "reason"),
    [("page", "undecodable"), ("secret", "unauthorised"), ("nowhere", "not_found")],
)
def test_refusals(web: str, path: str, reason: str) -> None:
    """A page, a wrong password and a wrong path each have their reason."""
    with watching(url=f"{web}/{path}") as watch:
        watch.until(lambda: len(watch.statuses) == 2)
    assert watch.states == ["connecting", f"down: {reason}"]


def test_packets_that_cannot_be_decoded(web: str) -> None:
    """A stream of garbage is down after the time-out, though it never falls silent."""
    with watching(url=f"{web}/garbage", read_timeout_s=1) as watch:
        watch.until(lambda: "down: undecodable" in watch.states)
    assert watch.drops.keys() <= {"corrupt"}


def test_a_stream_that_freezes(web: str) -> None:
    """A connection that stays open and sends nothing is down after the time-out."""
    with watching(url=f"{web}/frozen", read_timeout_s=1) as watch:
        watch.until(lambda: watch.states[-1:] == ["down: stalled"])
    assert "up" in watch.states


def test_a_part_without_an_end(web: str) -> None:
    """A picture that goes on and on is cut off at the time-out, before it fills the memory."""
    with watching(url=f"{web}/endless", read_timeout_s=1) as watch:
        watch.until(lambda: watch.states[-1:] == ["down: stalled"])
    assert "up" in watch.states


def test_sound_goes_on_without_a_picture(tmp_path: Path, web: str, web_server: Any) -> None:
    """A camera whose sound alone still comes is told, and its thread does not hang."""
    path = tmp_path / "sound.ts"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio: Any = container.add_stream("mp2", rate=48_000, layout="mono")
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for number in range(1_000):
            sound = av.AudioFrame.from_ndarray(
                np.zeros((1, 1_152), np.int16), format="s16", layout="mono"
            )
            sound.sample_rate, sound.pts = 48_000, number * 1_152
            container.mux(audio.encode(sound))
    web_server.sound = path.read_bytes()
    with watching(url=f"{web}/sound", read_timeout_s=1) as watch:
        watch.until(lambda: "down: undecodable" in watch.states)
    assert watch.states[:3] == ["connecting", "up", "down: undecodable"]


def test_a_file_leads_nowhere(tmp_path: Path, web: str, web_server: Any) -> None:
    """A playlist on disk can't make the worker call somebody."""
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{web}/recording.mp4\n#EXT-X-ENDLIST\n",
        encoding="utf-8",
    )
    with watching(url=str(playlist)) as watch:
        watch.until(lambda: watch.states[-1].startswith("down"))
    assert web_server.asked == 0
