"""One worker a state folder: a lock that dies with its process, however that dies."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from worker.errors import ConfigError

FILE = "lock"
KEPT_RUNS = 20
"""Runs that the file remembers; a run that never reached Redis has no lease to be taken over."""


class StateLock:
    """The lock on a state folder, held until ``release`` or the end of the process.

    The file holds the process that has the lock, then the runs that had it, the newest last.

    Args:
        folder: made where it is missing, for this user alone.
        run_id: the run that holds it from now on.

    Raises:
        ConfigError: another process holds it, or the folder cannot be written to.

    Attributes:
        former: the runs that held it before; all of them are dead.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        path = folder / FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"worker.state_dir: {folder} cannot be written to ({error.strerror}); give this "
                "user the right to, or name another folder"
            ) from error
        self.release = weakref.finalize(self, os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(handle, 64).decode(errors="replace").partition("\n")[0]
            self.release()
            raise ConfigError(
                f"worker.state_dir: {folder} is in use by another worker (process {pid or '?'}); "
                "stop that one, or give this one a worker.state_dir of its own"
            ) from None
        self.former = os.read(handle, 4_096).decode(errors="replace").split()[1:][-KEPT_RUNS:]
        self._note(handle, run_id)

    def _note(self, handle: int, run_id: str) -> None:
        """Write down who holds it; a disk that is full forgets that, and nothing else."""
        lines = [str(os.getpid()), *self.former, run_id]
        try:
            os.pwrite(handle, "\n".join(lines).encode() + b"\n", 0)
        except OSError:
            return
        os.ftruncate(handle, len("\n".join(lines)) + 1)
