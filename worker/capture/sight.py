"""What a camera is known to see: its state, told once for each change, and the gaps in it."""

from __future__ import annotations

import logging
import math
from typing import Protocol

from worker.capture.clock import Moment
from worker.errors import CameraError, CameraReason
from worker.records import CameraState, CameraStatus, Gap

logger = logging.getLogger(__name__)

CLOCK_WAS_SET_S = 1.0
"""Wall and monotonic clock that differ by more over a gap: somebody set the former."""


class SightListener(Protocol):
    """Hears of what a camera sees. Called on the capture thread; cheap, must not raise."""

    def status(self, status: CameraStatus) -> None:
        """The camera's state or its reason changed."""

    def gap(self, gap: Gap) -> None:
        """The camera sees again, or need not; called after the status that says so."""


class Sight:
    """The state of one camera over all of its connections; belongs to one thread at a time.

    A camera is blind from its last good frame on, which is known only once a limit is over; so
    ``since`` of the status that tells it, and the start of the gap, lie before the telling.
    A gap has the reason that made the camera blind, whatever else went wrong until it saw again.

    Args:
        camera_id: its id in the configuration.
        address: its address as anybody may see it.
        listener: hears of changes.
        silence_s: good frames that are further apart have a gap between them, even if nobody
            told of a fault meanwhile: the worker itself may have been frozen.
    """

    def __init__(
        self,
        camera_id: str,
        address: str,
        listener: SightListener,
        *,
        silence_s: float = math.inf,
    ) -> None:
        self._camera_id = camera_id
        self._address = address
        self._listener = listener
        self._silence_s = silence_s
        self._told: tuple[CameraState, CameraReason | None] | None = None
        self._good: Moment | None = None
        self._blind: tuple[Moment, CameraReason] | None = None

    @property
    def state(self) -> CameraState | None:
        """The state that was told last; None before the first."""
        return self._told[0] if self._told else None

    def connects(self, now: Moment) -> None:
        """The camera is to be watched; only news at the start, and when its hours begin."""
        if self._told is None or self._told[0] == "off":
            self._good = now
            self._tell("connecting", None, now)

    def sees(self, now: Moment, warning: CameraReason | None = None) -> None:
        """A good frame came; a warning changes nothing of that."""
        good = self._good if self.state == "up" else None
        if good is not None and now.monotonic_s - good.monotonic_s > self._silence_s:
            since = self._goes_blind("stalled", good, now)
            self._tell("down", "stalled", since, "nothing came, and nobody could tell")
        self._tell("up", warning, now)
        self._end_gap(now)
        self._good = now

    def doubts(self, reason: CameraReason, since: Moment, now: Moment) -> None:
        """Frames come that tell nothing: ``frozen``, which is a warning, or ``covered``."""
        state: CameraState = "up" if reason == "frozen" else "down"
        self._tell(state, reason, self._goes_blind(reason, since, now))

    def fails(self, error: CameraError, detail: str, now: Moment) -> None:
        """No frame comes any more, for a reason; ``detail`` is a sentence without secrets."""
        since = self._goes_blind(error.reason, self._good or now, now)
        self._tell("down", error.reason, since, detail)

    def is_off(self, now: Moment) -> None:
        """Nobody wants to watch the camera at this hour."""
        self._tell("off", None, now)
        self._end_gap(now)
        self._good = None

    def ends(self, now: Moment, error: CameraError | None = None, detail: str = "") -> None:
        """A file is over; with an error where that was too soon."""
        self._tell("ended", error.reason if error else None, now, detail)
        self._blind = None

    def _goes_blind(self, reason: CameraReason, since: Moment, now: Moment) -> Moment:
        """Since when this reason holds: from the last good frame, or after another reason."""
        if self._blind is None:
            self._blind = (since, reason)
            return since
        return now

    def _end_gap(self, now: Moment) -> None:
        if self._blind is None:
            return
        (since, reason), self._blind = self._blind, None
        start, lasted_s = since.wall_s, now.monotonic_s - since.monotonic_s
        if abs(now.wall_s - start - lasted_s) > CLOCK_WAS_SET_S:
            start = now.wall_s - lasted_s
        self._listener.gap(Gap(self._camera_id, start, now.wall_s, reason))

    def _tell(
        self, state: CameraState, reason: CameraReason | None, since: Moment, detail: str = ""
    ) -> None:
        if self._told == (state, reason):
            return
        self._told = (state, reason)
        words = f"{state}, {reason}" if reason else state
        if reason:
            logger.warning("camera %s: %s: %s", self._camera_id, words, detail or self._address)
        else:
            logger.info("camera %s: %s (%s)", self._camera_id, words, self._address)
        self._listener.status(
            CameraStatus(self._camera_id, state, since.wall_s, reason, detail, since.monotonic_s)
        )
