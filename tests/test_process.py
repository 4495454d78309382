"""Where a worker keeps its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import ConfigError
from worker.process import Worker


def test_the_state_lies_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration wins over whatever the environment says."""
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/maskwatch")
    assert Worker(state_dir=Path("/srv/state")).state_folder == Path("/srv/state")


def test_systemd_says_where_the_state_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first folder counts where a unit names several."""
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/maskwatch:/var/lib/other")
    assert Worker().state_folder == Path("/var/lib/maskwatch")


def test_each_worker_of_a_user_has_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its id, below the folder that the desktop's standard names."""
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    assert Worker(worker_id="hall").state_folder == Path("/home/me/state/maskwatch/hall")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert Worker(worker_id="hall").state_folder == Path("/home/me/.local/state/maskwatch/hall")


def test_a_user_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as anybody."""
    monkeypatch.delenv("XDG_STATE_HOME")

    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigError, match=r"worker\.state_dir: this user has no home"):
        _ = Worker().state_folder
