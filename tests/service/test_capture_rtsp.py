"""Capture against a real RTSP server."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from capture.clips import make_clip
from capture.watch import watching
from service.rtsp_server import RtspServer, require_rtsp_server, rtsp_server

USER, PASSWORD = "viewer", "p@ss:w/%ö"
PERIOD = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    """Two cameras behind a password: H.264 and H.265, 25 fps."""
    require_rtsp_server()
    folder = tmp_path_factory.mktemp("clips")
    clips = {
        "entrance": make_clip(folder / "entrance.mp4"),
        "hall": make_clip(folder / "hall.mp4", codec="libx265"),
    }
    with rtsp_server(clips, USER, PASSWORD) as running:
        yield running


def gaps(numbers: list[int]) -> set[int]:
    """Steps from frame to frame in the looped clip."""
    return {(b - a) % PERIOD for a, b in itertools.pairwise(numbers)}


def test_two_cameras_with_a_password(server: RtspServer) -> None:
    """Over TCP both come at once, every fifth frame of each."""
    login = {"username": USER, "password": PASSWORD}
    with (
        watching(url=server.url("entrance"), **login) as entrance,
        watching(url=server.url("hall"), **login) as hall,
    ):
        for watch in (entrance, hall):
            watch.until(lambda watch=watch: len(watch.numbers) >= 8)  # type: ignore[misc]
    for watch in (entrance, hall):
        assert watch.states == ["connecting", "up"]
        assert gaps(watch.numbers) == {5}


def test_udp(server: RtspServer) -> None:
    """The same over UDP, with the password in the address."""
    with watching(url=server.secret_url("entrance"), rtsp_transport="udp") as watch:
        watch.until(lambda: len(watch.numbers) >= 5)
    assert watch.states == ["connecting", "up"]
    # Datagrams may be lost even here.
    assert 5 in gaps(watch.numbers)


def test_keyframes_only(server: RtspServer) -> None:
    """Of a live stream, too, only keyframes are decoded."""
    url = server.secret_url("entrance")
    with watching(url=url, keyframes_only=True, analyse_fps=25) as watch:
        watch.until(lambda: len(watch.numbers) >= 2)
    assert set(watch.numbers) <= {0, 25}


@pytest.mark.parametrize(
    ("path", "password", "reason"),
    [
        ("entrance", "hunter2", "unauthorised"),
        ("entrance", None, "unauthorised"),
        ("nowhere", PASSWORD, "not_found"),
    ],
    ids=["wrong password", "no password", "wrong path"],
)
def test_refusals(
    server: RtspServer,
    caplog: pytest.LogCaptureFixture,
    path: str,
    password: str | None,
    reason: str,
) -> None:
    """What the server refuses has its reason, and the password shows nowhere."""
    login = {"username": USER, "password": password} if password else {}
    with caplog.at_level(logging.DEBUG), watching(url=server.url(path), **login) as watch:
        watch.until(lambda: len(watch.statuses) == 2)
    assert watch.states == ["connecting", f"down: {reason}"]
    shown = caplog.text + repr(watch.statuses)
    assert server.url(path) in shown
    for secret in ("hunter2", PASSWORD, "p%40ss"):
        assert secret not in shown


def test_a_server_that_dies_and_comes_back(tmp_path: Path) -> None:
    """The camera goes down with a reason, and is up again by itself."""
    require_rtsp_server()
    clip = make_clip(tmp_path / "clip.mp4")
    with rtsp_server({"live": clip}) as server, watching(url=server.url("live")) as watch:
        watch.until(lambda: bool(watch.numbers))
        server.kill()
        watch.until(lambda: watch.states[-1].startswith("down"))
        watch.until(lambda: watch.states[-1] == "down: refused")
        server.start()
        watch.until(lambda: watch.states[-1] == "up")
        seen = len(watch.numbers)
        watch.until(lambda: len(watch.numbers) > seen + 2)
    assert watch.states == ["connecting", "up", "down: ended", "down: refused", "up"]


def test_a_camera_that_comes_back_with_another_codec(tmp_path: Path) -> None:
    """Codec and size are read anew at each connection."""
    require_rtsp_server()
    before = make_clip(tmp_path / "before.mp4", size=(320, 180))
    after = make_clip(tmp_path / "after.mp4", codec="libx265", size=(640, 360))
    with contextlib.ExitStack() as first:
        server = first.enter_context(rtsp_server({"live": before}))
        with watching(url=server.url("live")) as watch:
            watch.until(lambda: bool(watch.numbers))
            first.close()
            with rtsp_server({"live": after}, port=server.port):
                watch.until(lambda: watch.frames[-1].picture.width == 640)
    assert watch.frames[0].picture.bgr().shape == (180, 320, 3)
    assert watch.frames[-1].picture.bgr().shape == (360, 640, 3)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_that_freezes(tmp_path: Path, transport: str) -> None:
    """A stream that stops with its connection open is down within the time-out."""
    require_rtsp_server()
    clip = make_clip(tmp_path / "clip.mp4")
    with (
        rtsp_server({"live": clip}) as server,
        watching(
            url=server.url("live"),
            rtsp_transport=transport,
            read_timeout_s=1,
            open_timeout_s=5,
        ) as watch,
    ):
        watch.until(lambda: bool(watch.numbers))
        server.freeze()
        frozen_s = time.monotonic()
        watch.until(lambda: watch.states[-1].startswith("down"))
        assert watch.states[-1] == "down: stalled"
        assert time.monotonic() - frozen_s < 10
        server.thaw()
        watch.until(lambda: watch.states[-1] == "up")


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_never_answers(scheme: str) -> None:
    """A camera that accepts and is silent is a time-out, not a thread that hangs."""
    with _listener() as port:
        url = f"{scheme}://127.0.0.1:{port}/live"
        with watching(url=url, open_timeout_s=0.5, read_timeout_s=5) as watch:
            watch.until(lambda: len(watch.statuses) == 2)
    assert watch.states == ["connecting", "down: timeout"]


@contextlib.contextmanager
def _listener() -> Iterator[int]:
    """The port of somebody who takes calls and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def test_a_camera_that_changes_its_picture_while_it_sends(tmp_path: Path) -> None:
    """Size, profile and keyframe interval change within one connection, again and again."""
    require_rtsp_server()
    small = make_clip(tmp_path / "small.ts", seconds=1, profile="baseline")
    large = make_clip(
        tmp_path / "large.ts",
        seconds=1,
        size=(640, 360),
        profile="high",
        gop=5,
        start_s=1,
    )
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())

    def widths() -> list[int]:
        seen = (frame.picture.width for frame in watch.frames)
        return [width for width, _ in itertools.groupby(seen)]

    with rtsp_server({"live": both}) as server, watching(url=server.url("live")) as watch:
        watch.until(lambda: len(widths()) >= 4)
    assert set(widths()) == {320, 640}
    assert watch.states == ["connecting", "up"]
