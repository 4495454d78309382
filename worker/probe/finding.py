"""What a probe says of a view, and the limits by which it says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worker.config import Camera, Deciding

Kind = Literal["fault", "doubt", "advice"]
"""A fault keeps the worker from its job here; advice makes it better or cheaper; a doubt says
that this probe could not show it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or could be better, with its remedy.

    Attributes:
        topic: a bounded word for programs.
        text: a sentence: what was measured; what to change.
    """

    kind: Kind
    topic: str
    text: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What the worker asks of a view."""

    analyse_fps: float
    keyframes_only: bool
    min_face_px: int
    min_sharpness: float

    @classmethod
    def of(cls, camera: Camera, deciding: Deciding) -> Limits:
        """The limits in a configuration; of both bounds on faces the larger one holds."""
        return cls(
            camera.analyse_fps,
            camera.keyframes_only,
            max(camera.min_face_px, deciding.min_face_px),
            deciding.min_sharpness,
        )
