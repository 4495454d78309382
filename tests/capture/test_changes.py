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
from capture.watch import watching

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
