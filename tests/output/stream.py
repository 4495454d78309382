"""A stream that is written by hand, event by event, so that it can have any fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import Any

import redis
from output.rig import FACE, MODEL, frame_of

from worker.output.consume import AsyncConsumer, Consumer, Delivery, Notice
from worker.output.embedded import RedisServer
from worker.output.event import Event, EventMaker

RUN = "1ngaxyz00000"
LATER_RUN = "1ngbxyz00000"


class Stream:
    """Makes events and writes those it is told to."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._makers: dict[str, EventMaker] = {}

    def maker(self, run: str = RUN) -> EventMaker:
        if run not in self._makers:
            self._makers[run] = EventMaker(
                worker_id="lobby", run_id=run, model=MODEL, sink=lambda _event: None
            )
        return self._makers[run]

    def frames(self, n: int = 1, camera_id: str = "hall", run: str = RUN) -> list[Event]:
        """Make and write frame events."""
        made = self.made(n, camera_id, run)
        for event in made:
            self.write(event)
        return made

    def made(self, n: int = 1, camera_id: str = "hall", run: str = RUN) -> list[Event]:
        """Make frame events that are not written: the worker lost them."""
        return [self.maker(run).frame(frame_of(camera_id), [FACE], "ran") for _ in range(n)]

    def write(self, event: Event) -> None:
        key = f"frames:{event.camera_id}" if event.stream == "frames" else event.stream
        self.raw(key, {"type": event.type, "event": event.document})

    def raw(self, key: str, fields: dict[str, Any]) -> None:
        self.client.xadd(f"maskwatch:{key}", fields)

    def pending(self, key: str = "frames:hall", group: str = "door") -> int:
        summary: Any = self.client.xpending(f"maskwatch:{key}", group)
        return int(summary["pending"])


def read_all(
    server: RedisServer,
    *,
    kind: str = "sync",
    ack: bool = True,
    limit: int | None = None,
    **options: Any,
) -> tuple[list[Delivery], list[Notice]]:
    """Everything that a consumer gets until it is quiet, or until it had ``limit`` events."""
    notices: list[Notice] = []
    options = {
        "group": "door",
        "name": "a",
        "start": "oldest",
        "stop_when_idle_s": 0.15,
        "timeout_s": 0.4,
        "on_notice": notices.append,
        **options,
    }
    got: list[Delivery] = []

    def take(delivery: Delivery) -> bool:
        got.append(delivery)
        if ack:
            delivery.ack()
        return len(got) == limit

    async def read() -> None:
        async with AsyncConsumer(server.url, **options) as consumer:
            async for delivery in consumer:
                if take(delivery):
                    break

    if kind == "async":
        asyncio.run(read())
    else:
        with Consumer(server.url, **options) as consumer:
            for delivery in consumer:
                if take(delivery):
                    break
    return got, notices


def seqs(deliveries: list[Delivery]) -> list[int]:
    return [delivery.event.seq for delivery in deliveries]


def carry(client: redis.Redis, talk: Generator[Any, Any, Any]) -> Any:
    """Carry the commands of a talk to Redis."""
    try:
        command = next(talk)
        while True:
            command = talk.send(client.execute_command(*command))
    except StopIteration as end:
        return end.value


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_s = time.monotonic()

    def __call__(self) -> float:
        return self.now_s


Make = Callable[..., Any]
