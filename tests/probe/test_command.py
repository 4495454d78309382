"""`maskwatch probe` on what needs no server: usage, files, a whole configuration."""

from __future__ import annotations

import json
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from capture.clips import make_clip

from worker import cli
from worker.probe.picture import pixelated
from worker.records import Box

Probe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Probe:
    """Run it: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["maskwatch", "probe", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two cameras: one shows nobody, one is not there."""
    make_clip(tmp_path / "hall.mp4", seconds=1.0)
    path = tmp_path / "maskwatch.toml"
    tables = [f'[cameras.{name}]\nurl = "{tmp_path}/{name}.mp4"\n' for name in ("hall", "door")]
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name either a URL or --config FILE"),
        (["rtsp://192.0.2.1/x", "--config", "x.toml"], "name either a URL or --config FILE"),
        (["rtsp://192.0.2.1/x", "--camera", "hall"], "--camera goes with --config"),
        (["ftp://viewer:hunter2@192.0.2.1/x"], "ftp://192.0.2.1/x: the scheme 'ftp' is not known"),
        (["rtsp://viewer:hun[ter2@192.0.2.1/x"], "the address cannot be read"),
        (
            ["rtsp://192.0.2.1/x", "--username", "a", "--password-file", "/nowhere"],
            "/nowhere cannot be read",
        ),
    ],
)
def test_wrong_usage(probe: Probe, arguments: list[str], sentence: str) -> None:
    """What is wrong with the command line is a sentence and 2, and holds no password."""
    code, out, err = probe(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "ter2" not in err


def test_unknown_camera(probe: Probe, config: Path) -> None:
    """A camera that the configuration does not have is told, with those that it has."""
    code, _, err = probe("--config", config, "--camera", "hell")
    assert code == 2
    assert "there are hall, door" in err


def test_whole_configuration(probe: Probe, config: Path) -> None:
    """Each camera has its report, and one that cannot be opened stops no other."""
    code, out, _ = probe("--config", config, "--seconds", 2, "--json")
    hall, door = map(json.loads, out.splitlines())
    assert code == 1
    assert (hall["camera"], hall["verdict"]) == ("hall", "unproven")
    assert (door["camera"], door["error"]["reason"]) == ("door", "not_found")


def test_report_for_people(probe: Probe, config: Path) -> None:
    """What was measured, the verdict, and what to do."""
    code, out, _ = probe("--config", config, "--camera", "hall", "--seconds", 2)
    assert code == 1
    assert "h264" in out
    assert "320x180, over file" in out
    assert "none in " in out
    assert "not shown that this view can do the job" in out


def test_no_video(probe: Probe, tmp_path: Path) -> None:
    """A source without pictures is told as such."""
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(16_000))
    code, out, _ = probe(path)
    assert code == 1
    assert "unsupported: " in out
    assert "has no video in it" in out


def test_picture_that_cannot_be_written(probe: Probe, config: Path, tmp_path: Path) -> None:
    """A name without the ending of a picture is told, with 1."""
    options = ("--camera", "hall", "--seconds", 2, "--picture", tmp_path / "view.mp5")
    code, _, err = probe("--config", config, *options)
    assert code == 1
    assert "ends in .jpg or .png" in err


def test_mosaic_covers_what_was_not_found() -> None:
    """No detail of a picture survives, whether a face was found there or not."""
    image = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    covered = pixelated(image, [Box(100, 100, 220, 260)])
    assert covered.shape == image.shape
    stone = cv2.resize(covered[105:115, 105:115], (1, 1))
    assert np.abs(covered[105:110, 105:110].astype(int) - stone).max() == 0
    assert np.unique(covered[:10, :10].reshape(-1, 3), axis=0).shape[0] == 1
