"""What happens to a camera, and to the way there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from service.chaos.clips import View
from service.chaos.fault import NEVER_S, Fault, Inflict, Metric, repeatedly
from service.chaos.rig import COVERED_S, FROZEN_S, READ_TIMEOUT_S, Rig
from service.chaos.tcp_proxy import Network

CAP_S = 15.0
"""Longest pause between two attempts."""

HOPELESS_CAP_S = 60.0
"""The same after a wrong password."""

STEADY_S = 11.0
"""A connection that held for so long has the worker begin its back-off anew."""

SILENT_S = 2 * READ_TIMEOUT_S + 1.0
"""A silence that is shorter may end before anybody counts it as one."""

GONE = ("ended", "refused", "stalled", "timeout", "unreachable", "undecodable")
"""What a connection that breaks is called depends on where: FFmpeg takes a reset in the middle of
an RTSP greeting for invalid data."""

SILENT = ("stalled", "timeout", "ended")


@contextlib.contextmanager
def killed(rig: Rig) -> Iterator[None]:
    """The server of ``hall`` and ``gate``."""
    rig.rtsp.kill()
    try:
        yield
    finally:
        rig.rtsp.start()


@contextlib.contextmanager
def frozen(rig: Rig) -> Iterator[None]:
    """SIGSTOP, then SIGCONT."""
    rig.rtsp.freeze()
    try:
        yield
    finally:
        rig.rtsp.thaw()


def wired(**behaviour: Any) -> Inflict:
    """The wire between worker and camera misbehaves."""

    @contextlib.contextmanager
    def inflict(rig: Rig) -> Iterator[None]:
        rig.hall.network = Network(**behaviour)
        if behaviour.get("refuse"):
            rig.hall.cut()
        try:
            yield
        finally:
            rig.hall.heal()

    return inflict


@contextlib.contextmanager
def flapping(rig: Rig) -> Iterator[None]:
    """The connection is cut, and cut again soon after it was made."""
    with repeatedly(rig.hall.cut, 0.7):
        yield


def replaced(view: View | None = "people", **how: Any) -> Inflict:
    """Another camera answers at the address of ``hall``."""

    def inflict(rig: Rig) -> contextlib.AbstractContextManager[None]:
        return rig.another_camera(view, **how)

    return inflict


def _blind(name: str, does: str, inflict: Inflict, *reasons: str, **more: Any) -> Fault:
    """A fault that makes ``hall`` blind, for any of the reasons."""
    words = ", ".join(f"`{reason}`" for reason in reasons)
    plain: dict[str, Any] = {
        "consumer": f"`camera` down: {words}; once it sees again, `camera` up and `gap`",
        "operator": "`camera hall: down`, once, with reason and remedy",
        "worker": "tries again for ever, every 15 s at the latest",
        "alert": "MaskwatchCameraBlind",
        "log": rf"camera hall: down, ({'|'.join(reasons)})",
        "metric": Metric(
            tuple(f'maskwatch_camera_blind{{camera="hall",reason="{word}"}}' for word in reasons),
            "rises",
        ),
        "event": {
            "schema": "maskwatch.camera/1",
            "camera_id": "hall",
            "state": "down",
            "reason": set(reasons),
        },
        "cap_s": CAP_S,
        "rest_s": STEADY_S,
        "spares": ("gate", "tape"),
    }
    return Fault(name, "camera", does, inflict, **(plain | more))


CAMERA_FAULTS: tuple[Fault, ...] = (
    _blind(
        "camera_killed",
        "the cameras' server dies, and comes back",
        killed,
        *GONE,
        spares=("tape",),
    ),
    _blind(
        "camera_frozen",
        "the camera sends nothing more, its connection open",
        frozen,
        *SILENT,
        spares=("tape",),
        shows_after_s=SILENT_S,
    ),
    _blind(
        "camera_silent",
        "the network to the camera swallows everything",
        wired(silent=True),
        *SILENT,
        shows_after_s=SILENT_S,
    ),
    _blind("camera_cut", "connections to the camera are reset", wired(refuse=True), *GONE),
    _blind(
        "camera_flapping",
        "the connection to the camera is reset every 0.7 s",
        flapping,
        *GONE,
    ),
    _blind(
        "camera_half_closed",
        "the camera closes its side of the connection",
        wired(half_closed=True),
        *GONE,
    ),
    _blind(
        "camera_slow",
        "the network to the camera passes 300 bytes a second",
        wired(bytes_per_s=300),
        *SILENT,
        "undecodable",
        shows_after_s=20.0,
    ),
    _blind(
        "camera_garbled",
        "bytes from the camera arrive changed",
        wired(garble=0.002),
        *GONE,
        "unsupported",
        consumer="fewer frames, `corrupt` in `dropped_since_last`; else `camera` down, and `gap`",
        operator="`maskwatch_frames_dropped_total` of `corrupt`, or the camera down",
        worker="skips and counts what is broken; connects again where nothing can be read",
        alert="MaskwatchCameraUnsteady",
        cap_s=HOPELESS_CAP_S,  # a refusal may be what is left of another answer
        shows_after_s=NEVER_S,
    ),
    _blind(
        "camera_password",
        "the camera wants another password",
        replaced(password="another one"),
        "unauthorised",
        worker="tries every 30 to 60 s, so that the camera locks nobody out",
        cap_s=HOPELESS_CAP_S,
    ),
    _blind("camera_path", "the camera has no stream on its path", replaced(None), "not_found"),
    _blind(
        "camera_covered",
        "the camera shows nothing but black",
        replaced("black"),
        "covered",
        shows_after_s=COVERED_S + 3.0,
        worker="watches on, and sees at once when there is something to see",
    ),
    _blind(
        "camera_still",
        "the camera sends the same picture over and over",
        replaced("still"),
        "frozen",
        consumer="`camera` up with `frozen`, a warning; once it moves again, `gap`",
        operator="`camera hall: up, frozen`, once",
        worker="watches on; the time counts as blind in the rates of compliance",
        alert="MaskwatchCameraFrozen",
        log="camera hall: up, frozen",
        event={
            "schema": "maskwatch.camera/1",
            "camera_id": "hall",
            "state": "up",
            "reason": "frozen",
        },
        shows_after_s=FROZEN_S + 3.0,
    ),
    _blind(
        "camera_size",
        "a camera of another picture size comes in its place",
        replaced(width=480, height=272),
        *GONE,
        consumer="other `width` and `height`; `camera` down, up and `gap` for the change itself",
        worker="reads size and codec anew at every connection",
        shows_after_s=NEVER_S,
    ),
    _blind(
        "camera_codec",
        "a camera of another codec comes in its place",
        replaced(codec="mjpeg"),
        *GONE,
        consumer="nothing but `camera` down, up and `gap` for the change itself",
        worker="reads size and codec anew at every connection",
        shows_after_s=NEVER_S,
    ),
)
