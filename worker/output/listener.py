"""Who counts what becomes of events."""

from __future__ import annotations

from typing import Protocol

from worker.output.disk.spool_file import FaultReason
from worker.output.event import Event


class PublishListener(Protocol):
    """Who counts. Called from several threads, under locks: must neither block nor call back."""

    def created(self, event: Event) -> None:
        """An event was made and queued."""

    def published(self, event: Event, latency_s: float | None) -> None:
        """Redis has it. ``latency_s`` counts from the capture; None where it had to wait."""

    def lost(self, kind: str, reason: str, count: int) -> None:
        """``count`` events of that type were given up."""

    def broker(self, up: bool, reason: str) -> None:
        """Redis takes events from now on, or takes none, for a bounded reason."""


class SpoolListener(Protocol):
    """Who counts. Called under the backlog's lock: must neither block nor call back."""

    def recovered(self, kind: str, count: int) -> None:
        """So many events of an earlier run were found on disk."""

    def replayed(self, kind: str) -> None:
        """An event was published that had lain on disk."""

    def lost(self, kind: str, reason: str, count: int) -> None:
        """``count`` events of that type were given up."""

    def disk(self, up: bool, reason: FaultReason | None) -> None:
        """The disk takes events from now on, or takes none, for a bounded reason."""
