"""One worker of a name at a time: a lease in Redis, held by the run that publishes.

Where the name's last run had the same state folder, its lock already proves that it is dead, and
its lease is taken over at once. Where another run's lease is found, it is watched: one that is
renewed is that of a living worker, and one that is not expires.
"""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable, Collection
from typing import Any

import redis
from redis.exceptions import NoPermissionError

from worker import config
from worker.errors import FencedError
from worker.output.broker import BrokerFaultError, is_about_one_key

log = logging.getLogger(__name__)

RENEW_S = 5.0
"""How often the lease is renewed: with the heartbeat of the cameras."""

VALID_S = 15.0
"""How long it holds without that; the same time after which a silent camera counts as blind."""


class Lease:
    """The right of one run to publish as its worker. For the thread that publishes.

    Before anything is sent after a pause, be it of the process or of Redis, the lease is looked
    at first: who slept through its expiry sends nothing more.

    Args:
        settings: the prefix of the key.
        worker_id, run_id: whose lease it is to be.
        former: earlier runs that are known to be dead.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: config.Redis,
        *,
        worker_id: str,
        run_id: str,
        former: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = f"{settings.prefix}:worker:{worker_id}"
        self._worker_id = worker_id
        self._run_id = run_id
        self._former = frozenset(former)
        self._clock = clock
        self._beats = 0
        self._renewed_s: float | None = None
        self._foreign: bytes | None = None
        self._impossible = False

    def keep(self, client: redis.Redis) -> None:
        """Take the lease, or renew it, where that is due.

        Raises:
            FencedError: another worker of this name is at work.
            BrokerFaultError: another one was, and may still be.
            redis.RedisError, OSError: Redis did not answer.
        """
        now_s = self._clock()
        if self._renewed_s is not None and now_s - self._renewed_s < RENEW_S:
            return
        try:
            self._renew(client)
        except redis.WatchError:
            raise self._held("somebody else took it just now") from None
        except redis.ResponseError as error:
            if not (is_about_one_key(error) or isinstance(error, NoPermissionError)):
                raise
            self._say_impossible(error)
        self._renewed_s = now_s

    def release(self, client: redis.Redis) -> None:
        """Let the next run begin at once; what was not held stays as it is.

        Raises:
            redis.RedisError, OSError: Redis did not answer; the lease expires then.
        """
        if self._renewed_s is None or self._impossible:
            return
        self._renewed_s = None
        with client.pipeline() as pipe:
            send: Callable[..., Any] = pipe.execute_command
            send("WATCH", self.key)
            if self._holder(send("GET", self.key)).get("run_id") == self._run_id:
                pipe.multi()
                send("EXPIRE", self.key, 0)
                pipe.execute()

    def _renew(self, client: redis.Redis) -> None:
        with client.pipeline() as pipe:
            send: Callable[..., Any] = pipe.execute_command
            send("WATCH", self.key)
            found: bytes | None = send("GET", self.key)
            if found is not None:
                self._judge(found)
            self._beats += 1
            value = {"run_id": self._run_id, "host": socket.gethostname(), "beats": self._beats}
            pipe.multi()
            send("SET", self.key, json.dumps(value), "EX", round(VALID_S))
            pipe.execute()

    def _judge(self, found: bytes) -> None:
        """May this run have a lease that has this in it?"""
        holder = self._holder(found)
        run_id = str(holder.get("run_id", ""))
        if run_id == self._run_id:
            return
        if run_id in self._former:
            log.info("took over the lease of run %s, which is dead", run_id)
            return
        where = f"run {run_id} on {holder.get('host', 'an unknown host')}"
        if self._renewed_s is not None:
            raise FencedError(
                f"{where} took the place of worker {self._worker_id!r} while this one was silent; "
                "this one publishes nothing more: let only one of the two start"
            )
        if self._foreign is not None and self._foreign != found:
            raise FencedError(
                f"the worker {self._worker_id!r} is at work already, as {where}; give this one "
                "another worker.worker_id, or stop the other one"
            )
        self._foreign = found
        raise self._held(f"it is held by {where}, and expires within {VALID_S:g} s if that is dead")

    def _held(self, why: str) -> BrokerFaultError:
        return BrokerFaultError(
            "held", f"the lease of worker {self._worker_id!r} is not free: {why}"
        )

    def _holder(self, found: bytes | None) -> dict[str, Any]:
        """What stands in a lease; nothing, where somebody else wrote there."""
        try:
            holder = json.loads(found or b"{}")
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}

    def _say_impossible(self, error: Exception) -> None:
        if not self._impossible:
            self._impossible = True
            log.warning(
                "no lease can be held in the key %s (%s), so a second worker %r elsewhere would "
                "go unnoticed; grant +get +set +watch +unwatch, and let nothing else use that key",
                self.key,
                error,
                self._worker_id,
            )
