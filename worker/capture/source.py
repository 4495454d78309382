"""A camera that is watched for ever: URL in, due frames out into a slot.

``Source.run`` owns recovery: it opens, reads, and after every failure waits and opens anew,
with a fresh connection each time. ``run_once`` is one connection and only raises or returns.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Protocol

import av

from worker.capture.clock import Clock, Moment, SystemClock
from worker.capture.connection import Connection, Decoded, Opener
from worker.capture.hours import is_watched
from worker.capture.picture import AvPicture, Converters
from worker.capture.sight import Sight, SightListener
from worker.capture.slot import Slot
from worker.capture.view import ViewWatch
from worker.config import Camera
from worker.errors import CameraError, CameraReason
from worker.records import Frame

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0
HOPELESS_WAIT_S = 60.0
HOPELESS: frozenset[CameraReason] = frozenset({"unauthorised", "unsupported"})
"""Only people mend these; and cameras lock out who tries a wrong password every second."""

STEADY_S = 10.0
"""A connection that held for this long starts the back-off anew."""

HOURS_CHECK_S = 5.0
"""How often the hours of the day are looked at; the wall clock may jump."""


class SourceListener(SightListener, Protocol):
    """Hears what a source does. Called on the capture thread; cheap, must not raise."""

    def frame_received(self) -> None:
        """A frame was decoded, due or not."""

    def reconnecting(self, reason: CameraReason) -> None:
        """The source is about to be opened again, after a failure."""


class Source:
    """Reads one camera, on a thread of its own, which calls ``run``.

    Args:
        camera_id: its id in the configuration.
        camera: what to open and how.
        slot: where due frames go; closed by ``stop``.
        listener: hears of frames and of changes of state.
        clock: wall and monotonic time, and sleeping.
        opener: ``av.open`` or its like.
        jitter: gives 0 to 1, so that cameras behind one switch don't come back at once.
        guard_reads: see ``Connection``; set by ``successor``.
        sight: what is known of the camera already; set by ``successor``.
    """

    def __init__(
        self,
        camera_id: str,
        camera: Camera,
        slot: Slot,
        *,
        listener: SourceListener,
        clock: Clock | None = None,
        opener: Opener = av.open,
        jitter: Callable[[], float] = random.random,
        guard_reads: bool = False,
        sight: Sight | None = None,
    ) -> None:
        self._camera_id = camera_id
        self._camera = camera
        self._slot = slot
        self._listener = listener
        self._clock = clock or SystemClock()
        self._opener = opener
        self._jitter = jitter
        self._guard_reads = guard_reads
        self._converters = Converters()
        self._stopped = threading.Event()
        self._gate = threading.Lock()
        self._abandoned = False
        self._idle = False
        self._activity_s = self._clock.monotonic_s()
        self._opened_s: float | None = None
        self._played = False
        self._sight = sight or Sight(
            camera_id, camera.address, listener, silence_s=_silence_s(camera)
        )
        self._view = ViewWatch(
            frozen_after_s=camera.frozen_after_s if camera.live else 0,
            covered_after_s=camera.covered_after_s if camera.live else 0,
        )

    @property
    def last_activity_s(self) -> float:
        """Monotonic time since which the thread may hang in a library.

        Now, while it merely sleeps, or waits for the pipeline to take a frame.
        """
        return self._clock.monotonic_s() if self._idle else self._activity_s

    def run(self) -> None:
        """Watch the camera until ``stop``, or to the end of a file that doesn't loop.

        Retries for ever. Never raises for what a camera can do.
        """
        waits = _Backoff(self._jitter)
        while not self._stopped.is_set():
            if not self._in_hours():
                self._told(Sight.is_off)
                self._pause(HOURS_CHECK_S)
                continue
            self._told(Sight.connects)
            error = self._try_once()
            if self._stopped.is_set():
                return
            if self._is_over(error):
                self._end(error)
                return
            if error is not None:
                self._fail(error)
                if self._held_s() > STEADY_S:
                    waits.reset()
                self._pause(waits.next_s(error.reason))
                self._retrying(error.reason)

    def run_once(self) -> None:
        """One connection: open, read, decode, hand over what is due.

        Returns at the end of a file, at ``stop``, or when the active hours are over.

        Raises:
            CameraError: the source failed; its reason says how.
        """
        self._opened_s = None
        self._played = False
        connection = Connection(
            self._camera,
            clock=self._clock,
            opener=self._opener,
            guard_reads=self._guard_reads,
            pause=self._pause,
            beat=self._beat,
        )
        self._opened_s = checked_s = self._clock.monotonic_s()
        with connection, contextlib.closing(connection.frames()) as frames:
            for decoded in frames:
                self._take_note(decoded)
                if decoded.at.monotonic_s - checked_s > HOURS_CHECK_S:
                    checked_s = decoded.at.monotonic_s
                    if not self._in_hours():
                        return

    def stop(self) -> None:
        """End ``run`` soon; from any thread, idempotent.

        Sleepers wake at once, and the slot is closed. A read that blocks ends with the next
        packet or its time-out: FFmpeg offers no way in, so wait for the thread with a limit.
        """
        self._stopped.set()
        self._slot.close()

    def abandon(self) -> None:
        """Give up on a thread that hangs: from now on nothing of it gets out.

        When this returns, no late frame, status or count will come. Must not be called with
        a lock held that the listener or the slot's callbacks take. The slot stays open.
        """
        with self._gate:
            self._abandoned = True
        self._stopped.set()

    def leave(self) -> None:
        """Nobody wants to watch this camera any more; after ``abandon``. Ends its gap, too."""
        self._sight.is_off(Moment(self._clock.wall_s(), self._clock.monotonic_s()))

    def forgive(self) -> None:
        """Begin the wait for a sign of life anew."""
        self._activity_s = self._clock.monotonic_s()

    def successor(self) -> Source:
        """A new source for the same camera and slot, after ``abandon``; it guards its reads."""
        return Source(
            self._camera_id,
            self._camera,
            self._slot,
            listener=self._listener,
            clock=self._clock,
            opener=self._opener,
            jitter=self._jitter,
            guard_reads=True,
            sight=self._sight,
        )

    def _try_once(self) -> CameraError | None:
        """``run_once``, with its fault as a value; also of faults that nobody foresaw."""
        try:
            self.run_once()
        except CameraError as error:
            return error
        except Exception as error:  # noqa: BLE001 (the loop that owns recovery)
            text = self._without_secrets(traceback.format_exc())
            logger.error(  # noqa: TRY400 (a plain traceback would show the password)
                "camera %s: unforeseen fault\n%s", self._camera_id, text
            )
            return CameraError(
                "undecodable",
                f"{self._camera.address} failed in a way nobody foresaw "
                f"({type(error).__name__}); please report it, with the log",
            )
        return None

    def watch_over(self, now_s: float) -> None:
        """Tell of a source that hangs in a library for longer than its time-outs allow.

        From any thread, often; the thread itself cannot tell while it hangs, and FFmpeg may need
        twice its time-out, or for ever where something else than video comes. If it comes back,
        so does the camera.
        """
        camera = self._camera
        with self._outward() as allowed:
            opening = self._opened_s is None
            limit_s = camera.open_timeout_s if opening else camera.read_timeout_s
            silent = now_s - self.last_activity_s > limit_s
            untold = self._sight.state in {"connecting", "up"}
            if not (allowed and silent and untold) or self._stopped.is_set():
                return
            error = CameraError(
                "timeout" if opening else "stalled",
                f"{camera.address} has sent nothing for {limit_s:g} s; "
                "check the camera, the network and the firewall",
            )
            now = Moment(self._clock.wall_s(), self._clock.monotonic_s())
            self._sight.fails(error, self._detail(error), now)

    def _take_note(self, decoded: Decoded) -> None:
        """Pass on one decoded frame: counted, and handed over if it is due."""
        self._beat()  # before the gate: what came is no silence, however long it took
        wanted = decoded.due and decoded.sound
        picture = AvPicture(decoded.frame, self._converters) if wanted else None
        if picture is not None:
            self._view.look(picture.thin, decoded.at.monotonic_s)
        with self._outward() as allowed:
            if not allowed:
                return
            self._listener.frame_received()
            if decoded.sound:
                self._tell_view(decoded)
            elif decoded.due:
                self._slot.drop("corrupt")
            if picture is None:
                return
            at, frozen = decoded.at, self._view.doubt == "frozen"
            self._slot.offer(
                Frame(self._camera_id, at.wall_s, at.monotonic_s, picture, frozen=frozen)
            )
        self._idle = True
        self._slot.wait_taken()
        self._beat()

    def _tell_view(self, decoded: Decoded) -> None:
        """Tell what a sound frame says of the camera; with the gate held."""
        at, doubt = decoded.at, self._view.doubt
        self._played = True
        if doubt is None:
            self._sight.sees(at, "clock" if decoded.clock_fault else None)
        else:
            ago_s = at.monotonic_s - self._view.since_s
            since = Moment(at.wall_s - ago_s, self._view.since_s)
            self._sight.doubts(doubt, since, at)

    def _told(self, tell: Callable[[Sight, Moment], None]) -> None:
        """Tell something of the camera, unless this source is abandoned."""
        with self._outward() as allowed:
            if allowed:
                tell(self._sight, Moment(self._clock.wall_s(), self._clock.monotonic_s()))

    def _fail(self, error: CameraError) -> None:
        self._told(lambda sight, now: sight.fails(error, self._detail(error), now))

    def _end(self, error: CameraError | None) -> None:
        self._told(lambda sight, now: sight.ends(now, error, self._detail(error)))

    def _detail(self, error: CameraError | None) -> str:
        return self._without_secrets(str(error)) if error else ""

    def _is_over(self, error: CameraError | None) -> bool:
        """True at the end of a file that is not to begin again, however it ended."""
        camera = self._camera
        if camera.scheme != "file" or camera.loop:
            return False
        return self._played if error else self._in_hours()

    def _retrying(self, reason: CameraReason) -> None:
        with self._outward() as allowed:
            if allowed and not self._stopped.is_set():
                self._listener.reconnecting(reason)

    @contextlib.contextmanager
    def _outward(self) -> Iterator[bool]:
        """Hold the gate through which all results go; False once this source is abandoned."""
        with self._gate:
            yield not self._abandoned

    def _in_hours(self) -> bool:
        """True while the camera is to be watched."""
        return is_watched(self._camera.active_hours, self._clock.wall_s())

    def _held_s(self) -> float:
        """How long the last connection held; 0 where it was never open."""
        return 0.0 if self._opened_s is None else self._clock.monotonic_s() - self._opened_s

    def _pause(self, seconds: float) -> bool:
        """Sleep unless it is time to stop; True when it is."""
        if seconds <= 0 or self._stopped.is_set():
            return self._stopped.is_set()
        self._idle = True
        stopped = self._clock.wait(self._stopped, seconds)
        self._beat()
        return stopped

    def _beat(self) -> None:
        """Note that the thread is alive, before what may hang."""
        self._activity_s = self._clock.monotonic_s()
        self._idle = False

    def _without_secrets(self, text: str) -> str:
        """The text with the camera's address in place of what holds its password."""
        text = text.replace(self._camera.secret_url(), self._camera.address)
        text = text.replace(self._camera.url, self._camera.address)
        if self._camera.password:
            text = text.replace(self._camera.password.get_secret_value(), "***")
        return text


def _silence_s(camera: Camera) -> float:
    """Longest time between two frames in which nothing is missed."""
    if not camera.live or camera.keyframes_only:
        return math.inf  # a file waits for the pipeline; keyframes come when they come
    return camera.read_timeout_s


class _Backoff:
    """How long to wait before the next try: doubling, capped, with jitter."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._wait_s = FIRST_WAIT_S

    def reset(self) -> None:
        """Start anew: the last connection held."""
        self._wait_s = FIRST_WAIT_S

    def next_s(self, reason: CameraReason) -> float:
        """Seconds to wait; half to all of the present step."""
        step_s = HOPELESS_WAIT_S if reason in HOPELESS else self._wait_s
        self._wait_s = min(LONGEST_WAIT_S, self._wait_s * 2)
        return step_s * (0.5 + 0.5 * self._jitter())
