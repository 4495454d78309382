"""What a configuration that was read again changes: camera by camera, and what has to wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.config import Settings
from worker.venue import EVERYWHERE

AT_ONCE = frozenset({"defaults", "cameras", "zones"})
"""Sections that are taken over while the worker runs; [defaults] act through the cameras."""

CHECK_ONLY = frozenset({"worker.schemes"})
"""Keys that only the check of a configuration asks for, so the newest ones hold at once."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How a new configuration differs from the one in force.

    Attributes:
        settings: what is in force from now on: the new cameras and zones, all else as before.
        added, removed, changed: ids of cameras; ``changed`` also where only a zone's part did.
        waiting: keys whose new value takes a restart, spelt as in the file.
    """

    settings: Settings
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    waiting: tuple[str, ...]

    def __str__(self) -> str:
        parts = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        told = [f"{word} {', '.join(ids)}" for word, ids in parts if ids]
        return "; ".join(told) or "no camera changed"


def changes_between(now: Settings, new: Settings) -> Changes:
    """What changes from the configuration in force to one that was read again."""
    worker = now.worker.model_copy(update={"schemes": new.worker.schemes})
    settings = now.model_copy(
        update={"worker": worker, **{section: getattr(new, section) for section in AT_ONCE}}
    )
    stay = [camera for camera in new.cameras if camera in now.cameras]
    return Changes(
        settings,
        added=tuple(camera for camera in new.cameras if camera not in now.cameras),
        removed=tuple(camera for camera in now.cameras if camera not in new.cameras),
        changed=tuple(camera for camera in stay if _part(now, camera) != _part(settings, camera)),
        waiting=_waiting(now, new),
    )


def _part(settings: Settings, camera_id: str) -> tuple[Any, ...]:
    """All that one camera's stages are made of; a zone's limit is not, it judges sums."""
    zones = {
        name: (zone.cameras[camera_id], zone.anchor, zone.foot_heights, zone.min_dwell_s)
        for name, zone in settings.zones.items()
        if camera_id in zone.cameras
    }
    told = {*zones, EVERYWHERE}.intersection(settings.violation_zones)
    return settings.cameras[camera_id], zones, told


def _waiting(now: Settings, new: Settings) -> tuple[str, ...]:
    return tuple(
        key
        for section in type(now).model_fields
        if section not in AT_ONCE
        for name in type(getattr(now, section)).model_fields
        if (key := f"{section}.{name}") not in CHECK_ONLY
        and getattr(getattr(now, section), name) != getattr(getattr(new, section), name)
    )
