"""Passwords in addresses: put in where they are needed, taken out where they are seen."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from worker.credentials import public_address, read_secret, scrub, with_credentials


@pytest.mark.parametrize(
    ("url", "username", "password", "expected"),
    [
        ("rtsp://cam/x?a=1", None, None, "rtsp://cam/x?a=1"),
        ("rtsp://cam:554/x", "u", "p", "rtsp://u:p@cam:554/x"),
        ("rtsp://cam/x", "u@v", "p:/?#[]@", "rtsp://u%40v:p%3A%2F%3F%23%5B%5D%40@cam/x"),
        ("rtsp://old:older@cam/x", "u", "p", "rtsp://u:p@cam/x"),
        ("rtsp://admin@cam/x", None, "p", "rtsp://admin:p@cam/x"),
        ("rtsp://cam/x", "u", None, "rtsp://u@cam/x"),
        ("redis://host:6379/0", None, "p", "redis://:p@host:6379/0"),
        ("rtsp://[::1]:554/x", "u", "p", "rtsp://u:p@[::1]:554/x"),
    ],
)
def test_user_and_password_go_into_the_address(
    url: str, username: str | None, password: str | None, expected: str
) -> None:
    """Odd characters are quoted; what the address held before gives way."""
    assert with_credentials(url, username, password) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://u:p@cam:554/x?token=t#f", "rtsp://cam:554/x"),
        ("rtsp://u:p@q@cam/x", "rtsp://cam/x"),
        ("rtsp://cam/user=a&password=secret&channel=1", "rtsp://cam/user=a&password=***&channel=1"),
        ("/dev/video0", "/dev/video0"),
        ("demo:hall", "demo:hall"),
        ("clips/a.mp4", "clips/a.mp4"),
    ],
)
def test_an_address_may_be_seen_without_its_secrets(url: str, expected: str) -> None:
    """User, password, query and fragment are gone, the rest stays."""
    assert public_address(url) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open rtsp://u:p@cam/x failed", "open rtsp://***@cam/x failed"),
        ("'rtsp://u:p@q/r@cam/x'", "'rtsp://***@cam/x'"),
        ("redis://:p@h and rtsp://a:b@c", "redis://***@h and rtsp://***@c"),
        ("a mail to x@y.org, see http://y.org/z", "a mail to x@y.org, see http://y.org/z"),
        ("GET /?token=abc&x=1 200", "GET /?token=***&x=1 200"),
        ("nothing to hide: 5 @ 3", "nothing to hide: 5 @ 3"),
    ],
)
def test_scrubbing_takes_user_and_password_out_of_any_text(text: str, expected: str) -> None:
    """Every address in a text, and nothing else."""
    assert scrub(text) == expected


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    """Editors and ``echo`` end a file with a newline."""
    (tmp_path / "secret").write_text("  hunter2\n")
    assert read_secret(tmp_path / "secret") == "hunter2"


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b" \n", "is empty; write the secret into it"), (b"\xff", "is not UTF-8 text; write it anew")],
)
def test_a_useless_secret_file_is_told(tmp_path: Path, content: bytes, expected: str) -> None:
    """Empty, or no text."""
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="secret") as caught:
        read_secret(path)
    assert str(caught.value) == f"the secret file {path} {expected}"


def test_a_pipe_is_no_secret_file(tmp_path: Path) -> None:
    """Reading one would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="it is no regular file"):
        read_secret(tmp_path / "pipe")


def test_a_secret_file_without_the_right_to_read_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's word for it is in the sentence."""
    (tmp_path / "secret").write_text("hunter2")
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(ValueError, match="cannot be read: Permission denied"):
        read_secret(tmp_path / "secret")
