"""Events leave for Redis: at least once, in order per camera and stream, never silently lost.

One thread runs ``Publisher.run``; every other method may be called from any thread. At all
times: events created + recovered from disk = published + lost + in memory + on disk.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable

from worker import config
from worker.output import broker
from worker.output.backlog import Backlog, Waiting, by_type
from worker.output.event import Event, EventMaker
from worker.output.lease import Lease
from worker.output.listener import PublishListener
from worker.output.losses import LossLedger, LossReason
from worker.output.pace import Pace
from worker.output.spool import Spool
from worker.output.states import CameraStates
from worker.output.writer import RedisWriter
from worker.records import CameraStatus

log = logging.getLogger(__name__)

BATCH_EVENTS = 200
"""Events a transaction; 200 fill 0.3 MB, and Redis is busy with them for 2 ms."""

LIVE_MAX_AGE_S = 3.0
"""Frames older than this are no news any more, and stay off the live channel."""

LIVE_WAITING = 1_024
TICK_S = 0.5
REPLAY_TICK_S = 0.05
TRIM_EVERY_S = 60.0
PING_EVERY_S = 5.0
BACKOFF_S = (0.1, 5.0)

SPOOL_CLOSE_S = 3.0
"""What writing the rest to disk may take at the end; 50,000 events take two."""


class Publisher:
    """The one that talks to Redis.

    Events come by ``put``, which is the ``sink`` of the ``EventMaker``; camera states, which are
    also the heartbeat of the camera hashes, by ``put_state``. Events that wait lie in the
    ``Backlog``; those that are being sent are in hand until Redis has answered for them, and are
    sent again, the same bytes, after any doubt. What waits for longer than a moment the spool
    writes to disk, if there is one.

    Args:
        settings: where Redis is.
        worker_id, run_id: who publishes.
        listener: who counts.
        spool: where to keep what Redis does not take; its thread is the caller's to start.
        lease: the right to publish as this worker; none: nobody else does.
        replay_per_s: how fast the spool is emptied, on top of what comes anew.
        may_repeat: append what is put twice twice, to try a consumer with.
        clock: monotonic seconds.

    Raises:
        ConfigError: the address cannot be used. Nothing is connected yet.
    """

    def __init__(
        self,
        settings: config.Redis,
        *,
        worker_id: str,
        run_id: str,
        listener: PublishListener,
        spool: Spool | None = None,
        lease: Lease | None = None,
        replay_per_s: float = 2_000.0,
        may_repeat: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._clock = clock
        self._writer = RedisWriter(settings, f"maskwatch-{worker_id}", clock, may_repeat=may_repeat)
        self._states = CameraStates(worker_id=worker_id, run_id=run_id, monotonic=clock)
        self._backlog = Backlog(settings.queue_events)
        self._changed = self._backlog.changed
        self._losses = LossLedger(run_id)
        self._spool = spool
        self._lease = lease
        if spool:
            spool.attach(self._backlog, self._losses)
        self._pace = Pace(replay_per_s, clock)
        self._live: deque[Event] = deque(maxlen=LIVE_WAITING)
        self._deadline_s: float | None = None
        self._running = False
        self._over = False
        self._ended = threading.Event()
        self._up: bool | None = None
        self._reason = ""
        self._up_since_s = self._down_since_s = clock()
        self._spoke_s = self._trimmed_s = clock()

    @property
    def connected(self) -> bool:
        """True while Redis takes events."""
        return bool(self._up)

    @property
    def depth(self) -> int:
        """Events in memory alone: waiting, and in hand."""
        with self._changed:
            return self._backlog.in_memory

    @property
    def spooled(self) -> int:
        """Events on disk."""
        with self._changed:
            return self._backlog.on_disk

    @property
    def disk_fault(self) -> str:
        """Why the disk takes no events; empty while it does."""
        return self._spool.fault if self._spool else ""

    def first_frame(self, camera_id: str) -> float | None:
        """When the first frame of a camera was captured, seconds since the epoch."""
        return self._states.first_frame(camera_id)

    def put(self, event: Event) -> None:
        """Queue an event; never blocks. When the queue is full, the oldest frame event goes."""
        if event.type == "frame":
            self._states.saw(event)
        with self._changed:
            self._listener.created(event)
            if self._over:
                self._listener.lost(event.type, "shutdown", 1)
                return
            self._pace.came(queues=self._backlog.on_disk > 0)
            waiting = Waiting(event, self._clock())
            if self._spool:
                self._spool.announce(waiting)
            victim = self._backlog.put(waiting)
            if event.type == "frame":
                self._live.append(event)
            if victim is not None:
                self._losses.note(victim, "queue_full")
                self._listener.lost(victim.type, "queue_full", 1)
            self._changed.notify()
            if self._spool:
                self._spool.notify()

    def put_state(self, status: CameraStatus, *, fps: float | None = None) -> None:
        """Show what a camera is doing. Call it every 5 s, else the camera counts as blind."""
        self._states.tell(status, fps)
        with self._changed:
            if self._spool:
                self._spool.journal.state(status.camera_id, status.state)
            self._changed.notify()

    def forget_state(self, camera_id: str) -> None:
        """There is no such camera any more; its hash goes."""
        self._states.forget(camera_id)
        with self._changed:
            if self._spool:
                self._spool.journal.state(camera_id, "ended")
            self._changed.notify()

    def run(self, events: EventMaker) -> None:
        """Publish until ``close``, whatever Redis does; losses are told through ``events``.

        Raises:
            FencedError: another worker of this name is at work.
        """
        self._running = True
        pause_s = BACKOFF_S[0]
        try:
            while not self._finished():
                try:
                    self._run_once(events)
                    break
                except broker.FAULTS as error:
                    if self._went_down(error):
                        pause_s = BACKOFF_S[0]
                    self._pause(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
                    pause_s = min(2 * pause_s, BACKOFF_S[1])
        finally:
            self._ended.set()

    def close(self, deadline_s: float) -> None:
        """Publish what waits, for at most ``deadline_s``; what is left then the spool keeps.

        What the disk does not take either is lost.
        """
        with self._changed:
            self._deadline_s = self._clock() + deadline_s
            self._changed.notify_all()
        if self._running:
            self._ended.wait(deadline_s)
        with self._changed:
            self._over = True
            self._changed.notify_all()
        if self._spool and not self._spool.close(SPOOL_CLOSE_S):
            with self._changed:
                left = len(self._backlog.left())
            log.error(
                "the disk is too slow at the stop: whether it keeps the last %d events is not "
                "known; those that it does come with the next start",
                left,
            )
        else:
            self._give_up()
        if self._ended.is_set() or not self._running:
            self._writer.close()

    # The loop: connect, then send what is there until told to stop. It only raises.

    def _run_once(self, events: EventMaker) -> None:
        server = self._writer.connect()
        if not self._backlog.hand:
            self._tell_losses(events, everything=True)
        self._send()  # Proof that it can be written to: one without memory greets as ever.
        self._came_up(server)
        self._tell_losses(events, everything=True)
        while self._wait():
            self._tell_losses(events)
            self._send()
            self._keep_house()
        self._tell_losses(events, everything=True)
        self._states.expire()
        self._send()
        self._writer.release(self._lease)

    def _wait(self) -> bool:
        """Wait for something to send or a tick; False once closed and drained, or too late."""
        with self._changed:
            if not self._finished() and not self._ready():
                hurry = self._backlog.on_disk or self._deadline_s is not None
                self._changed.wait(REPLAY_TICK_S if hurry else TICK_S)
        return not self._finished()

    def _finished(self) -> bool:
        with self._changed:
            if self._over:
                return True
            if self._deadline_s is None:
                return False
            kept = not self._up and not self._backlog.in_memory  # no use in waiting for Redis
            return not self._backlog or kept or self._clock() >= self._deadline_s

    def _ready(self) -> bool:
        """True where something can be sent now: there is some, and the pace lets it go."""
        return self._backlog.ready(self._clock(), from_disk=self._pace.allows() > 0)

    def _pause(self, seconds: float) -> None:
        """Back off; a call to close ends it."""
        with self._changed:
            if self._deadline_s is not None:
                seconds = min(seconds, BACKOFF_S[0])
                self._changed.wait_for(lambda: self._over, seconds)
            else:
                self._changed.wait_for(lambda: self._deadline_s is not None, seconds)

    # One transaction.

    def _send(self) -> None:
        """Send what is in hand, or else what waits, with live frames and camera states.

        Raises:
            redis.RedisError, OSError: what is not known to have arrived stays in hand.
            FencedError: another worker of this name is at work; nothing was sent.
        """
        self._writer.keep(self._lease)
        now_s = self._clock()
        with self._changed:
            hand = list(self._backlog.take(BATCH_EVENTS, self._pace.allows(), now_s))
            live = [self._live.popleft() for _ in range(min(len(self._live), BATCH_EVENTS))]
        fresh = [event for event in live if now_s - event.monotonic_s <= LIVE_MAX_AGE_S]
        states = self._states.due()
        if hand or fresh or states:
            self._spoke_s = now_s
            self._settle(hand, self._writer.send([w.event for w in hand], fresh, states))

    def _settle(self, hand: list[Waiting], replies: list[Exception | None]) -> None:
        """Account for every event in hand by its reply.

        Raises:
            redis.RedisError: some were refused for a reason that may pass; they stay in hand.
        """
        kept: list[Waiting] = []
        fault: Exception | None = None
        with self._changed:
            if self._over:
                return
            now_s = self._clock()
            for waiting, reply in zip(hand, replies, strict=True):
                if reply is None:
                    self._published(waiting, now_s)
                elif broker.is_about_one_key(reply):
                    self._backlog.settle(waiting)
                    self._lose([waiting.event], "rejected")
                else:
                    kept.append(waiting)
                    fault = reply
            self._backlog.hand = kept
        if fault is not None:
            raise fault

    def _published(self, waiting: Waiting, now_s: float) -> None:
        event = waiting.event
        waited = not self._up or waiting.queued_s < self._up_since_s or waiting.row is not None
        self._backlog.settle(waiting)
        self._listener.published(event, None if waited else now_s - event.monotonic_s)
        if self._spool is None:
            return
        if waiting.row is not None:
            self._pace.spend()
            self._spool.replayed(event.type)
            self._spool.notify()
        if not waiting.noted:
            waiting.noted = True
            self._spool.journal.note(event)

    # Losses.

    def _tell_losses(self, events: EventMaker, *, everything: bool = False) -> None:
        """Queue a loss event for each loss; the lock is free, as the maker calls ``put``."""
        with self._changed:
            losses = self._losses.due(self._clock(), everything=everything)
        for loss in losses:
            events.loss(loss)

    def _lose(self, lost: list[Event], reason: LossReason) -> None:
        for event in lost:
            self._losses.note(event, reason)
        for kind, count in by_type(lost).items():
            self._listener.lost(kind, reason, count)

    def _give_up(self) -> None:
        """The end: what is still in memory alone is lost, and said to be."""
        with self._changed:
            waiting = self._backlog.left()
            for one in waiting:
                self._backlog.settle(one)
            left = [one.event for one in waiting]
            self._lose(left, "shutdown")
        if left:
            log.error(
                "%d events were lost at the stop: neither %s nor the disk took them in time",
                len(left),
                self._settings.address,
            )

    # Redis comes and goes.

    def _came_up(self, server: str) -> None:
        now_s = self._clock()
        with self._changed:
            waiting = len(self._backlog)
        if self._up is False:
            away_s = now_s - self._down_since_s
            log.info("Redis takes events again after %.1f s; %d are waiting", away_s, waiting)
        else:
            log.info("connected to %s at %s", server, self._settings.address)
        self._up, self._reason, self._up_since_s = True, "", now_s
        self._listener.broker(True, "")

    def _went_down(self, error: Exception) -> bool:
        """Take note of a fault; True where Redis was up until now."""
        self._writer.disconnect()  # After a failover the name may lead to another server.
        was_up = bool(self._up)
        reason, sentence = broker.explain(error, self._settings)
        if was_up or reason != self._reason:
            where = "on disk" if self._spool else "in memory"
            log.warning("%s; events wait %s", sentence, where)
            self._listener.broker(False, reason)
        if self._up is not False:
            self._down_since_s = self._clock()
        self._up, self._reason = False, reason
        self._states.write_again()
        return was_up

    def _keep_house(self) -> None:
        """Trim what is quiet, and find out in quiet times whether Redis is still there."""
        now_s = self._clock()
        if now_s - self._trimmed_s >= TRIM_EVERY_S:
            self._trimmed_s = self._spoke_s = now_s
            self._writer.learn_clock()
            self._writer.trim(self._states.cameras())
        elif now_s - self._spoke_s >= PING_EVERY_S:
            self._spoke_s = now_s
            self._writer.learn_clock()
