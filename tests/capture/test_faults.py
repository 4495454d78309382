"""What errors of PyAV mean for a camera."""

from __future__ import annotations

import errno
from typing import Literal

import av
import pytest

from worker.capture.faults import camera_error
from worker.errors import CameraReason

SECRET_URL = "rtsp://admin:hunter2@camera/live"
TAGS = av.error.ErrorType


def fault(
    code: int, kind: type[Exception], phase: Literal["open", "read"], **how: bool
) -> CameraReason:
    """The reason for an error as PyAV raises it, with the secret address in it."""
    error = kind(code, "what FFmpeg says", SECRET_URL)
    how = {"timed_out": False, "local": False} | how
    found = camera_error(error, "rtsp://camera/live", phase=phase, **how)  # type: ignore[arg-type]
    assert "hunter2" not in f"{found} {found!r}"
    assert "rtsp://camera/live" in str(found)
    return found.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("HTTPUnauthorizedError", "unauthorised"),
        ("HTTPForbiddenError", "unauthorised"),
        ("HTTPNotFoundError", "not_found"),
        ("HTTPServerError", "refused"),
        ("HTTPTooManyRequestsError", "refused"),
        ("ConnectionRefusedError", "refused"),
        ("TimeoutError", "timeout"),
        ("ExitError", "timeout"),
        ("ProtocolNotFoundError", "unsupported"),
        ("DecoderNotFoundError", "unsupported"),
        ("InvalidDataError", "undecodable"),
    ],
)
def test_opening(name: str, reason: str) -> None:
    """Each way in which a camera refuses has its own word."""
    assert fault(1, getattr(av.error, name), "open") == reason


def test_a_name_that_cannot_be_resolved() -> None:
    """FFmpeg reports a failed look-up as an input/output error."""
    assert fault(errno.EIO, av.error.OSError, "open") == "unreachable"


def test_no_route() -> None:
    """A network that is down is unreachable."""
    assert fault(errno.EHOSTUNREACH, av.error.OSError, "open") == "unreachable"


def test_silence_while_opening_is_a_timeout() -> None:
    """FFmpeg says "invalid data" when no answer came in time."""
    assert fault(1, av.error.InvalidDataError, "open", timed_out=True) == "timeout"


def test_a_challenge_that_could_not_be_answered_in_time() -> None:
    """FFmpeg says "unauthorised" when the time was over between challenge and answer."""
    assert fault(1, av.error.HTTPUnauthorizedError, "open", timed_out=True) == "timeout"


@pytest.mark.parametrize("name", ["TimeoutError", "ExitError"])
def test_silence_in_mid_stream_is_a_stall(name: str) -> None:
    """A camera that sent and then sends no more has stalled."""
    assert fault(1, getattr(av.error, name), "read", timed_out=True) == "stalled"


def test_a_reset_in_mid_stream_is_an_end() -> None:
    """A camera that hangs up, however rudely, has ended."""
    assert fault(errno.ECONNRESET, av.error.ConnectionResetError, "read") == "ended"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("FileNotFoundError", "not_found"),
        ("PermissionError", "unauthorised"),
        ("IsADirectoryError", "unsupported"),
        ("InvalidDataError", "undecodable"),
    ],
)
def test_files(name: str, reason: str) -> None:
    """What lies on this machine fails in the same words."""
    assert fault(1, getattr(av.error, name), "open", local=True, timed_out=True) == reason
