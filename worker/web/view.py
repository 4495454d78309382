"""What the HTTP side may know of the worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from worker.records import Face, Picture


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the worker and how it does; only ``failed`` makes the worker not ready."""

    name: str
    state: Literal["ok", "degraded", "failed"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A frame that was detected on, and its faces.

    Attributes:
        at: when the frame arrived, seconds since the epoch.
        picture: the pipeline's, which may be looking at it.
        faces: with boxes in pixels of ``picture``.
    """

    at: float
    picture: Picture
    faces: Sequence[Face]


class View(Protocol):
    """What the HTTP side may know of the worker. No method blocks; documents are fit for JSON."""

    def alive(self) -> bool:
        """True while the main loop turns."""

    def parts(self) -> Sequence[Part]:
        """Each part of the worker."""

    def state(self) -> Mapping[str, Any]:
        """The worker and each camera as they are now, small enough to be sent every second."""

    def hours(self) -> Mapping[str, Any]:
        """The last hour of each camera, minute by minute."""

    def knows(self, camera_id: str) -> bool:
        """True where there is such a camera."""

    def camera(self, camera_id: str) -> Mapping[str, Any] | None:
        """One camera with its configuration, its changes and its newest events."""

    def last_look(self, camera_id: str) -> Look | None:
        """What was seen last; None where there is none yet."""

    def exposition(self) -> bytes:
        """The metrics in the text format of Prometheus."""
