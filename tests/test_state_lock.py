"""A state folder has one worker, and the next one knows which came before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from worker.errors import ConfigError
from worker.state_lock import KEPT_RUNS, StateLock


def test_a_second_worker_is_refused(tmp_path: Path) -> None:
    """It is told who has the folder, and what to do."""
    folder = tmp_path / "state" / "hall"
    lock = StateLock(folder, "one")
    with pytest.raises(ConfigError, match=rf"{folder} is in use .*\(process {os.getpid()}\)"):
        StateLock(folder, "two")
    lock.release()
    assert StateLock(folder, "three").former == ["one"]


def test_the_folder_is_for_this_user_alone(tmp_path: Path) -> None:
    """What lies in it tells who was where."""
    folder = tmp_path / "state"
    lock = StateLock(folder, "one")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "lock").stat().st_mode & 0o777 == 0o600
    lock.release()


def test_the_last_runs_are_remembered(tmp_path: Path) -> None:
    """As many as matter, the newest last."""
    runs = [f"run{n:09d}" for n in range(KEPT_RUNS + 5)]
    for run in runs:
        StateLock(tmp_path, run).release()
    lock = StateLock(tmp_path, "last")
    assert lock.former == runs[-KEPT_RUNS:]
    lock.release()


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    """However it died; and what it leaves names its run."""
    code = (
        "import sys, time; from pathlib import Path; from worker.state_lock import StateLock\n"
        "lock = StateLock(Path(sys.argv[1]), 'killed'); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(ConfigError, match=f"process {child.pid}"):
        StateLock(tmp_path, "next")
    child.send_signal(signal.SIGKILL)
    child.communicate()
    lock = StateLock(tmp_path, "next")
    assert lock.former == ["killed"]
    lock.release()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """As a fault of the configuration."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"worker.state_dir: .* cannot be written to"):
        StateLock(tmp_path / "file" / "state", "one")
