"""The live stream: each document is made once, whoever and however many look, and never for nobody.

A page holds one stream (server-sent events). There are few streams in all; who comes too late is
told to ask now and then instead.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from worker.web.view import View

TICK_S = 1.0
"""How often the state is told."""

HOURS_S = 15.0
"""How often the last hour is told; it changes by the minute."""

MAX_STREAMS = 64
"""Streams at once. A page that is not in view holds none."""

PATIENCE_S = 15.0
"""A viewer that takes nothing for so long is let go."""


class Once:
    """Documents that are made at most once in a while, for all who ask meanwhile.

    For one event loop; bounded by the keys that its users ask for.
    """

    def __init__(self, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._kept: dict[Hashable, tuple[float, bytes]] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> bytes:
        """The JSON of what ``make`` gives, or gave a moment ago."""
        now_s = self._clock()
        made_s, document = self._kept.get(key, (0.0, b""))
        if not document or now_s - made_s >= self._keep_s:
            document = json.dumps(make(), separators=(",", ":")).encode()
            self._kept[key] = now_s, document
        return document


class LiveHub:
    """Tells the state of the worker to every stream, once a tick, while there is any."""

    def __init__(
        self, view: View, *, tick_s: float = TICK_S, max_streams: int = MAX_STREAMS
    ) -> None:
        self._view = view
        self._tick_s = tick_s
        self._max_streams = max_streams
        self._once = Once(tick_s / 2)
        self._hours = Once(HOURS_S)
        self._streams = 0
        self._closed = False
        self._news = asyncio.Condition()
        self._told = 0
        self._message = b""
        self._ticker: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return self._streams

    @property
    def full(self) -> bool:
        """True where no further stream is let in."""
        return self._streams >= self._max_streams

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places for as long as a stream lasts."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    def state(self) -> bytes:
        """The state as JSON; the same for all who ask within half a tick."""
        return self._once.get("state", self._view.state)

    def hours(self) -> bytes:
        """The last hour as JSON."""
        return self._hours.get("hours", self._view.hours)

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """Messages from now on, until the hub closes; a slow reader misses what is old."""
        self._loop = asyncio.get_running_loop()
        if self._ticker is None or self._ticker.done():
            self._ticker = self._loop.create_task(self._tick())
        hours, told = self.hours(), self._told
        yield _message("state", self.state()) + _message("hours", hours)
        while not self._closed:
            async with self._news:
                while self._told == told:
                    await self._news.wait()
            if self._closed:
                return
            told, known, hours = self._told, hours, self.hours()
            yield self._message + (b"" if hours is known else _message("hours", hours))

    def close(self) -> None:
        """End all streams, from any thread. Idempotent."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._tell()))

    async def _tick(self) -> None:
        """Make the message once a tick while anybody listens."""
        while self._streams and not self._closed:
            await asyncio.sleep(self._tick_s)
            if self._streams:
                self._message = _message("state", self.state())
                await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._told += 1
            self._news.notify_all()


class EventStream(Response):
    """Server-sent events to one viewer, until it goes, stalls, or the hub closes."""

    media_type = "text/event-stream"

    def __init__(self, hub: LiveHub, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send message after message."""
        with self._hub.place():
            await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            async with aclosing(self._hub.follow()) as messages:
                async for message in messages:
                    if gone.done():
                        return
                    body = {"type": "http.response.body", "body": message, "more_body": True}
                    await asyncio.wait_for(send(body), PATIENCE_S)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # the server closes what was not completed
        finally:
            gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _message(kind: str, document: bytes) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + document + b"\n\n"
