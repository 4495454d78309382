"""The live stream: made once for all, bounded in number, free when nobody looks."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes import ArrayPicture
from web.browser import serving
from web.fake_view import FakeView, camera, face, scene

from worker.web import guard
from worker.web.live import MAX_STREAMS, LiveHub, Once
from worker.web.preview import Previews
from worker.web.server import HttpServer
from worker.web.view import Look

DEADLINE_S = 20.0


def wait_for(condition: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends_s, "not true in time"
        time.sleep(0.02)


class Stream:
    """One viewer, as a browser would ask."""

    def __init__(self, server: HttpServer, **headers: str) -> None:
        host = server.address.removeprefix("http://")
        self._connection = http.client.HTTPConnection(host, timeout=DEADLINE_S)
        self._connection.request("GET", "/api/live", headers=headers)
        self.answer = self._connection.getresponse()

    def message(self) -> tuple[str, Any]:
        """The next event and its data."""
        kind = self.answer.readline().decode().removeprefix("event: ").strip()
        data = self.answer.readline().decode().removeprefix("data: ")
        assert self.answer.readline() == b"\n"
        return kind, json.loads(data)

    def ended(self) -> bool:
        """True once the server has said all; reads what is left."""
        return self.answer.read() is not None

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


@contextmanager
def viewers(server: HttpServer, count: int) -> Iterator[list[Stream]]:
    opened: list[Stream] = []
    try:
        opened.extend(Stream(server) for _ in range(count))
        yield opened
    finally:
        for stream in opened:
            stream.close()


def test_stream_tells_state_and_hours_then_state_every_second() -> None:
    """What a page needs at once comes at once; the hours only now and then."""
    with serving(FakeView(camera("hall"))) as server, viewers(server, 1) as (stream,):
        assert stream.answer.getheader("content-type", "").startswith("text/event-stream")
        kinds = [stream.message()[0] for _ in range(4)]
        assert kinds == ["state", "hours", "state", "state"]


def test_state_is_made_once_for_all_viewers() -> None:
    """Ten viewers cost as many documents as one."""
    view = FakeView(camera("hall"))
    with serving(view) as server, viewers(server, 10) as streams:
        began_s = time.monotonic()
        for stream in streams:
            for _ in range(4):
                stream.message()
        ticks = time.monotonic() - began_s + 2
        assert view.asked["state"] <= 2 * ticks
        assert view.asked["hours"] == 1


def test_nobody_looks_nothing_is_made() -> None:
    """Once the last viewer is gone, the worker is asked for nothing more."""
    view = FakeView(camera("hall"))
    with serving(view) as server:
        with viewers(server, 2) as streams:
            for stream in streams:
                stream.message()
            hub = server._hub
            assert hub.streams == 2
        wait_for(lambda: hub.streams == 0)
        wait_for(lambda: hub._ticker is not None and hub._ticker.done())
        asked = dict(view.asked)
        assert hub.streams == 0
        assert view.asked == asked


def test_stream_too_many_is_told_when_to_come_again() -> None:
    """Beyond the bound there is a sentence and a time; a place that is given up is free again."""
    with serving(FakeView(camera("hall"))) as server, viewers(server, MAX_STREAMS) as streams:
        late = Stream(server)
        assert late.answer.status == 503
        assert late.answer.getheader("retry-after") == str(guard.RETRY_S)
        assert b"come again in 5 seconds" in late.answer.read()
        late.close()
        streams.pop().close()
        wait_for(lambda: not server._hub.full)
        again = Stream(server)
        assert again.answer.status == 200
        again.close()


def test_hundred_tabs_leave_health_and_metrics_alone() -> None:
    """However many look, supervisor and scraper get their answers."""
    with serving(FakeView(camera("hall"))) as server, viewers(server, 100) as streams:
        assert sum(stream.answer.status == 200 for stream in streams) == MAX_STREAMS
        assert sum(stream.answer.status == 503 for stream in streams) == 100 - MAX_STREAMS
        host = server.address.removeprefix("http://")
        for path in ("/healthz", "/metrics", "/api/state"):
            asked = http.client.HTTPConnection(host, timeout=DEADLINE_S)
            asked.request("GET", path)
            assert asked.getresponse().status == 200
            asked.close()


def test_stop_ends_streams_at_once() -> None:
    """An open page does not hold the worker's end up."""
    with serving(FakeView(camera("hall"))) as server, viewers(server, 3) as streams:
        for stream in streams:
            stream.message()
        server.stop()
        assert not server.alive()
        assert all(stream.ended() for stream in streams)


def test_stalled_viewer_keeps_nothing_waiting() -> None:
    """One that reads nothing does not slow the others down."""
    view = FakeView(*(camera(f"camera-{n}") for n in range(50)))
    with serving(view) as server, viewers(server, 2) as (_, reading):
        kinds = [reading.message()[0] for _ in range(5)]
        assert kinds.count("state") == 4


def test_stream_needs_the_token() -> None:
    """Without it there is no stream, with it there is."""
    with serving(FakeView(camera("hall")), token="s3cret") as server:
        refused = Stream(server)
        assert refused.answer.status == 401
        refused.close()
        let_in = Stream(server, Authorization="Bearer s3cret")
        assert let_in.message()[0] == "state"
        let_in.close()


def test_document_is_kept_for_a_moment_only() -> None:
    """Who asks within the time gets the same bytes; later ones get news."""
    now = [10.0]
    once = Once(1.0, clock=lambda: now[0])
    made = iter(range(9))
    first = once.get("a", lambda: next(made))
    now[0] += 0.9
    assert once.get("a", lambda: next(made)) is first
    now[0] += 0.2
    assert once.get("a", lambda: next(made)) == b"1"


def test_hub_without_viewers_is_closed_quietly() -> None:
    """Closing what nobody ever followed does nothing; twice neither."""
    hub = LiveHub(FakeView())
    hub.close()
    hub.close()


def test_preview_is_encoded_once_for_all_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same look is never encoded twice; the next one is."""
    made = []

    def encode(*_: object) -> bytes:
        made.append(1)
        return b"jpeg"

    monkeypatch.setattr("worker.web.preview.preview", encode)
    monkeypatch.setattr("worker.web.preview.PREVIEW_EVERY_S", 0.0)
    view = FakeView(camera("hall"))
    view.looks["hall"] = Look(1.0, ArrayPicture(scene()), [face(1, "with_mask", 40)])
    with serving(view) as server:
        host = server.address.removeprefix("http://")

        def ask() -> bytes:
            asked = http.client.HTTPConnection(host, timeout=DEADLINE_S)
            asked.request("GET", "/preview/hall.jpg")
            body = asked.getresponse().read()
            asked.close()
            return body

        assert [ask(), ask(), ask()] == [b"jpeg"] * 3
        assert len(made) == 1
        view.looks["hall"] = Look(2.0, ArrayPicture(scene(1)), [])
        ask()
        assert len(made) == 2


def test_preview_is_forgotten_when_nobody_looks_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture does not outlive those who looked at it."""
    monkeypatch.setattr("worker.web.preview.FORGET_S", 0.0)
    view = FakeView(camera("hall"))
    view.looks["hall"] = Look(1.0, ArrayPicture(scene()), [])

    async def look_and_leave() -> Previews:
        previews = Previews(view, "pixelated")
        assert await previews.get("hall")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return previews

    assert asyncio.run(look_and_leave())._kept == {}
