"""Every error that maskwatch raises on purpose.

MaskwatchError                 its text is a sentence: what, where, remedy
├── ConfigError                wrong usage or configuration; exit code 2
│   └── ModelError             an artifact is missing, corrupt or of the wrong kind
├── PassingError               may be gone on the next try; the loop that owns recovery backs off
│   ├── CameraError            a source cannot be opened or read; carries a ``reason``
│   └── BrokerError            Redis does not take events
├── BadDataError               one picture, packet or annotation is unusable: dropped and counted
└── WorkError                  the work as a whole failed; exit code 1
    └── FencedError            another worker of the same name is at work
"""

from __future__ import annotations

from typing import Literal, get_args

CameraReason = Literal[
    "refused",
    "unauthorised",
    "not_found",
    "timeout",
    "stalled",
    "undecodable",
    "frozen",
    "covered",
    "clock",
    "ended",
    "unreachable",
    "unsupported",
]
"""Why a camera is blind; the same word in log, metric and event."""

CAMERA_REASONS: tuple[CameraReason, ...] = get_args(CameraReason)


class MaskwatchError(Exception):
    """Root of all errors that maskwatch raises on purpose. Its text is made for people."""


class ConfigError(MaskwatchError):
    """The configuration or the command line is wrong; nothing was started."""


class ModelError(ConfigError):
    """A model artifact is missing, corrupt, of another digest or of the wrong kind."""


class PassingError(MaskwatchError):
    """Something outside failed and may work again: retry with back-off."""


class CameraError(PassingError):
    """A source cannot be opened or read.

    Attributes:
        reason: the bounded word for log, metric and event.
    """

    def __init__(self, reason: CameraReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: CameraReason = reason


class BrokerError(PassingError):
    """Redis did not take what was sent."""


class BadDataError(MaskwatchError):
    """One picture, packet or annotation cannot be used; the next one may be."""


class WorkError(MaskwatchError):
    """The work as a whole could not be done."""


class FencedError(WorkError):
    """Another worker of the same name is at work, so this one must not publish."""
