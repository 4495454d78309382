"""The HTTP side, asked as a browser and a scraper would."""

from __future__ import annotations

import contextlib
import logging
import socket
import urllib.request
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import ArrayPicture, noise, track
from starlette.testclient import TestClient
from web.browser import serving
from web.fake_view import FakeView, camera, face

from worker.config import Http
from worker.errors import ConfigError
from worker.records import Decision, Face
from worker.web.app import STATIC, make_app
from worker.web.preview import preview
from worker.web.server import TICK_S, HttpServer
from worker.web.view import Look, Part


def view(*parts: Part) -> FakeView:
    """A worker with a camera that has seen somebody, and one that has not."""
    worker = FakeView(camera("hall"), camera("attic", "down", "refused"), parts=parts)
    worker.looks["hall"] = Look(1.0, ArrayPicture(noise(640, 360)), [face(1, "with_mask", 40)])
    return worker


def client(worker: FakeView | None = None, **http: Any) -> TestClient:
    app = make_app(worker or view(), Http(**http))
    return TestClient(app, base_url="http://127.0.0.1:9464")


def test_metrics_health_and_readiness() -> None:
    """A scraper and a supervisor get their answers."""
    asked = client()
    assert asked.get("/metrics").text == "maskwatch_camera_up 1\n"
    assert asked.get("/healthz").status_code == 200
    assert asked.get("/readyz").json()["state"] == "ready"


def test_degraded_is_ready_and_names_the_part() -> None:
    """A worker whose Redis is away does its work: 200, and the part is named."""
    answer = client(view(Part("model", "ok"), Part("redis", "degraded", "3 events wait"))).get(
        "/readyz"
    )
    assert answer.status_code == 200
    assert answer.json()["state"] == "degraded"
    assert answer.json()["parts"]["redis"]["detail"] == "3 events wait"


def test_dead_stage_is_not_ready() -> None:
    """A worker with a dead stage is taken out of service."""
    answer = client(view(Part("stages", "failed", "device"))).get("/readyz")
    assert (answer.status_code, answer.json()["state"]) == (503, "failed")


def test_stuck_worker_is_not_alive() -> None:
    """When the main loop no longer turns, the health check fails."""
    worker = view()
    worker.turning = False
    assert client(worker).get("/healthz").status_code == 503


def test_page_and_its_parts_come_from_here() -> None:
    """The page asks for nothing from elsewhere, and everything it asks for is there."""
    asked = client()
    for path in ("/", "/camera/hall"):
        assert "http" not in asked.get(path).text
    for name in STATIC:
        assert asked.get(f"/static/{name}").status_code == 200


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "shell.html", "%2e%2e/app.py"])
def test_nothing_else_is_served(name: str) -> None:
    """No path leads out of the list of files."""
    assert client().get(f"/static/{name}").status_code == 404


def test_security_headers_are_always_there() -> None:
    """Every answer forbids foreign content, framing and caching."""
    for path in ("/", "/metrics", "/nothing"):
        headers = client().get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def test_token_is_asked_for_and_then_remembered() -> None:
    """Without the token there is no page; with it once, the browser keeps it."""
    asked = client(token="s3cret")
    assert asked.get("/").status_code == 401
    assert asked.get("/api/state", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert asked.get("/?token=s3cret").status_code == 200
    assert asked.get("/api/state").status_code == 200


def test_token_leaves_the_address_for_a_cookie_that_scripts_cannot_read() -> None:
    """The answer to /?token=… leads to the same page without it."""
    answer = client(token="s3cret").get("/zones?token=s3cret&a=b", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/zones?a=b")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize("host", ["x/metrics?", "x/static/?", "x/healthz#"])
def test_a_host_opens_no_door(host: str) -> None:
    """Whatever a caller writes into Host, the path that is served is the one that is guarded."""
    answer = client(token="s3cret").get("/api/state", headers={"Host": host})
    assert answer.status_code in {400, 401}


def test_a_proxy_s_own_login_leaves_the_cookie_alone() -> None:
    """Its header is of another scheme; ours may be written in any case."""
    asked = client(token="s3cret")
    assert asked.get("/?token=s3cret").status_code == 200
    assert asked.get("/api/state", headers={"Authorization": "Basic dTpw"}).status_code == 200
    fresh = client(token="s3cret")
    assert fresh.get("/api/state", headers={"Authorization": "bearer s3cret"}).status_code == 200
    assert fresh.get("/api/state", headers={"Authorization": "s3cret"}).status_code == 401


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or for half of something; one that asked, and one that listens on, are not."""
    monkeypatch.setattr("worker.web.server.ASK_S", 0.4)
    server = HttpServer(view(), Http(port=0))
    server.start()
    place = ("127.0.0.1", int(server.address.rpartition(":")[2]))
    try:
        with (
            socket.create_connection(place, 5) as silent,
            socket.create_connection(place, 5) as half,
            socket.create_connection(place, 5) as live,
        ):
            half.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
            live.sendall(b"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert live.recv(4_096).startswith(b"HTTP/1.1 200")
            assert silent.recv(1) == b""
            assert half.recv(1) == b""
            live.settimeout(1.0)
            with contextlib.suppress(TimeoutError):
                while chunk := live.recv(4_096):
                    assert chunk
                pytest.fail("the live stream was closed")
    finally:
        server.stop()


def test_browser_without_the_token_gets_a_form() -> None:
    """People are asked for it; nothing of the worker shows."""
    answer = client(token="s3cret").get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert '<input name="token" type="password"' in answer.text
    assert "hall" not in answer.text


def test_tokens_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the right one nor a wrong one."""
    caplog.set_level(logging.DEBUG)
    with serving(view(), token="s3cret") as server:
        for token in ("s3cret", "wr0ng"):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{server.address}/?token={token}", timeout=10).close()
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text


def test_page_without_a_token_answers_to_this_machine_s_names_only() -> None:
    """A foreign page that gives its own name our address reads nothing."""
    app = make_app(view(), Http())
    foreign = TestClient(app, base_url="http://rebound.example")
    assert foreign.get("/api/state").status_code == 421
    assert foreign.get("/metrics").status_code == 200
    assert TestClient(app, base_url="http://localhost:1").get("/api/state").status_code == 200


def test_camera_that_is_not_there() -> None:
    """Page, document and picture of an unknown camera are a sentence, and nothing is kept."""
    for path in ("/camera/nowhere", "/api/camera/nowhere", "/preview/nowhere.jpg"):
        answer = client().get(path)
        assert answer.status_code == 404
        assert answer.text.endswith("\n")


def test_requests_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where too many ask, the next one hears when to come again; health does not."""
    monkeypatch.setattr("worker.web.guard.MAX_REQUESTS", 0)
    answer = client().get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert client().get("/healthz").status_code == 200


def test_machines_need_no_token_and_see_no_one() -> None:
    """Metrics and health stay open; previews do not."""
    asked = client(token="s3cret")
    assert asked.get("/metrics").status_code == 200
    assert asked.get("/preview/hall.jpg").status_code == 401


def test_preview_of_a_camera() -> None:
    """A camera that has seen something has a picture, another has none."""
    answer = client().get("/preview/hall.jpg")
    picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (360, 640, 3)
    assert client().get("/preview/nowhere.jpg").status_code == 404


def test_pixelated_preview_keeps_no_detail() -> None:
    """Inside a stone of the mosaic all pixels are one colour, on a face and beside it."""
    jpeg = preview(noise(640, 360), [], "pixelated")
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    stone = picture[202:208, 302:308]
    assert np.ptp(stone.reshape(-1, 3), axis=0).max() < 30


def test_source_frame_is_not_drawn_on() -> None:
    """The frame belongs to the pipeline: a preview leaves it as it is."""
    image = noise(640, 360)
    before = image.copy()
    preview(image, [Face(track(), Decision("unknown", 0.0, "blurred"), None)], "clear")
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("tick_s", [TICK_S, 3600.0])
def test_server_answers_and_stops(tick_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real server answers on the port it was given, and gives it back.

    Also where it turns by the hour: an end that nothing wakes it for would find it alive.
    """
    monkeypatch.setattr("worker.web.server.TICK_S", tick_s)
    server = HttpServer(view(), Http(port=0))
    server.start()
    with urllib.request.urlopen(f"{server.address}/healthz", timeout=10) as answer:
        assert answer.read() == b"alive\n"
    server.stop()
    assert not server.alive()


def test_port_in_use_is_a_sentence() -> None:
    """A port that somebody has is named, with the remedy."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"{port} cannot be listened on .* set http.port"):
            HttpServer(view(), Http(port=port))


def test_page_for_others_needs_a_token() -> None:
    """A page that others can reach must have a token."""
    with pytest.raises(ValueError, match="needs a token"):
        Http(host="0.0.0.0")
