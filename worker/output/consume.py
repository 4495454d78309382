"""Reading the events of a worker from Python: typed, at least once, nothing missed silently.

    with Consumer("redis://127.0.0.1:6379/0", group="door", name="door-1") as consumer:
        for delivery in consumer:
            print(delivery.event.camera_id, delivery.at)
            delivery.ack()

What is promised:

- Each event is handed to one member of the group, and again, to it or another, until it is
  acknowledged: at least once. What you do with it must bear repetition.
- In order per camera and stream, except for what comes again (``delivery.redelivered``).
- An event that was published twice comes once, as long as one member reads: the second copy is
  known by its number. Two members may get a copy each.
- What is missing, or cannot be read, is told by a notice before the next event; without an
  ``on_notice`` of yours it is a warning in the log. If ``on_notice`` raises, so does the iteration.
- Redis may come and go: the iteration waits and goes on where it was.
- Memory is bounded, whatever lies in the streams.

Neither OpenCV nor torch is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import redis
import redis.asyncio

from worker.errors import ConfigError
from worker.output import broker
from worker.output.reading.delivery import Delivery, Reading, Tally
from worker.output.reading.entry import AnyEvent
from worker.output.reading.group import COMMANDS, Member
from worker.output.reading.inspection import Talk
from worker.output.reading.notices import (
    EventsLost,
    GroupLost,
    Hole,
    NewRun,
    Notice,
    NotWatched,
    Trimmed,
    UnknownSchema,
    Unreadable,
    log_notice,
)
from worker.output.wire import (
    CameraEvent,
    ComplianceEvent,
    FrameEvent,
    GapEvent,
    LossEvent,
    RuleEvent,
    Stream,
    TrackEvent,
    ViolationEvent,
)

__all__ = [
    "AnyEvent",
    "AsyncConsumer",
    "CameraEvent",
    "ComplianceEvent",
    "Consumer",
    "Delivery",
    "EventsLost",
    "FrameEvent",
    "GapEvent",
    "GroupLost",
    "Hole",
    "LossEvent",
    "NewRun",
    "NotWatched",
    "Notice",
    "RuleEvent",
    "Tally",
    "TrackEvent",
    "Trimmed",
    "UnknownSchema",
    "Unreadable",
    "ViolationEvent",
    "log_notice",
]

log = logging.getLogger(__name__)

T = TypeVar("T")

ALL_STREAMS: tuple[Stream, ...] = ("frames", "alerts", "compliance")
PAUSE_S = (0.1, 2.0)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_WAITING_IS_NO_CURE = {"unauthorised", "forbidden", "unsupported", "not_redis", "untrusted"}


class _AnyConsumer:
    """What both consumers are: settings, the member, and patience with Redis."""

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        *,
        group: str,
        name: str,
        streams: Collection[Stream] = ALL_STREAMS,
        cameras: Collection[str] | None = None,
        start: Literal["new", "oldest"] = "new",
        on_notice: Callable[[Notice], object] = log_notice,
        max_age_s: float | None = None,
        claim_idle_s: float = 60.0,
        stop_when_idle_s: float | None = None,
        prefix: str = "maskwatch",
        timeout_s: float = 2.0,
        ca_file: str | Path | None = None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            url: where Redis is, with user and password if it asks for them.
            group: those who share the events; each event goes to one member of the group.
            name: this member, always the same for the same one: what it left undone when it
                went, it gets back under its name.
            streams: which of ``frames``, ``alerts`` and ``compliance``.
            cameras: only their events and those of no single camera, those of others count as
                done; None: of all, also of cameras that appear later.
            start: where a group that does not exist yet begins: at what comes from the first
                iteration on, or at the oldest event that is kept.
            on_notice: is called in this thread with whatever else there is to know.
            max_age_s: older events are dropped and counted, for those to whom old news are none.
            claim_idle_s: an event that a member has held for so long without acknowledging it
                goes to another one. Longer than you work on one event.
            stop_when_idle_s: the iteration ends after so long without an event; None: never.
            prefix: ``redis.prefix`` of the worker.
            timeout_s: time after which Redis counts as gone.
            ca_file: with ``rediss://``, certificates of the authorities that may have signed the
                server's; None: those of the system.

        Raises:
            ConfigError: the address, the file, a name or a number cannot be used.
        """
        for what, word in (("group", group), ("name", name)):
            if not _NAME.fullmatch(word):
                raise ConfigError(
                    f"{what}: {word[:80]!r} cannot be used; take at most 63 letters, digits, "
                    "dots, - and _"
                )
        if isinstance(streams, str) or not streams or not set(streams) <= set(ALL_STREAMS):
            raise ConfigError(f"streams: some of {', '.join(ALL_STREAMS)} are wanted, in a list")
        if start not in {"new", "oldest"}:
            raise ConfigError(f"start: {start!r} is neither 'new' nor 'oldest'")
        if isinstance(cameras, str) or not all(_NAME.fullmatch(name) for name in cameras or ()):
            raise ConfigError(
                f"cameras: {cameras!r} are no names of cameras; write a list, such as ['entrance']"
            )
        if claim_idle_s < 1 or (max_age_s is not None and max_age_s <= 0):
            raise ConfigError("claim_idle_s must be at least 1, and max_age_s above 0")
        self._settings = broker.settings_of(url, prefix, timeout_s, ca_file)
        self._client_name = f"maskwatch-{group}-{name}"
        self._idle_limit_s = stop_when_idle_s
        self._heard_s: float | None = None
        self._pause_s = PAUSE_S[0]
        self._reason: str | None = None
        self._connected_once = False
        reading = Reading(
            prefix=prefix,
            group=group,
            name=name,
            streams=tuple(streams),
            cameras=None if cameras is None else frozenset(cameras),
            start=start,
            claim_idle_s=claim_idle_s,
            max_age_s=max_age_s,
            block_ms=int(timeout_s * 500),  # must end before the socket's timeout
        )
        self._member = Member(reading, on_notice)
        self._prepare()

    def _prepare(self) -> None:
        """Make the client, which connects at its first command."""
        raise NotImplementedError

    @property
    def tally(self) -> Tally:
        """What came so far, in numbers."""
        return self._member.tally

    def _next(self) -> Delivery | None:
        delivery = self._member.next()
        if delivery is not None:
            self._heard_s = time.monotonic()
        return delivery

    def _idle(self) -> bool:
        limit_s, now_s = self._idle_limit_s, time.monotonic()
        if self._heard_s is None:
            self._heard_s = now_s  # from the first time that anybody asks
        return limit_s is not None and now_s - self._heard_s >= limit_s

    def _at_most_idle(self, pause_s: float) -> float:
        """A pause that doesn't outlast the time after which the iteration ends."""
        return pause_s if self._idle_limit_s is None else min(pause_s, self._idle_limit_s)

    def _works(self) -> None:
        """Redis answered."""
        if self._reason is not None:
            log.info("Redis at %s is back", self._settings.address)
        self._pause_s, self._reason, self._connected_once = PAUSE_S[0], None, True

    def _failed(self, error: Exception) -> float:
        """Take note of a fault; how long to wait, in seconds.

        Raises:
            BrokerFaultError: it is the first attempt, and waiting would not cure it.
        """
        reason, sentence = broker.explain(error, self._settings, COMMANDS)
        if not self._connected_once and reason in _WAITING_IS_NO_CURE:
            raise broker.BrokerFaultError(reason, sentence) from None
        if self._reason is None:
            self._member.tally.outages += 1
        if reason != self._reason:
            log.warning("%s; waiting for it", sentence)
        self._reason = reason
        self._member.disconnected()
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, PAUSE_S[1])
        return pause_s

    def _not_told(self) -> None:
        count = self._member.unacknowledged
        if count:
            log.warning(
                "Redis at %s could not be told that %d events are done; they will come again",
                self._settings.address,
                count,
            )


class Consumer(_AnyConsumer):
    """An iterator over the events, one ``Delivery`` each; it blocks until there is one.

    One thread iterates. ``stop`` and ``Delivery.ack`` may be called from any.
    """

    def _prepare(self) -> None:
        self._client = broker.client(self._settings, self._client_name)
        _raw_replies(self._client)
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Delivery:
        """The next event.

        Raises:
            StopIteration: ``stop`` was called, or it was quiet for ``stop_when_idle_s``.
            BrokerFaultError: the very first connection failed in a way that waiting won't cure:
                wrong password, missing rights, a server too old.
        """
        while not self._stop.is_set():
            try:
                self._carry(self._member.upkeep())
                delivery = self._next()
                if delivery is not None:
                    return delivery
                if self._idle():
                    break
                pause_s = self._carry(self._member.turn())
                self._works()
                if pause_s:
                    self._stop.wait(self._at_most_idle(pause_s))
            except broker.FAULTS as error:
                self._stop.wait(self._failed(error))
            except BaseException:
                self._member.broken_off()  # perhaps in the middle of a reply
                raise
        raise StopIteration

    def stop(self) -> None:
        """End the iteration, within ``timeout_s``; what was read and not handed out comes again."""
        self._stop.set()

    def close(self) -> None:
        """Tell Redis what is done, and let the connection go."""
        self._stop.set()
        with contextlib.suppress(*broker.FAULTS):
            self._carry(self._member.acknowledge())
        self._not_told()
        self._client.close()

    def _carry(self, talk: Talk[T]) -> T:
        """Carry each command to Redis, and its reply back; what comes of it in the end."""
        try:
            command = next(talk)
            while True:
                try:
                    reply = self._client.execute_command(*command)  # type: ignore[no-untyped-call]
                except redis.ResponseError as error:
                    command = talk.throw(error)
                else:
                    command = talk.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result


class AsyncConsumer(_AnyConsumer):
    """The same for ``async for``, in ``async with``; ``Delivery.ack`` and ``stop`` don't block."""

    def _prepare(self) -> None:
        self._client = broker.async_client(self._settings, self._client_name)
        _raw_replies(self._client)
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        """As ``Consumer.__next__``, with ``StopAsyncIteration`` at the end."""
        while not self._stop.is_set():
            try:
                await self._carry(self._member.upkeep())
                delivery = self._next()
                if delivery is not None:
                    return delivery
                if self._idle():
                    break
                pause_s = await self._carry(self._member.turn())
                self._works()
                if pause_s:
                    await self._wait(self._at_most_idle(pause_s))
            except broker.FAULTS as error:
                await self._wait(self._failed(error))
            except BaseException:
                self._member.broken_off()  # cancelled, perhaps in the middle of a reply
                raise
        raise StopAsyncIteration

    def stop(self) -> None:
        """End the iteration, within ``timeout_s``; call it in the event loop's thread."""
        self._stop.set()

    async def close(self) -> None:
        """Tell Redis what is done, and let the connection go."""
        self._stop.set()
        with contextlib.suppress(*broker.FAULTS):
            await self._carry(self._member.acknowledge())
        self._not_told()
        await self._client.aclose()

    async def _wait(self, seconds: float) -> None:
        """Wait; ``stop`` ends it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _carry(self, talk: Talk[T]) -> T:
        try:
            command = next(talk)
            while True:
                try:
                    reply = await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
                except redis.ResponseError as error:
                    command = talk.throw(error)
                else:
                    command = talk.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result


def _raw_replies(client: redis.Redis | redis.asyncio.Redis) -> None:
    """Replies as they came: the talk reads them itself, in one shape for every version."""
    for command in ("SCAN", "XACK", "XAUTOCLAIM", "XCLAIM", "XPENDING", "XREADGROUP", "XREVRANGE"):
        client.set_response_callback(command, _as_it_came)


def _as_it_came(response: Any, **_options: Any) -> Any:
    return response
