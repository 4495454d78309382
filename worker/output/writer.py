"""Events, live frames and camera states as Redis commands: one transaction at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis

from worker import config
from worker.output import append, broker
from worker.output.event import Event
from worker.output.lease import Lease
from worker.output.states import KEEP_S
from worker.output.wire import Stream

log = logging.getLogger(__name__)


class RedisWriter:
    """Writes to Redis, once: it neither waits nor tries again, it raises.

    Raises (every method): ``broker.FAULTS``, for ``broker.explain`` to put into words.

    Args:
        settings: where to.
        name: of the client, in Redis.
        clock: monotonic seconds.
        may_repeat: append what comes twice twice.
    """

    def __init__(
        self,
        settings: config.Redis,
        name: str,
        clock: Callable[[], float],
        *,
        may_repeat: bool = False,
    ) -> None:
        self._settings = settings
        self._may_repeat = may_repeat
        self._client = broker.client(settings, name)
        self._clock = clock
        self._server_ahead_s = 0.0
        self._refused_keys: set[str] = set()
        self._script: str | None = None
        self._told_of_script = False

    def connect(self) -> str:
        """Connect, and return what the server is."""
        server = broker.greet(self._client)
        self.learn_clock()
        if not self._may_repeat:
            self._learn_script()
        return server

    def keep(self, lease: Lease | None) -> None:
        """Hold the lease, before anything is sent; also raises ``FencedError``."""
        if lease is not None:
            lease.keep(self._client)

    def release(self, lease: Lease | None) -> None:
        """Let the lease go."""
        if lease is not None:
            lease.release(self._client)

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
        appends = self._queue_events(queue, events)
        for event in live:
            queue("PUBLISH", self._key("live", event.camera_id), event.document)
        for camera_id, fields in states.items():
            key = self._key("camera", camera_id)
            left = fields or {"state": "off"}  # an expiry needs no right beyond those granted
            queue("HSET", key, *(part for field in left.items() for part in field))
            queue("EXPIRE", key, KEEP_S if fields else 0)
        replies: list[Any] = pipe.execute(raise_on_error=False)
        if appends and isinstance(replies[0], redis.exceptions.NoScriptError):
            self._learn_script()  # it was flushed; the rest of the transaction went through
            return self.send(events, (), {})
        written = appends + len(live)
        for camera_id, reply in zip(states, replies[written::2], strict=True):
            self._watch_key(self._key("camera", camera_id), _refusal(reply))
        refusals = self._refusals(events, replies[:appends])
        for event, refusal in zip(events, refusals, strict=True):
            self._watch_key(self._stream_key(event), refusal)
        return refusals

    def trim(self, cameras: Sequence[str]) -> None:
        """Trim to the age exactly, also the stream of a camera that sends nothing any more."""
        oldest = self._oldest()
        pipe = self._client.pipeline(transaction=False)
        queue: Callable[..., Any] = pipe.execute_command
        for camera_id in cameras:
            queue("XTRIM", self._key("frames", camera_id), "MINID", oldest["frames"])
        queue("XTRIM", self._key("alerts"), "MINID", oldest["alerts"])
        queue("XTRIM", self._key("compliance"), "MINID", oldest["compliance"])
        for reply in pipe.execute(raise_on_error=False):
            if isinstance(reply, redis.RedisError) and not broker.is_about_one_key(reply):
                raise reply

    def disconnect(self) -> None:
        """Let the connection go; the next command makes a new one."""
        self._client.connection_pool.disconnect()

    def close(self) -> None:
        """The end."""
        self._client.close()

    def _learn_script(self) -> None:
        """Load the script that appends; say once where it may not be used."""
        self._script = append.prepare(self._client, self._key("marks", "probe"))
        if self._script is None and not self._told_of_script:
            self._told_of_script = True
            log.warning(
                "Redis at %s does not let this user run scripts, so an event that is sent again "
                "after a lost answer comes twice; grant it %s",
                self._settings.address,
                broker.COMMANDS,
            )

    def _queue_events(self, queue: Callable[..., Any], events: Sequence[Event]) -> int:
        """Queue the appending of events, if any; how many commands that takes."""
        if not events:
            return 0
        keys = [self._stream_key(event) for event in events]
        oldest = self._oldest()
        ids = [oldest[event.stream] for event in events]
        if self._script is not None:
            runs = [self._key("marks", event.event_id.partition(":")[0]) for event in events]
            queue("EVALSHA", self._script, *append.arguments(events, keys, runs, ids))
            return 1
        for event, key, oldest_ms in zip(events, keys, ids, strict=True):
            entry = ("type", event.type, "event", event.document)
            queue("XADD", key, "MINID", "~", oldest_ms, "*", *entry)
        return len(events)

    def _refusals(self, events: Sequence[Event], replies: Sequence[Any]) -> list[Exception | None]:
        if self._script is None or not events:
            return [_refusal(reply) for reply in replies]
        [of_script] = replies
        if isinstance(of_script, Exception):
            return [append.refusal_of(of_script)] * len(events)
        return [append.refusal_of(reply) for reply in of_script]

    def _oldest(self) -> Mapping[Stream, int]:
        """The age limit of each kind of stream, as an entry id."""
        settings = self._settings
        return {
            "frames": self._oldest_ms(settings.frames_keep_s),
            "alerts": self._oldest_ms(settings.alerts_keep_s),
            "compliance": self._oldest_ms(settings.compliance_keep_s),
        }

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


def _refusal(reply: Any) -> Exception | None:
    return reply if isinstance(reply, Exception) else None
