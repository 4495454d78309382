"""Which frames of a stream are due for analysis, by time stamps rather than by counting."""

from __future__ import annotations

import math

JUMP_S = 1.0
"""A step of the stamps that differs from the clock by more is a jump, not jitter."""

RATE_WINDOW_S = 10.0
RATE_BAND = (0.75, 1.33)
"""Stamps that run this much slower or faster than the clock, over two windows, are wrong."""

MAX_STANDING = 3
"""Frames with the same stamp that B-frames explain; more of them are a clock that stands."""

QUIET_S = 60.0
"""Time without a jump or a stand after which a clock is trusted again."""

MAX_EARLY = 0.5
"""A frame may be taken at most half a period early."""


class Cadence:
    """Chooses ``analyse_fps`` frames a second out of one connection.

    A frame is due when it is the nearest to a point of a fixed grid that starts at the first
    frame, so that no error adds up: 25 fps at 5 gives exactly every fifth, 30 at 7 gives seven
    a second on average, and jitter of the stamps shifts no later frame.

    Time is the stream's own stamps. Where they are missing or stand still, time goes on by the
    arrival clock (live) or by the nominal interval (file); where they jump, go back or run at
    a wrong rate on a live stream, the arrival clock takes their place.

    Args:
        analyse_fps: frames a second to choose.
        live: frames arrive in real time; otherwise arrival says nothing.
        nominal_fps: what the file claims, for frames without stamps.
        stamped: False where the container invents its stamps (MJPEG over HTTP).
    """

    def __init__(
        self,
        analyse_fps: float,
        *,
        live: bool,
        nominal_fps: float | None = None,
        stamped: bool = True,
    ) -> None:
        self._fps = analyse_fps
        self._live = live
        self._interval_s = 1.0 / nominal_fps if nominal_fps else 0.04
        self._stamped = stamped
        self._media_s: float | None = None
        self._base_s: float | None = None
        self._arrived_s = 0.0
        self._standing = 0
        self._grid = -1
        self._fault_s: float | None = None
        self._origin_s = 0.0
        self._window = (0.0, 0.0)
        self._wrong_windows = 0

    @property
    def media_s(self) -> float:
        """Stream time since the first frame, in seconds; never goes back."""
        return self._media_s or 0.0

    @property
    def interval_s(self) -> float:
        """Time from frame to frame, smoothed, in seconds."""
        return self._interval_s

    @property
    def disturbed(self) -> bool:
        """True where a live stream's stamps jumped or stood still within the last minute.

        A rate that is wrong is none of these: with a machine that cannot follow it looks alike.
        """
        return self._fault_s is not None and self._arrived_s - self._fault_s < QUIET_S

    def due(self, stamp_s: float | None, arrived_s: float) -> bool:
        """Take note of the next frame; True where it is to be analysed.

        Args:
            stamp_s: presentation time of the stream, None where it has none.
            arrived_s: monotonic clock of its arrival.
        """
        self._advance(stamp_s if self._stamped else None, arrived_s)
        early = min(MAX_EARLY, self._interval_s * self._fps / 2)
        point = math.floor(self.media_s * self._fps + early + 1e-6)
        if point <= self._grid:
            return False
        self._grid = point
        return True

    def _advance(self, stamp_s: float | None, arrived_s: float) -> None:
        """Move stream time on to this frame."""
        if self._media_s is None:
            self._media_s = 0.0
            self._base_s = None if stamp_s is None else -stamp_s
            self._window = (0.0, arrived_s)
            self._origin_s = arrived_s
        else:
            before = self._media_s
            self._media_s = self._next(before, stamp_s, max(0.0, arrived_s - self._arrived_s))
            step = self._media_s - before
            if 0 < step < JUMP_S:
                self._interval_s += 0.1 * (step - self._interval_s)
        self._arrived_s = arrived_s
        self._origin_s = min(self._origin_s, arrived_s - self._media_s)
        if self._live and self._stamped:
            self._check_rate()

    def _next(self, media_s: float, stamp_s: float | None, passed_s: float) -> float:
        """Stream time of a frame that arrived ``passed_s`` after the one before."""
        blind = media_s + (passed_s if self._live else self._interval_s)
        if stamp_s is None:
            return blind
        if self._base_s is None:
            # RTSP gives no stamp to the first frame, and the next ones arrive in a burst.
            self._base_s = media_s + self._interval_s - stamp_s
        stamped = self._base_s + stamp_s
        behind = stamped < media_s - JUMP_S
        ahead = self._live and stamped > media_s + passed_s + JUMP_S
        if behind or ahead:
            # After a stall over TCP a camera skips what it had no room for: that is no fault.
            if behind or stamped > self._arrived_s + passed_s - self._origin_s + JUMP_S:
                self._note_fault(passed_s)
            self._base_s = blind - stamp_s
            return blind
        if stamped > media_s:
            self._standing = 0
            return stamped
        self._standing += 1
        if self._standing > MAX_STANDING:
            self._note_fault(passed_s)
            return blind
        # B-frames over RTP repeat a stamp: go on a little, and meet the next true one.
        return min(blind, media_s + self._interval_s)

    def _note_fault(self, passed_s: float) -> None:
        """A stamp that cannot be; a file's are cut together, and nobody's fault."""
        if self._live:
            self._fault_s = self._arrived_s + passed_s

    def _check_rate(self) -> None:
        """Stop believing stamps that run at a wrong rate; a burst after a stall is none."""
        media_s, begin_s = self._window
        passed_s = self._arrived_s - begin_s
        if passed_s < RATE_WINDOW_S:
            return
        rate = (self.media_s - media_s) / passed_s
        right = RATE_BAND[0] <= rate <= RATE_BAND[1]
        self._wrong_windows = 0 if right else self._wrong_windows + 1
        self._stamped = self._wrong_windows < 2
        self._window = (self.media_s, self._arrived_s)
