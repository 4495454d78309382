"""One camera at work: its capture thread, its slot, its stages, its state and its counts."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping

from worker.capture.slot import Slot
from worker.capture.source import Source
from worker.config import Camera
from worker.errors import BadDataError, CameraReason, WorkError
from worker.history import CameraHistory
from worker.metrics import CameraMetrics
from worker.output.event import EventMaker
from worker.output.rules.compliance import Compliance
from worker.pipeline import CameraPipeline, CloseReason, Pending, Seen
from worker.records import CameraStatus, DropReason, Gap, Label

log = logging.getLogger(__name__)

HANG_S = 15.0
"""Silence of a capture thread, on top of its own time-outs, after which it is given up."""


class CameraRun:
    """A camera from its URL to its events, but for the threads that detection runs on.

    Args:
        on_ready: called with this camera when it has a frame and none in flight.
        history: to go on with.
    """

    def __init__(
        self,
        camera_id: str,
        camera: Camera,
        pipeline: CameraPipeline,
        maker: EventMaker,
        *,
        compliance: Compliance,
        metrics: CameraMetrics,
        on_ready: Callable[[CameraRun], None],
        history: CameraHistory | None = None,
    ) -> None:
        self.camera_id = camera_id
        self.camera = camera
        self.condition = CameraStatus(camera_id, "connecting", time.time())
        metrics.tell(self.condition.state, None)
        self.seen: Seen | None = None
        self.looked: Seen | None = None
        self.history = history or CameraHistory()
        self.analysed = 0
        self.dropped = 0
        self._pipeline = pipeline
        self._maker = maker
        self._compliance = compliance
        self._metrics = metrics
        self._announce = on_ready
        self._rated = (time.monotonic(), 0)
        self._busy = False
        self._closing: CloseReason | None = None
        self.retired = False
        self._lock = threading.Lock()
        self._changes: queue.SimpleQueue[CameraStatus | Gap] = queue.SimpleQueue()
        self._slot = Slot(live=camera.live, on_ready=self._on_ready, on_drop=self._on_drop)
        self._source = Source(camera_id, camera, self._slot, listener=self)
        self._thread = self._make_thread()
        self._given_up: list[threading.Thread] = []

    # -- life

    def start(self) -> None:
        """Begin to capture."""
        self._thread.start()

    def stop(self) -> None:
        """Capture nothing more; what is in flight goes on. Idempotent."""
        self._source.stop()
        self._slot.close()

    def join(self, timeout_s: float) -> None:
        """Wait for the capture thread."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def fps(self, now_s: float) -> float:
        """Analysed frames a second since the last call."""
        (then_s, then), self._rated = self._rated, (now_s, self.analysed)
        return (self.analysed - then) / max(now_s - then_s, 1e-3)

    def close(self) -> None:
        """End what is open, once nothing is in flight any more."""
        self._pipeline.close(self.camera_id, "stopped", time.monotonic())

    def retire(self) -> None:
        """Capture nothing more, for good: nothing of the source gets out from now on."""
        self.retired = True
        self.stop()
        self._source.abandon()

    def leave(self) -> None:
        """End what is open and say that nobody watches any more; after ``retire``, once idle."""
        self.tell_changes()
        self.close()
        if self.condition.state not in {"off", "ended"}:
            self._source.leave()
            self.tell_changes()

    def forgive(self) -> None:
        """The process itself did not run: silence until now is not the camera's, nor a hang."""
        self._source.forgive()

    def lingers(self) -> bool:
        """True while a capture thread, the last or one that was given up, has not ended."""
        return self._thread.is_alive() or self.hanging() > 0

    def hung(self, now_s: float) -> bool:
        """True where the capture thread has shown no sign of life for too long."""
        patience_s = self.camera.open_timeout_s + 2 * self.camera.read_timeout_s + HANG_S
        return self._thread.is_alive() and now_s - self._source.last_activity_s > patience_s

    def restart(self) -> None:
        """Give the hung thread up and begin with a fresh one; late results are ignored."""
        log.error("camera %s: its thread hangs and is given up", self.camera_id)
        self._source.abandon()
        self._given_up = [thread for thread in (*self._given_up, self._thread) if thread.is_alive()]
        self._source = self._source.successor()
        self._thread = self._make_thread()
        self._thread.start()

    def hanging(self) -> int:
        """Threads that were given up and still hang; one that came back is gone."""
        return sum(thread.is_alive() for thread in self._given_up)

    def idle(self) -> bool:
        """True while no frame waits and none is in flight."""
        return not self._busy and not self._slot.ready

    def done(self) -> bool:
        """True once a file has ended and its last frame is through."""
        return self.condition.state == "ended" and self.idle()

    def _make_thread(self) -> threading.Thread:
        return threading.Thread(
            target=self._source.run, name=f"capture-{self.camera_id}", daemon=True
        )

    # -- a frame's way, one at a time

    def begin(self) -> Pending | None:
        """The frame that waits, up to its crops; None where it is gone or cannot be used."""
        frame = self._slot.take()
        if frame is None:
            return None
        try:
            return self._pipeline.begin(frame)
        except WorkError:
            raise  # it is not the picture
        except Exception:
            # whatever one picture of one camera does to a stage, the others go on
            log.exception("camera %s: a frame could not be analysed", self.camera_id)
            self._slot.drop("failed")
            return None

    def finish(self, pending: Pending) -> None:
        """Publish the events of a frame whose crops are all classified."""
        try:
            self.seen = seen = self._pipeline.finish(pending)
        except BadDataError:
            log.exception("camera %s: a frame has no event", self.camera_id)
            self._slot.drop("failed")
            return
        self.analysed += 1
        counts = seen.counts()
        self.history.frame(counts)
        if seen.looked:
            self.looked = seen
        self._count(seen, counts)

    def _count(self, seen: Seen, counts: Mapping[Label, int]) -> None:
        metrics = self._metrics
        metrics.analysed.inc()
        metrics.last_frame.set(seen.captured_at)
        if seen.moved:
            metrics.last_motion.set(seen.captured_at)
        if not seen.looked:
            metrics.unchanged.inc()
        for label, count in counts.items():
            metrics.visible[label].set(count)
            if count:
                metrics.faces[label].inc(count)
        for face in seen.faces:
            if face.decision.reason is not None:
                metrics.unknown[face.decision.reason].inc()
            if face.track.seen and seen.looked:
                metrics.score.observe(face.track.score)

    def rest(self) -> None:
        """No frame is in flight any more: wait for the next, or go to the end of the turns."""
        while True:
            with self._lock:
                closing, self._closing = self._closing, None
                if closing is None:
                    self._busy = again = self._slot.ready
                    break
            self._pipeline.close(self.camera_id, closing, time.monotonic())
            self._metrics.nobody()  # whatever the frame that was in flight showed
        if again:
            self._announce(self)

    def _close_between_frames(self, reason: CloseReason) -> None:
        """End what is open, now or as soon as the frame that is in flight is through."""
        with self._lock:
            self._closing = reason
            if self._busy:
                return
            self._busy = True
        self.rest()

    def _on_ready(self) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy = True
        self._announce(self)

    def _on_drop(self, reason: DropReason, count: int) -> None:
        self.dropped += count
        self._metrics.dropped[reason].inc(count)

    # -- what the source says (SourceListener), on the capture thread

    def frame_received(self) -> None:
        """A frame was decoded, due or not."""
        self._metrics.received.inc()

    def status(self, status: CameraStatus) -> None:
        """The camera went up or down."""
        self.condition = status
        self._metrics.tell(status.state, status.reason)
        now_s = time.monotonic()
        since_s = status.since_s if status.blind and status.since_s is not None else now_s
        state = "down" if status.blind else status.state  # frozen counts as blind
        self._compliance.camera(self.camera_id, state, min(now_s, since_s))
        self.history.status(status)
        self._changes.put(status)

    def gap(self, gap: Gap) -> None:
        """The camera sees again, or need not."""
        self._changes.put(gap)

    def reconnecting(self, reason: CameraReason) -> None:
        """Another attempt begins."""
        self._metrics.reconnects[reason].inc()

    def tell_changes(self) -> bool:
        """Make the events of the changes of state since the last call; True if there were any.

        Call it often, on the main thread: it also watches over the thread that captures, which
        cannot tell while it hangs.
        """
        self._source.watch_over(time.monotonic())
        changed = False
        while not self._changes.empty():
            change = self._changes.get()
            changed = True
            if isinstance(change, Gap):
                self._maker.gap(self.camera_id, change.start, change.end, change.reason)
                continue
            if change.state != "connecting":
                self._maker.camera(change)
            if change.blind or change.state == "off":
                self._close_between_frames("camera_down")
        if self.done():
            self._close_between_frames("ended")
        return changed
