"""The sections of the process itself: who it is, where its state lies, what it may keep there."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from worker.errors import ConfigError
from worker.section import Name, Seconds, Section

Scheme = Literal["rtsp", "rtsps", "http", "https", "file", "device", "demo"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


class Worker(Section):
    """The process itself."""

    worker_id: Name | None = Field(None, description="Default: the host's name.")
    state_dir: Path | None = Field(
        None,
        description="Folder of this worker alone, for what must outlive it; default: "
        "`$STATE_DIRECTORY`, which systemd sets, else `~/.local/state/maskwatch/WORKER_ID`.",
    )
    stop_timeout_s: Seconds = Field(10.0, description="Longest ordered stop.")
    schemes: list[Scheme] = Field(
        ["rtsp", "rtsps", "http", "https", "file", "device"],
        description="Kinds of sources that cameras may name.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level of what is logged."
    )
    reload: Literal["signal", "file"] = Field(
        "signal",
        description="When the configuration is read again: on SIGHUP, or with `file` also when "
        "its content has changed.",
    )

    @property
    def identity(self) -> str:
        """The id in events: as set, else made of the host's name."""
        if self.worker_id:
            return self.worker_id
        cleaned = re.sub(r"[^a-z0-9_-]+", "-", socket.gethostname().lower()).strip("-_")
        return cleaned[:63] or "worker"

    @property
    def state_folder(self) -> Path:
        """Where the state lies: as set, else as systemd or the desktop's standard has it.

        Raises:
            ConfigError: none of them says.
        """
        if self.state_dir:
            return self.state_dir
        if given := os.environ.get("STATE_DIRECTORY"):
            return Path(given.split(":")[0])  # systemd lists several where the unit names several
        if home := os.environ.get("XDG_STATE_HOME"):
            return Path(home) / "maskwatch" / self.identity
        try:
            return Path.home() / ".local/state/maskwatch" / self.identity
        except RuntimeError:
            raise ConfigError(
                "worker.state_dir: this user has no home; name a folder for the worker's state"
            ) from None


class Spool(Section):
    """What waits on disk while Redis is away."""

    max_mb: Annotated[int, Field(ge=32, le=1_000_000)] = Field(
        512, description="Most disk space that it takes, in units of 1,000,000 bytes."
    )
    replay_per_s: Annotated[float, Field(ge=10, le=1_000_000)] = Field(
        2_000.0,
        description="Events a second that are sent afterwards, on top of those that come anew.",
    )
