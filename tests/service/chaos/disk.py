"""A small file system for the worker's state, of its own, so that it can be filled."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import tempfile
from pathlib import Path

SIZE_MB = 96


@functools.cache
def may_mount() -> bool:
    """True where this process may mount a file system: as root, and not in every container."""
    with tempfile.TemporaryDirectory(prefix="maskwatch-chaos-") as name:
        disk = Disk(Path(name) / "disk")
        disk.close()
        return disk.own


class Disk:
    """A file system in memory where one may be mounted, else a folder like any other.

    Attributes:
        own: it is one, and may be filled.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0700", "chaos", folder]
        self.own = os.geteuid() == 0 and not _run(*words)

    def fill(self) -> None:
        """Leave no byte.

        Raises:
            RuntimeError: it is not its own, so others would have none either.
        """
        if not self.own:
            raise RuntimeError("only a file system of its own is filled, and none may be mounted")
        with contextlib.suppress(OSError), (self.folder / "ballast").open("wb", 0) as ballast:
            while True:
                ballast.write(b"\0" * 4096)

    def clear(self) -> None:
        """Give the room back."""
        (self.folder / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount."""
        if self.own:
            _run("umount", "-l", self.folder)


def _run(*words: str | Path) -> int:
    return subprocess.run(words, check=False, capture_output=True).returncode
