"""When a configuration is read again: on request, or once its file has changed and rests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from worker.reload import POLL_S, Reload


class Rig:
    """A file, and looks at it a second apart."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "maskwatch.toml"
        self._written = 0
        self.write("one")
        self.read: Any = Mock()
        self.reload = Reload(self.read, self.path)
        self._now_s = 100.0

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self._written += 1
        os.utime(self.path, ns=(0, self._written * 1_000_000_000))

    def look(self, *, watch: bool = True) -> bool:
        self._now_s += POLL_S
        return self.reload.due(self._now_s, watch=watch)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_request_is_obeyed_once(rig: Rig) -> None:
    """Whether the file is watched or not."""
    assert not rig.look(watch=False)
    rig.reload.request()
    assert rig.look(watch=False)
    assert not rig.look(watch=False)


def test_a_changed_file_is_read_once_it_rests(rig: Rig) -> None:
    """Not while it may still be written to."""
    rig.write("two")
    assert not rig.look()
    rig.write("three")
    assert not rig.look()
    assert rig.look()
    assert not rig.look()


def test_a_file_that_is_not_watched_may_change(rig: Rig) -> None:
    """It waits for a signal."""
    rig.write("two")
    assert not any(rig.look(watch=False) for _ in range(3))


def test_the_content_decides(rig: Rig) -> None:
    """A file that was only touched has not changed."""
    rig.write("one")
    assert not any(rig.look() for _ in range(3))


def test_a_file_that_is_away_has_not_changed(rig: Rig) -> None:
    """An editor may put another one into its place."""
    rig.path.unlink()
    assert not any(rig.look() for _ in range(3))
    rig.write("two")
    assert [rig.look() for _ in range(3)] == [False, True, False]


def test_what_a_request_read_is_not_read_again(rig: Rig) -> None:
    """A change and a signal for it are one."""
    rig.write("two")
    rig.reload.request()
    assert rig.look()
    assert not any(rig.look() for _ in range(3))


def test_a_link_that_is_turned_is_a_change(rig: Rig, tmp_path: Path) -> None:
    """Kubernetes changes a mounted configuration so."""
    other = tmp_path / "other.toml"
    other.write_text("two")
    os.utime(other, ns=(0, 1_000_000_000))
    rig.path.unlink()
    rig.path.symlink_to(other)
    assert [rig.look() for _ in range(3)] == [False, True, False]
