"""Events, live frames and camera states as Redis commands: one transaction at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis

from worker import config
from worker.output import broker
from worker.output.event import Event
from worker.output.states import KEEP_S

log = logging.getLogger(__name__)


class RedisWriter:
    """Writes to Redis, once: it neither waits nor tries again, it raises.

    Raises (every method): ``broker.FAULTS``, for ``broker.explain`` to put into words.
    """

    def __init__(self, settings: config.Redis, name: str, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._client = broker.client(settings, name)
        self._clock = clock
        self._server_ahead_s = 0.0
        self._refused_keys: set[str] = set()

    def connect(self) -> str:
        """Connect, and return what the server is."""
        server = broker.greet(self._client)
        self.learn_clock()
        return server

    def learn_clock(self) -> None:
        """Ask the server for its time: ages are those of its entry ids. Serves as a ping, too."""
        self._server_ahead_s = broker.server_time_s(self._client) - self._clock()

    def send(
        self,
        events: Sequence[Event],
        live: Sequence[Event],
        states: Mapping[str, Mapping[str, str]],
    ) -> list[Exception | None]:
        """Write all in one transaction: all of it arrives, or nothing, or nobody knows.

        Args:
            events: into their streams, in this order.
            live: frame events for the live channels.
            states: the hash of each camera, by its id; one without fields is to go.

        Returns:
            For each event None, or why it alone was refused.
        """
        pipe = self._client.pipeline(transaction=True)
        queue: Callable[..., Any] = pipe.execute_command
        for event in events:
            self._queue_entry(queue, event)
        for event in live:
            queue("PUBLISH", self._key("live", event.camera_id), event.document)
        for camera_id, fields in states.items():
            key = self._key("camera", camera_id)
            left = fields or {"state": "off"}  # an expiry needs no right beyond those granted
            queue("HSET", key, *(part for field in left.items() for part in field))
            queue("EXPIRE", key, KEEP_S if fields else 0)
        replies: list[Any] = pipe.execute(raise_on_error=False)
        refusals = [reply if isinstance(reply, Exception) else None for reply in replies]
        for event, refusal in zip(events, refusals, strict=False):
            self._watch_key(self._stream_key(event), refusal)
        written = len(events) + len(live)
        for camera_id, refusal in zip(states, refusals[written::2], strict=True):
            self._watch_key(self._key("camera", camera_id), refusal)
        return refusals[: len(events)]

    def trim(self, cameras: Sequence[str]) -> None:
        """Trim to the age exactly, also the stream of a camera that sends nothing any more."""
        settings = self._settings
        pipe = self._client.pipeline(transaction=False)
        queue: Callable[..., Any] = pipe.execute_command
        for camera_id in cameras:
            oldest = self._oldest_ms(settings.frames_keep_s)
            queue("XTRIM", self._key("frames", camera_id), "MINID", oldest)
        queue("XTRIM", self._key("alerts"), "MINID", self._oldest_ms(settings.alerts_keep_s))
        oldest = self._oldest_ms(settings.compliance_keep_s)
        queue("XTRIM", self._key("compliance"), "MINID", oldest)
        for reply in pipe.execute(raise_on_error=False):
            if isinstance(reply, redis.RedisError) and not broker.is_about_one_key(reply):
                raise reply

    def disconnect(self) -> None:
        """Let the connection go; the next command makes a new one."""
        self._client.connection_pool.disconnect()

    def close(self) -> None:
        """The end."""
        self._client.close()

    def _queue_entry(self, queue: Callable[..., Any], event: Event) -> None:
        settings = self._settings
        match event.stream:
            case "frames":
                keep_s = settings.frames_keep_s
            case "alerts":
                keep_s = settings.alerts_keep_s
            case "compliance":
                keep_s = settings.compliance_keep_s
        key, oldest = self._stream_key(event), self._oldest_ms(keep_s)
        entry = ("type", event.type, "event", event.document)
        queue("XADD", key, "MINID", "~", oldest, "*", *entry)

    def _watch_key(self, key: str, refusal: Exception | None) -> None:
        """Say once that a key cannot be written to, and once that it can again."""
        if refusal is None:
            if key in self._refused_keys:
                self._refused_keys.discard(key)
                log.info("the key %s takes what is written to it again", key)
        elif key not in self._refused_keys and broker.is_about_one_key(refusal):
            self._refused_keys.add(key)
            log.error(
                "the key %s in Redis at %s holds something else, so what belongs there is lost; "
                "rename or delete it, or choose another redis.prefix",
                key,
                self._settings.address,
            )

    def _oldest_ms(self, keep_s: float) -> int:
        """The age limit as an entry id, by the clock of the server, which makes the ids."""
        return max(0, int((self._clock() + self._server_ahead_s - keep_s) * 1_000))

    def _stream_key(self, event: Event) -> str:
        if event.stream == "frames":
            return self._key("frames", event.camera_id)
        return self._key(event.stream)

    def _key(self, *parts: str) -> str:
        return ":".join((self._settings.prefix, *parts))
