"""Watching a camera can be broken off, whatever FFmpeg does."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from worker.config import Camera
from worker.probe.reading import read


def test_ctrl_c_is_heard_while_a_camera_hangs() -> None:
    """The call that hangs is on another thread, so the one that hears signals is free."""
    hanging, release, where = threading.Event(), threading.Event(), []

    def opener(*_: Any, **__: Any) -> Any:
        where.append(threading.current_thread())
        hanging.set()
        release.wait(30)
        raise OSError

    def press_ctrl_c() -> None:
        hanging.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    # a process that was started in the background ignores Ctrl-C until told otherwise
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    finger = threading.Thread(target=press_ctrl_c)
    finger.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            read(Camera(url="rtsp://192.0.2.1/x"), 2, opener=opener)
    finally:
        release.set()
        finger.join()
        signal.signal(signal.SIGINT, before)
    assert where != [threading.main_thread()]


def test_a_fault_nobody_foresaw_comes_back() -> None:
    """It is not lost on the other thread."""

    def opener(*_: Any, **__: Any) -> Any:
        raise RuntimeError("unforeseen")

    with pytest.raises(RuntimeError, match="unforeseen"):
        read(Camera(url="rtsp://192.0.2.1/x"), 2, opener=opener)
