"""What FFmpeg's errors mean for a camera, in words that hold no secret.

``str``, ``repr`` and ``filename`` of a PyAV error hold the address with its password, and so
does a traceback that is chained to one. So nothing here uses more of it than its type and
``strerror``, and callers raise ``from None``.
"""

from __future__ import annotations

from typing import Literal

import av

from worker.errors import CameraError, CameraReason

Phase = Literal["open", "read"]

ALMOST = 0.9
"""Share of a time-out after which a broken answer counts as none: FFmpeg says InvalidData."""


def camera_error(
    error: av.error.FFmpegError, address: str, *, phase: Phase, timed_out: bool, local: bool
) -> CameraError:
    """The camera's fault behind an error of PyAV.

    Args:
        error: what PyAV raised.
        address: the camera's address as anybody may see it.
        phase: whether the source was being opened or was already sending.
        timed_out: the call took as long as the time-out allows.
        local: a file or device on this machine, rather than something on the network.
    """
    reason = _reason(error, phase, timed_out=timed_out, local=local)
    return CameraError(
        reason,
        _sentence(reason, error.strerror or type(error).__name__, address, phase, local=local),
    )


def _reason(
    error: av.error.FFmpegError, phase: Phase, *, timed_out: bool, local: bool
) -> CameraReason:
    """The bounded word for an error."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            # the time may be over between the camera's challenge and the answer to it
            late = reason == "unauthorised" and timed_out and not local
            return "timeout" if late else reason
    if isinstance(error, av.error.PermissionError):
        return "unauthorised" if local else "unreachable"
    if isinstance(error, _SILENCE) or (timed_out and not local):
        return "timeout" if phase == "open" else "stalled"
    if isinstance(error, av.error.InvalidDataError):
        return "undecodable"
    if phase == "read" and not local:
        return "ended"
    return "unreachable" if isinstance(error, OSError) else "undecodable"


def _sentence(
    reason: CameraReason, strerror: str, address: str, phase: Phase, *, local: bool
) -> str:
    """What, where and the remedy."""
    remedy = (_LOCAL_REMEDIES if local else _REMEDIES).get(reason) or _REMEDIES[reason]
    doing = "cannot be opened" if phase == "open" else "cannot be read any more"
    return f"{address} {doing} ({strerror}); {remedy}"


_SILENCE = (av.error.TimeoutError, av.error.ExitError)

_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], CameraReason], ...] = (
    ((av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError), "unauthorised"),
    (av.error.HTTPNotFoundError, "not_found"),
    (av.error.FileNotFoundError, "not_found"),
    (av.error.ConnectionRefusedError, "refused"),
    ((av.error.HTTPError, av.error.HTTPClientError), "refused"),
    (av.error.ProtocolNotFoundError, "unsupported"),
    (av.error.DemuxerNotFoundError, "unsupported"),
    (av.error.DecoderNotFoundError, "unsupported"),
    (av.error.IsADirectoryError, "unsupported"),
    (av.error.NotImplementedError, "unsupported"),
    (av.error.PatchWelcomeError, "unsupported"),
)

_REMEDIES: dict[CameraReason, str] = {
    "refused": "check that the camera is on, and the port",
    "unauthorised": "check username and password, and what the camera lets this user see",
    "not_found": "check the path of the address; the camera's manual names it",
    "timeout": "the other side does not answer; check address, network and firewall",
    "stalled": "it stopped sending; check the camera and the network",
    "undecodable": "check that the address leads to a video stream",
    "ended": "the other side hung up; check the camera and how many viewers it allows",
    "unreachable": "check the name, the network and the firewall",
    "unsupported": "use rtsp, rtsps, http, https, a video file or a device",
}

_LOCAL_REMEDIES: dict[CameraReason, str] = {
    "unauthorised": "give the worker's user the right to read it",
    "not_found": "check the path",
    "undecodable": "the file is empty, truncated or no video; play it with ffplay to see",
    "unreachable": "the file is truncated, or the disk or the device fails; check them",
}
