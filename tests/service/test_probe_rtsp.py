"""The probe against a real RTSP server: a good view, and views with one defect each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from capture.clips import make_clip as make_numbered
from service.rtsp_server import RtspServer, require_rtsp_server, rtsp_server

from worker import cli
from worker.capture.demo import Scene
from worker.evaluation.clip import make_clip
from worker.records import Image

USER, PASSWORD = "viewer", "p@ss:w/%ö"
SIZE = (960, 540)
SECONDS = 2.0


class View:
    """The scene of the synthetic camera, seen otherwise."""

    def __init__(self, change: Callable[[Image], Image]) -> None:
        self._scene = Scene(*SIZE, 25, 6, 7)
        self._change = change

    def render(self, index: int) -> Image:
        """Frame ``index``."""
        return self._change(self._scene.render(index))


def far_away(image: Image) -> Image:
    small = cv2.resize(image, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    top, left = (SIZE[1] - small.shape[0]) // 2, (SIZE[0] - small.shape[1]) // 2
    sides = (top, SIZE[1] - small.shape[0] - top, left, SIZE[0] - small.shape[1] - left)
    return np.asarray(cv2.copyMakeBorder(small, *sides, cv2.BORDER_REPLICATE), np.uint8)


def blurred(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 8), np.uint8)


def dark(image: Image) -> Image:
    return (image * 0.12).astype(np.uint8)


VIEWS: dict[str, Callable[[Image], Image]] = {
    "good": lambda image: image,
    "tiny": far_away,
    "blurred": blurred,
    "dark": dark,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    """A camera for each view, behind a password."""
    require_rtsp_server()
    folder = tmp_path_factory.mktemp("views")
    clips = {
        name: make_clip(folder / f"{name}.mp4", View(change), SECONDS)
        for name, change in VIEWS.items()
    }
    clips["empty"] = make_numbered(folder / "empty.mp4")
    clips["slow"] = make_numbered(folder / "slow.mp4", fps=2, seconds=4, gop=4)
    clips["sparse"] = make_numbered(folder / "sparse.mp4", seconds=6, gop=300)
    with rtsp_server(clips, USER, PASSWORD) as running:
        yield running


@pytest.fixture
def probe(
    server: RtspServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, Any]]:
    """`maskwatch probe` on a path of the server: exit code and JSON; no secret is ever shown."""

    def run(path: str, *options: object, password: str = PASSWORD) -> tuple[int, Any]:
        secret = tmp_path / "secret"
        secret.write_text(password, encoding="utf-8")
        login = ("--username", USER, "--password-file", secret, "--json")
        arguments = ["maskwatch", "probe", server.url(path), *login, "--seconds", 2.5, *options]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        for hidden in (password, "p%40ss", USER):
            assert hidden not in out + err
        return int(ended.value.code or 0), json.loads(out)

    return run


def topics(report: Any) -> list[tuple[str, str]]:
    return [(finding["kind"], finding["topic"]) for finding in report["findings"]]


def test_a_good_view(probe: Callable[..., tuple[int, Any]], tmp_path: Path) -> None:
    """Everything is measured, nothing is wrong, and the picture shows the faces in mosaic."""
    path = tmp_path / "view.jpg"
    code, report = probe("good", "--picture", path)
    assert (code, report["verdict"]) == (0, "can")
    stream, seen = report["stream"], report["faces"]
    assert (stream["codec"], stream["width"], stream["height"]) == ("h264", *SIZE)
    assert stream["transport"] == "tcp"
    assert stream["fps"] == pytest.approx(25, rel=0.2)
    assert stream["first_frame_s"] > 0
    assert stream["bit_rate"] > 100_000
    assert seen["seen"] >= 10
    assert sum(bar["faces"] for bar in seen["histogram"]) == seen["seen"]
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape == (SIZE[1], SIZE[0], 3)


@pytest.mark.parametrize(
    ("path", "kind", "topic"),
    [
        ("tiny", "fault", "too_small"),
        ("blurred", "fault", "blurred"),
        ("dark", "fault", "dark"),
        ("empty", "doubt", "no_faces"),
        ("slow", "fault", "frame_rate"),
    ],
)
def test_a_view_with_a_defect(
    probe: Callable[..., tuple[int, Any]], path: str, kind: str, topic: str
) -> None:
    """The defect is named, and the exit code says that something has to change."""
    code, report = probe(path)
    assert code == 1
    assert (kind, topic) in topics(report)


def test_keyframes_that_are_rare(probe: Callable[..., tuple[int, Any]]) -> None:
    """A keyframe interval beyond what was watched is told as a bound."""
    _, report = probe("sparse", "--seconds", 5)
    assert ("advice", "keyframes") in topics(report)
    assert report["stream"]["keyframe_s"] > 4


def test_udp(probe: Callable[..., tuple[int, Any]]) -> None:
    """The same camera over UDP."""
    _, report = probe("empty", "--udp")
    assert report["stream"]["transport"] == "udp"


@pytest.mark.parametrize(
    ("path", "password", "reason"),
    [("good", "hunter2", "unauthorised"), ("nowhere", PASSWORD, "not_found")],
)
def test_what_cannot_be_opened(
    probe: Callable[..., tuple[int, Any]], path: str, password: str, reason: str
) -> None:
    """The reason's word, one sentence, and 1."""
    code, report = probe(path, password=password)
    assert (code, report["verdict"]) == (1, "cannot")
    assert report["error"]["reason"] == reason
    assert topics(report) == [("fault", reason)]
