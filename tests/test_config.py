"""What the sections derive from what was set."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from worker.config import (
    MAX_CAMERAS,
    Camera,
    CameraDefaults,
    Http,
    Redis,
    Settings,
    Worker,
)
from worker.section import PATTERN_MEANS


@pytest.mark.parametrize(
    ("url", "scheme", "live"),
    [
        ("rtsp://cam/x", "rtsp", True),
        ("RTSPS://cam/x", "rtsps", True),
        ("http://cam/mjpeg", "http", True),
        ("/dev/video0", "device", True),
        ("demo:hall", "demo", True),
        ("clips/a.mp4", "file", False),
        ("file:///clips/a.mp4", "file", False),
    ],
)
def test_a_camera_knows_its_kind(url: str, scheme: str, live: bool) -> None:
    """The scheme, and whether frames may be skipped."""
    camera = Camera(url=url)
    assert (camera.scheme, camera.live) == (scheme, live)


def test_a_file_that_plays_in_real_time_is_live() -> None:
    """As a camera, it does not wait."""
    assert Camera(url="a.mp4", realtime=True).live


def test_a_camera_has_two_addresses() -> None:
    """One for the decoder, one for everybody."""
    camera = Camera(url="rtsp://cam/x", username="admin", password="hunter2")
    assert camera.secret_url() == "rtsp://admin:hunter2@cam/x"
    assert camera.address == "rtsp://cam/x"


def test_a_password_file_is_read_when_the_section_is_made(tmp_path: Path) -> None:
    """The file may go away afterwards."""
    (tmp_path / "secret").write_text("hunter2\n")
    redis = Redis(password_file=tmp_path / "secret")
    (tmp_path / "secret").unlink()
    assert redis.secret_url() == "redis://:hunter2@127.0.0.1:6379/0"


def test_a_token_file_opens_the_page_to_others(tmp_path: Path) -> None:
    """A token from a file is as good as one that is written down."""
    (tmp_path / "token").write_text("hunter2\n")
    http = Http(host="0.0.0.0", token_file=tmp_path / "token")
    assert http.token is not None
    assert http.token.get_secret_value() == "hunter2"
    assert not http.loopback


def test_defaults_that_are_a_section_already_are_inherited_too() -> None:
    """Code may hand over sections in place of tables."""
    settings = Settings.model_validate(
        {"defaults": CameraDefaults(analyse_fps=2), "cameras": {"hall": {"url": "rtsp://cam/x"}}}
    )
    assert settings.cameras["hall"].analyse_fps == 2


def test_a_worker_is_named_after_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an id may not hold becomes a dash."""
    monkeypatch.setattr(socket, "gethostname", lambda: "Hall.Server 1.")
    assert Worker().identity == "hall-server-1"
    assert Worker(worker_id="w1").identity == "w1"


def test_settings_do_not_change() -> None:
    """Frozen, so that threads may share them."""
    with pytest.raises(ValidationError, match="frozen"):
        Http().port = 1


def test_more_cameras_than_one_worker_takes_are_refused() -> None:
    """The remedy is another worker."""
    cameras = {f"c{n}": {"url": "rtsp://cam/x"} for n in range(MAX_CAMERAS + 1)}
    with pytest.raises(ValidationError, match=f"one worker takes {MAX_CAMERAS}"):
        Settings.model_validate({"cameras": cameras})


def test_every_pattern_has_words() -> None:
    """A fault says what a pattern means and never shows the pattern."""
    assert "pattern" in str(Settings.model_json_schema())
    patterns = _patterns(Settings.model_json_schema())
    assert patterns <= set(PATTERN_MEANS)


def _patterns(schema: object) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_patterns, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
    return own.union(*map(_patterns, schema.values()), schema.get("patternProperties", {}))
