"""One worker of a name publishes: the living one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from output.rig import Rig
from service.redis_server import client_of

from worker.config import Redis
from worker.errors import FencedError
from worker.output.broker import COMMANDS, BrokerFaultError
from worker.output.embedded import RedisServer
from worker.output.lease import RENEW_S, VALID_S, Lease

KEY = "maskwatch:worker:lobby"


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def plain(server: RedisServer, **login: str) -> Iterator[redis.Redis]:
    """A client as the publisher has it."""
    with redis.Redis(port=server.port, protocol=2, **login) as client:  # type: ignore[arg-type]
        yield client


def lease(run_id: str, clock: Clock, former: Collection[str] = ()) -> Lease:
    return Lease(Redis(), worker_id="lobby", run_id=run_id, former=former, clock=clock)


def test_it_is_renewed_while_it_is_kept(shared_redis: RedisServer) -> None:
    """As often as is needed, and it expires where nobody does."""
    clock = Clock()
    with plain(shared_redis) as client:
        mine = lease("one", clock)
        mine.keep(client)
        assert 0 < client.pttl(KEY) <= VALID_S * 1_000
        client.pexpire(KEY, 4_000)
        clock.now_s += RENEW_S - 0.1
        mine.keep(client)
        assert client.pttl(KEY) <= 4_000
        clock.now_s += 0.1
        mine.keep(client)
        assert client.pttl(KEY) > 10_000


def test_beside_a_living_worker_a_second_one_is_refused(shared_redis: RedisServer) -> None:
    """Once it was seen to live: until then it may be one that was killed."""
    clock = Clock()
    with plain(shared_redis) as client:
        first, second = lease("one", clock), lease("two", clock)
        first.keep(client)
        for _ in range(2):
            with pytest.raises(
                BrokerFaultError, match=r"held by run one on .*, and expires within"
            ):
                second.keep(client)
        clock.now_s += RENEW_S
        first.keep(client)
        with pytest.raises(FencedError, match="'lobby' is at work already, as run one"):
            second.keep(client)
        clock.now_s += RENEW_S
        first.keep(client)


def test_what_a_killed_worker_left_expires(shared_redis: RedisServer) -> None:
    """And if it was not dead but slept, it sends nothing more."""
    clock = Clock()
    with plain(shared_redis) as client:
        slept, next_one = lease("one", clock), lease("two", clock)
        slept.keep(client)
        with pytest.raises(BrokerFaultError):
            next_one.keep(client)
        client.delete(KEY)  # as its expiry does
        next_one.keep(client)
        clock.now_s += VALID_S
        with pytest.raises(FencedError, match=r"run two on .* took the place of worker 'lobby'"):
            slept.keep(client)


def test_what_is_known_to_be_dead_is_taken_over_at_once(shared_redis: RedisServer) -> None:
    """The lock on the state folder proves it."""
    clock = Clock()
    with plain(shared_redis) as client:
        lease("one", clock).keep(client)
        lease("three", clock, former=["one", "two"]).keep(client)
        assert b'"three"' in (client.get(KEY) or b"")


def test_an_ordered_end_lets_it_go(shared_redis: RedisServer) -> None:
    """Its own: what is another's by now stays."""
    clock = Clock()
    with plain(shared_redis) as client:
        first, second = lease("one", clock), lease("two", clock)
        first.keep(client)
        first.release(client)
        second.keep(client)
        first.release(client)
        assert b'"two"' in (client.get(KEY) or b"")


@pytest.mark.parametrize("holding", [b"nonsense", b"[1]"])
def test_what_nobody_renews_is_no_lease(shared_redis: RedisServer, holding: bytes) -> None:
    """Whatever somebody wrote there is treated as a lease that never lives."""
    clock = Clock()
    with plain(shared_redis) as client:
        client.set(KEY, holding)
        for _ in range(2):
            with pytest.raises(BrokerFaultError, match="on an unknown host"):
                lease("one", clock).keep(client)


def test_without_the_right_to_it_the_worker_works(
    shared_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once what could go wrong then, and what to grant."""
    clock = Clock()
    rights = [right for right in COMMANDS.split() if right not in {"+get", "+set", "+watch"}]
    with client_of(shared_redis) as admin:
        admin.execute_command("ACL", "SETUSER", "old", "on", ">x", "~*", "&*", *rights)
        with plain(shared_redis, username="old", password="x") as client:
            mine = lease("one", clock)
            for _ in range(3):
                mine.keep(client)
                clock.now_s += RENEW_S
            mine.release(client)
        admin.execute_command("ACL", "DELUSER", "old")
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "grant +get +set +watch +unwatch" in said[0].getMessage()


def test_a_key_that_is_something_else_holds_nothing_up(shared_redis: RedisServer) -> None:
    """The events are worth more than the fence."""
    with plain(shared_redis) as client:
        client.hset(KEY, "a", "b")
        lease("one", Clock()).keep(client)


def test_a_publisher_without_its_lease_publishes_nothing(
    shared_redis: RedisServer, rig_for: Callable[..., Rig]
) -> None:
    """Its events wait while it watches the other one, and it ends once that is seen to live."""
    clock = Clock()
    other = lease("other", clock)
    with plain(shared_redis) as client:
        other.keep(client)
        rig: Any = rig_for(shared_redis)
        rig.publisher._lease = lease("mine", clock)
        ended: list[Exception] = []

        def run() -> None:
            try:
                rig.publisher.run(rig.events)
            except FencedError as error:
                ended.append(error)

        rig.frames(3)
        thread = threading.Thread(target=run)
        thread.start()
        rig.down("held")
        clock.now_s += RENEW_S
        other.keep(client)
        thread.join(10)
        assert [type(error) for error in ended] == [FencedError]
        assert client.xlen("maskwatch:frames:hall") == 0
        assert rig.publisher.depth == 3
