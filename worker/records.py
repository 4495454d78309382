"""What the stages hand to each other: plain, frozen records.

Boxes are ``xyxy`` in pixels of the source frame, float; images are ``uint8 (H, W, 3) BGR``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.errors import CameraReason

Image = NDArray[np.uint8]

ClassName = Literal["without_mask", "with_mask", "mask_worn_incorrectly"]
Label = Literal["without_mask", "with_mask", "mask_worn_incorrectly", "unknown"]
UnknownReason = Literal["too_small", "blurred", "undecided"]
DropReason = Literal["replaced", "corrupt", "expired", "failed"]

CLASSES: tuple[ClassName, ...] = ("without_mask", "with_mask", "mask_worn_incorrectly")
"""The classes in the order of every probability vector, file, event and metric."""

LABELS: tuple[Label, ...] = (*CLASSES, "unknown")
"""All that may be said about a face."""


class Box(NamedTuple):
    """A rectangle in pixels, corners ``(x1, y1)`` and ``(x2, y2)``, the second exclusive."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y2 - self.y1

    @property
    def face_px(self) -> float:
        """Size of a face: the shorter side, in pixels."""
        return min(self.width, self.height)

    def clipped(self, width: int, height: int) -> Box:
        """The part inside a picture of ``width x height``; empty boxes have no area."""
        x1, y1 = min(max(self.x1, 0.0), width), min(max(self.y1, 0.0), height)
        return Box(x1, y1, min(max(self.x2, x1), width), min(max(self.y2, y1), height))


class Picture(Protocol):
    """The pixels of a frame, converted only when somebody looks at them."""

    @property
    def width(self) -> int:
        """Width in pixels."""

    @property
    def height(self) -> int:
        """Height in pixels."""

    def gray(self) -> Image:
        """Luma, ``uint8 (H, W)``; a view where the codec has it. Not to be written to."""

    def thin(self) -> Image:
        """Every n-th point of the luma, ``uint8``, 160 to 319 wide; made once and kept."""

    def bgr(self) -> Image:
        """Colours, ``uint8 (H, W, 3) BGR``; converted at the first call and kept."""

    def scaled(self, width: int, height: int) -> Image:
        """Colours, ``uint8 (height, width, 3) BGR``, scaled down by averaging; the last is kept."""

    def release(self) -> None:
        """Let go of all that was converted; the stages are through with it."""

    def copy(self) -> Image:
        """Colours as ``bgr`` gives them, for another thread than the pipeline's."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture of one camera, taken up for analysis.

    Attributes:
        captured_at: wall clock of its arrival, seconds since the epoch, UTC.
        monotonic_s: monotonic clock of its arrival; durations come from this one.
        dropped: frames of this camera that were due since the last one taken up and were
            not analysed, by reason.
        frozen: the picture has stood still for so long that it may not be live.
    """

    camera_id: str
    captured_at: float
    monotonic_s: float
    picture: Picture
    dropped: Mapping[DropReason, int] = field(default_factory=dict)
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Detection:
    """One face box and how sure the detector is of it, 0 to 1."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Track:
    """One face over the frames of one camera, as it stands in the present frame.

    Attributes:
        number: unique while the worker lives; never reused.
        confirmed: seen often enough to be published with an id.
        seen: detected in this very frame (not merely held over a gap).
    """

    number: int
    box: Box
    score: float
    hits: int
    confirmed: bool
    seen: bool
    started_at: float


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a picture may be cut up for a detector, in pixels of that picture.

    Attributes:
        room_px: that a small face needs around it to be found in a part as it is in the whole.
        step_px: a part costs as much as one whose sides are the next multiples of this.
        look_px: what a look costs however small its part is, as the side of a square.
    """

    room_px: float
    step_px: float = 1.0
    look_px: float = 0.0


@dataclass(frozen=True, slots=True)
class Crop:
    """One face cut out for the classifier.

    Attributes:
        image: ``uint8 (S, S, 3) BGR``, its own memory.
        sharpness: detail of the crop, in levels (see ``align.sharpness``); low means blurred.
    """

    track: int
    image: Image
    sharpness: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Class probabilities of one crop, in the order of ``CLASSES``; they sum to 1."""

    probabilities: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is said about a track at a frame; ``reason`` only where the label is unknown."""

    label: Label
    score: float
    reason: UnknownReason | None = None


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a frame with all that is known about it."""

    track: Track
    decision: Decision
    probabilities: tuple[float, float, float] | None


CameraState = Literal["connecting", "up", "down", "off", "ended"]


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """What a camera is doing, since when (seconds since the epoch), and why if it is blind.

    ``up`` with a reason is a warning: ``frozen``, or ``clock``, with which it still sees all.
    ``since_s`` is the same moment by the monotonic clock, where it is known.
    """

    camera_id: str
    state: CameraState
    since: float
    reason: CameraReason | None = None
    detail: str = ""
    since_s: float | None = field(default=None, compare=False)

    @property
    def blind(self) -> bool:
        """True while nobody sees what happens before the camera, though somebody should."""
        return self.state in {"connecting", "down"} or self.reason == "frozen"


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a camera saw nothing, once it is over; seconds since the epoch."""

    camera_id: str
    start: float
    end: float
    reason: CameraReason
