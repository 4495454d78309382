"""The configuration while the worker runs: when it is read again, and what comes of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from worker.config import Settings
from worker.config_changes import Changes, changes_between
from worker.config_file import MAX_FILE_BYTES
from worker.errors import ConfigError
from worker.metrics import Metrics

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often the file is looked at."""


class Reload:
    """The configuration of a running worker, to be read again.

    A file counts as changed once its content differs and it has rested for one look, so that
    half of what an editor writes is not taken for the whole. A file that is missing for a while
    has not changed; secret files are not looked at, only read with the rest.

    Args:
        read: reads and checks the whole configuration.
        path: its file.
    """

    def __init__(self, read: Callable[[], Settings], path: Path) -> None:
        self.read = read
        self._path = path
        self._requested = False
        self._looked_s = 0.0
        self._stamp = self._taken = self._stat()
        self._digest = self._content()

    def request(self) -> None:
        """Have it read at the next look. Takes no lock, so a signal handler may call it."""
        self._requested = True

    def due(self, now_s: float, *, watch: bool) -> bool:
        """True where it is to be read now; call it every second or oftener.

        Args:
            now_s: monotonic clock.
            watch: look at the file as well.
        """
        if self._requested:
            self._requested = False
            self._stamp = self._taken = self._stat()
            self._digest = self._content()
            return True
        if not watch or now_s - self._looked_s < POLL_S:
            return False
        self._looked_s = now_s
        return self._has_changed()

    def _has_changed(self) -> bool:
        before, self._stamp = self._stamp, self._stat()
        if self._stamp is None or self._stamp == self._taken or self._stamp != before:
            return False
        digest = self._content()
        if digest is None:
            return False
        self._taken = self._stamp
        changed, self._digest = digest != self._digest, digest
        return changed

    def _stat(self) -> tuple[int, int, int] | None:
        """What changes with the file: also with a link that is turned to another one."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _content(self) -> bytes | None:
        try:
            with self._path.open("rb") as file:
                return hashlib.sha256(file.read(MAX_FILE_BYTES + 1)).digest()
        except OSError:
            return None


class LiveConfiguration:
    """The configuration in force.

    Args:
        settings: what the worker started with.
        reload: where to read it again from; none: never.
        metrics: count what comes of it.

    Attributes:
        settings: in force now.
        fault: why what stands in the file is not; empty where it is.
    """

    def __init__(self, settings: Settings, reload: Reload | None, metrics: Metrics) -> None:
        self.settings = settings
        self.fault = ""
        self._reload = reload
        self._metrics = metrics

    def poll(self, now_s: float, prepare: Callable[[Settings], None]) -> Changes | None:
        """What changes now, if anything was read again and is right. Often, on the main thread.

        Args:
            now_s: monotonic clock.
            prepare: gets what the new settings need, and raises ``ConfigError`` if it cannot.
        """
        reload = self._reload
        if reload is None or not reload.due(now_s, watch=self.settings.worker.reload == "file"):
            return None
        try:
            changes = changes_between(self.settings, reload.read())
            prepare(changes.settings)
        except ConfigError as error:
            for fault in str(error).splitlines():
                log.error("configuration refused, nothing changes: %s", fault)  # noqa: TRY400
            self._note("refused", "the one that was read last is refused; the log says why")
            return None
        self.settings = changes.settings
        log.info("configuration read again: %s", changes)
        waiting = ", ".join(changes.waiting)
        if waiting:
            log.warning("a restart is needed for the new value of %s", waiting)
        self._note("applied", f"a restart is needed for {waiting}" if waiting else "")
        self._metrics.config_waiting.set(len(changes.waiting))
        return changes

    def _note(self, result: str, fault: str) -> None:
        self.fault = fault
        self._metrics.config_reloads.labels(result).inc()
        self._metrics.config_in_force.set(result == "applied")
