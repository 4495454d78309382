"""What happens to Redis, and to the way there."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from service.chaos.fault import NEVER_S, RUNNING, Fault, Inflict, Metric, repeatedly, until
from service.chaos.rig import CAMERAS, Rig
from service.chaos.tcp_proxy import Network

CAP_S = 5.0
"""Longest pause between two attempts."""

HANGS_S = 2.5
"""A silence that is shorter may be over before the time-out, and just a slow answer."""

GONE = "closed the connection|cannot be reached|nothing listens for"
UP = Metric(("maskwatch_redis_up",), "falls to 0")


@contextlib.contextmanager
def killed(rig: Rig) -> Iterator[None]:
    """Its data outlives it."""
    rig.store.kill()
    try:
        yield
    finally:
        rig.store.start()


@contextlib.contextmanager
def frozen(rig: Rig) -> Iterator[None]:
    """SIGSTOP, then SIGCONT."""
    rig.store.freeze()
    try:
        yield
    finally:
        rig.store.thaw()


def told(begin: tuple[Any, ...], end: tuple[Any, ...]) -> Inflict:
    """Redis is given a command, and another one at the end."""

    @contextlib.contextmanager
    def inflict(rig: Rig) -> Iterator[None]:
        with rig.store.admin as admin:
            admin.execute_command(*begin)
            try:
                yield
            finally:
                admin.execute_command(*end)

    return inflict


def configured(name: str, bad: str, good: str) -> Inflict:
    """Redis is set differently, and all connections are made anew."""

    @contextlib.contextmanager
    def inflict(rig: Rig) -> Iterator[None]:
        with rig.store.admin as admin:
            admin.config_set(name, bad)
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            try:
                yield
            finally:
                admin.config_set(name, good)

    return inflict


@contextlib.contextmanager
def loading(rig: Rig) -> Iterator[None]:
    """It comes back from a kill with much to load, key by key."""
    with rig.store.admin as admin:
        pipe = admin.pipeline(transaction=False)
        for number in range(3_500):  # of chance, as what can be packed is read at a go
            pipe.set(f"chaos:ballast:{number}", secrets.token_hex(512))
        pipe.execute()
        admin.bgrewriteaof()
        until(lambda: not _rewriting(admin.info("persistence")))
    rig.store.kill()
    rig.store.start("key-load-delay 20000", "loading-process-events-interval-bytes 1024")
    yield
    with rig.store.admin as admin:  # it answers when it has done with it, or waits no longer
        admin.config_set("key-load-delay", "0")
        until(lambda: not int(admin.info("persistence")["loading"]))


def _rewriting(persistence: Any) -> bool:
    names = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")
    return any(int(persistence[name]) for name in names)


@contextlib.contextmanager
def failed_over(rig: Rig) -> Iterator[None]:
    """A replica takes over, the wire leads there; and back, when it is over."""
    with rig.store.admin as first, rig.second_store() as second, second.admin as other:
        other.replicaof("127.0.0.1", str(rig.store.port))
        until(lambda: other.info("replication").get("master_link_status") == "up")
        first.execute_command("FAILOVER")
        until(lambda: other.info("replication")["role"] == "master")
        rig.wire.target = second.port
        rig.wire.cut()
        try:
            yield
        finally:
            until(lambda: first.info("replication").get("master_link_status") == "up")
            other.execute_command("FAILOVER")
            until(lambda: first.info("replication")["role"] == "master")
            rig.wire.target = rig.store.port
            rig.wire.cut()


@contextlib.contextmanager
def wrong_type(rig: Rig) -> Iterator[None]:
    """The stream is set aside, and put back."""
    key, aside = "maskwatch:frames:tape", "chaos:aside"
    with rig.store.admin as admin:
        until(lambda: bool(admin.exists(key)))
        swap = admin.pipeline(transaction=True)
        swap.rename(key, aside)
        swap.set(key, "no stream")
        swap.execute()
        try:
            yield
        finally:
            back = admin.pipeline(transaction=True)
            back.delete(key)
            back.rename(aside, key)
            back.execute()


def wired(**behaviour: Any) -> Inflict:
    """The wire between worker and Redis misbehaves."""

    @contextlib.contextmanager
    def inflict(rig: Rig) -> Iterator[None]:
        rig.wire.network = Network(**behaviour)
        if behaviour.get("refuse"):
            rig.wire.cut()
        try:
            yield
        finally:
            rig.wire.heal()

    return inflict


@contextlib.contextmanager
def flapping(rig: Rig) -> Iterator[None]:
    """The connection is cut five times a second."""
    with repeatedly(rig.wire.cut, 0.2):
        yield


def _away(name: str, does: str, inflict: Inflict, log: str, **more: Any) -> Fault:
    """A fault with which Redis takes nothing."""
    says = log.partition("|")[0]
    plain: dict[str, Any] = {
        "consumer": "nothing for as long; then all of it, in order",
        "operator": f"`Redis at … {says} …`, once; then `Redis takes events again`",
        "worker": "goes on watching, lets events wait on disk, tries every 5 s at the latest",
        "alert": "MaskwatchRedisDown",
        "metric": UP,
        "cap_s": CAP_S,
        "spares": CAMERAS,
    }
    return Fault(name, "redis", does, inflict, log=log, **(plain | more))


REDIS_FAULTS: tuple[Fault, ...] = (
    _away("redis_killed", "Redis is killed, and started again", killed, GONE),
    _away("redis_frozen", "Redis hangs", frozen, "did not answer within", shows_after_s=HANGS_S),
    _away(
        "redis_paused",
        "Redis holds writes back (`CLIENT PAUSE`)",
        told(("CLIENT", "PAUSE", 600_000, "WRITE"), ("CLIENT", "UNPAUSE")),
        "did not answer within",
        shows_after_s=HANGS_S,
    ),
    _away(
        "redis_full",
        "Redis is out of memory",
        told(("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        "is out of memory",
    ),
    _away(
        "redis_replica",
        "Redis turns into a replica, which takes no writes",
        told(("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        "is a read-only replica",
    ),
    _away(
        "redis_password",
        "Redis wants a password",
        configured("requirepass", "another one", ""),
        "asks for a password",
    ),
    _away(
        "redis_forbidden",
        "Redis forbids the worker to write",
        told(("ACL", "SETUSER", "default", "-xadd"), ("ACL", "SETUSER", "default", "+@all")),
        "forbids this user",
    ),
    _away(
        "redis_loading",
        "Redis comes back, and has much to load",
        loading,
        f"is still loading its data|{GONE}",
        shows_after_s=HANGS_S,
    ),
    Fault(
        name="redis_failover",
        part="redis",
        does="a replica takes over, and later the first one again",
        inflict=failed_over,
        consumer="all of it, in order, at whichever is the primary",
        operator="one line that the connection was closed; then `Redis takes events again`",
        worker="connects anew, by name, after every fault",
        alert="MaskwatchRedisDown",
        cap_s=CAP_S,
        spares=CAMERAS,
        shows_after_s=NEVER_S,
    ),
    _away("redis_cut", "connections to Redis are reset", wired(refuse=True), GONE),
    _away(
        "redis_flapping",
        "the connection to Redis is reset every 0.2 s",
        flapping,
        GONE,
        consumer="everything, some of it late",
        metric=None,
        shows_after_s=NEVER_S,  # what is cut while idle is made anew without a word
    ),
    _away(
        "redis_silent",
        "the network to Redis swallows everything",
        wired(silent=True),
        "did not answer within",
        shows_after_s=HANGS_S,
    ),
    _away(
        "redis_deaf",
        "what is written arrives at Redis, and the answers are lost",
        wired(deaf=True),
        f"{GONE}|did not answer",
        consumer="each event once, where Redis runs the worker's script; else some again",
    ),
    _away(
        "redis_half_closed",
        "Redis closes its side of the connection",
        wired(half_closed=True),
        f"{GONE}|did not answer",
    ),
    _away(
        "redis_slow",
        "the network to Redis passes 400 bytes a second",
        wired(bytes_per_s=400),
        "did not answer within",
        shows_after_s=6.0,
    ),
    Fault(
        name="redis_late",
        part="redis",
        does="each answer of Redis takes 0.3 s more",
        inflict=wired(delay_s=0.15),
        consumer="everything, 0.3 s late",
        operator="`maskwatch_event_latency_seconds` rises",
        worker="sends more at a time",
        alert="MaskwatchLatencyHigh",
        cap_s=CAP_S,
        spares=CAMERAS,
        shows_after_s=NEVER_S,
    ),
    Fault(
        name="redis_wrong_type",
        part="redis",
        does="the key of a camera holds no stream",
        inflict=wrong_type,
        consumer="a hole in `seq` of that camera, and `loss` with its range: `rejected`",
        operator="`the key … holds something else`, once",
        worker="gives up the events of that key alone, and goes on with all others",
        alert="MaskwatchEventsLost",
        log="holds something else",
        metric=Metric(('maskwatch_events_lost_total{reason="rejected",type="frame"}',), "rises"),
        event={"schema": "maskwatch.loss/1", "camera_id": "tape", "reason": "rejected"},
        loses="rejected",
        cap_s=CAP_S,
        spares=CAMERAS,
        cells=RUNNING,
    ),
    Fault(
        name="redis_scripts_flushed",
        part="redis",
        does="Redis forgets its scripts (`SCRIPT FLUSH`)",
        inflict=told(("SCRIPT", "FLUSH"), ("PING",)),
        consumer="nothing",
        operator="nothing",
        worker="loads its script again",
        cap_s=CAP_S,
        spares=CAMERAS,
    ),
    Fault(
        name="redis_scripts_forbidden",
        part="redis",
        does="Redis forbids scripts",
        inflict=told(
            ("ACL", "SETUSER", "default", "-@scripting"), ("ACL", "SETUSER", "default", "+@all")
        ),
        consumer="everything; after a doubtful connection some of it again",
        operator="`… does not let this user run scripts …`, once",
        worker="appends without the script that keeps repetitions out",
        log="does not let this user run scripts",
        shows_after_s=NEVER_S,  # told once a life
        cap_s=CAP_S,
        spares=CAMERAS,
    ),
)
