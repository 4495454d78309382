"""A camera behind HTTP whose view a test may change: people who move, a still picture, nothing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import cv2
import numpy as np
from capture.clips import numbered

View = Literal["moving", "still", "black", "silent"]
FRAME_S = 0.1
PICTURES = 50


def _jpeg(picture: np.ndarray[Any, Any]) -> bytes:
    encoded: np.ndarray[Any, Any] = cv2.imencode(".jpg", picture)[1]
    return encoded.tobytes()


class HttpCamera:
    """Sends Motion JPEG, ten frames a second, to all who ask.

    Attributes:
        url: its address.
        changed_at: wall clock of the last change of its view.
    """

    def __init__(self) -> None:
        self._moving = [_jpeg(numbered(number)) for number in range(PICTURES)]
        self._black = _jpeg(np.zeros((180, 320, 3), np.uint8))
        self._view: View = "moving"
        self._ended = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
                self.end_headers()
                with contextlib.suppress(OSError):
                    camera._send(self.wfile)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/live"
        self.changed_at = time.time()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def show(self, view: View) -> None:
        """Another view from the next frame on."""
        self._view = view
        self.changed_at = time.time()

    def close(self) -> None:
        """Hang up and listen no more."""
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _send(self, wire: Any) -> None:
        number = 0
        while not self._ended.wait(FRAME_S):
            if self._view == "silent":
                continue
            number += self._view == "moving"
            jpeg = self._black if self._view == "black" else self._moving[number % PICTURES]
            head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            wire.write(head.encode() + jpeg + b"\r\n")


@contextlib.contextmanager
def http_camera() -> Iterator[HttpCamera]:
    """A camera that moves, until told otherwise."""
    camera = HttpCamera()
    try:
        yield camera
    finally:
        camera.close()
