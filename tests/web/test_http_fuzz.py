"""Whatever somebody asks for, and however: an answer, no traceback, and the next is heard."""

from __future__ import annotations

import asyncio
import logging
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from web.fake_view import FakeView, camera

from worker.config import Http
from worker.log import _is_ours
from worker.web.app import make_app
from worker.web.server import HttpServer

FUZZ = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ANSWERS = {200, 303, 307, 400, 401, 404, 405, 421}
WORDS = ["", "/", "camera", "api", "live", "state", "static", "preview", "hall", "hall.jpg", "..",
         "%2e%2e", "\0", "\ud800", "metrics", "zones", "page.css", "etc/passwd"]  # fmt: skip
PATHS = st.lists(st.sampled_from(WORDS) | st.text(max_size=10), max_size=5).map(
    lambda parts: "/" + "/".join(parts)
)
REQUESTS = PATHS.map(lambda path: f"GET {path} HTTP/1.1\r\n\r\n".encode("utf-8", "replace"))
NAMES = st.sampled_from([b"host", b"cookie", b"accept", b"authorization", b"content-length"])
VALUES = st.binary(max_size=40) | st.sampled_from(
    [b"[", b"[::1", b"127.0.0.1:x", b"a@b:1", b"Bearer ", b"Bearer \xff", b"maskwatch_token=\xff"]
)
QUERIES = st.binary(max_size=40) | st.binary(max_size=20).map(lambda token: b"token=" + token)


class Page:
    """The HTTP side of a worker without a server before it."""

    def __init__(self, **http: Any) -> None:
        self._app = make_app(FakeView(camera("hall")), Http(**http))
        self._runner = asyncio.Runner()

    def ask(self, scope: dict[str, Any]) -> list[dict[str, Any]]:
        """The messages that a server would have to send; the viewer hangs up at once."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        self._runner.run(self._app({"type": "http", "scheme": "http", **scope}, receive, send))
        return sent

    def close(self) -> None:
        self._runner.close()


@pytest.fixture(scope="module", params=[None, "a long secret"])
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    made = Page(token=request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def closed_page() -> Iterator[Page]:
    made = Page(host="0.0.0.0", token="a long secret")
    yield made
    made.close()


@FUZZ
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "TRACE", "\xff"]),
    path=PATHS,
    query=QUERIES,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=4),
)
@example(method="GET", path="/", query=b"", headers=[(b"host", b"[")])
@example(method="GET", path="/", query=b"", headers=[(b"host", b"127.0.0.1"), (b"host", b"[")])
@example(method="GET", path="/camera/\ud800", query=b"", headers=[(b"host", b"127.0.0.1")])
@example(method="GET", path="/", query=b"token=%ff%fe", headers=[(b"host", b"127.0.0.1")])
def test_any_request_gets_an_answer(
    page: Page, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """With every guard header, and without a word of what went on inside."""
    scope = {
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 9_464),
    }
    sent = page.ask(scope)
    start = sent[0]
    assert start["status"] in ANSWERS
    assert (b"x-content-type-options", b"nosniff") in start["headers"]
    assert b"Traceback" not in b"".join(message.get("body", b"") for message in sent)


@FUZZ
@given(
    path=st.sampled_from(["/", "/api/state", "/api/live", "/camera/hall", "/preview/hall.jpg"]),
    given_token=st.binary(max_size=12),
    where=st.sampled_from(["query", "bearer", "cookie"]),
)
def test_no_other_token_opens_the_page(
    closed_page: Page, path: str, given_token: bytes, where: str
) -> None:
    """Whatever it is made of, and wherever it stands."""
    headers = [(b"host", b"192.0.2.1")]
    if where == "bearer":
        headers.append((b"authorization", b"Bearer " + given_token))
    elif where == "cookie":
        headers.append((b"cookie", b"maskwatch_token=" + given_token))
    scope = {
        "method": "GET",
        "path": path,
        "query_string": b"token=" + given_token if where == "query" else b"",
        "headers": headers,
        "server": ("192.0.2.1", 9_464),
    }
    assert closed_page.ask(scope)[0]["status"] in {400, 401}


@settings(parent=FUZZ, max_examples=40)
@given(raw=st.binary(max_size=300) | REQUESTS)
@example(raw=b"GET / HTTP/9.9\r\n\r\n")
@example(raw=b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n")
@example(raw=b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n")
@example(raw=b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n")
@example(raw=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
def test_any_bytes_leave_the_server_alive(
    server: HttpServer, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    """Half a request, none at all, far too much: the next one is answered."""
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as caller:
        try:
            caller.sendall(raw)
            caller.shutdown(socket.SHUT_WR)
            while caller.recv(65_536):
                pass
        except OSError:
            pass  # it hung up on us, as it may
    with urllib.request.urlopen(f"{server.address}/healthz", timeout=5) as answer:
        assert answer.read() == b"alive\n"
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record for record in faults if _is_ours(record)] == []


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    made = HttpServer(FakeView(camera("hall")), Http(port=0))
    made.start()
    yield made
    made.stop()
