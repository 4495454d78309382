"""In which zones is each face of a camera, and has it been there for long enough to count?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.records import Box, Track
from worker.venue import EVERYWHERE, XY, Zone

LINGER_S = 1.0
"""Time outside a zone after which a person has left it; boxes tremble at its border."""

Inside = Mapping[int, frozenset[str]]
"""By the number of a track: the zones in which it counts now."""


def anchor_of(box: Box, width: int, height: int, zone: Zone) -> XY:
    """The point of a face that decides on its zone, as shares of width and height.

    The foot point is an estimate, as no body is detected: under the centre of the face's box by
    ``foot_heights`` times its height. A point outside the picture is moved to its edge.
    """
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    if zone.anchor == "foot":
        y += zone.foot_heights * box.height
    return min(max(x / width, 0.0), 1.0), min(max(y / height, 0.0), 1.0)


@dataclass(slots=True)
class _Stay:
    """A track in a zone: since when, since when outside again if it is, and whether it counts."""

    entered_s: float
    outside_s: float | None = None
    counts: bool = False


class Zones:
    """The zones of one camera, and who is in them.

    A person counts in a zone once it was in there for ``min_dwell_s``; absences of less than
    ``LINGER_S`` don't matter, before or after. In the built-in zone over everything it counts
    from its track's confirmation. A track that is not seen for a while stays where it was.

    Args:
        camera_id: whose zones.
        zones: all that are configured; those that don't name this camera are left out.
    """

    def __init__(self, camera_id: str, zones: Mapping[str, Zone]) -> None:
        self._zones: dict[str, tuple[Zone, NDArray[np.float32]]] = {
            name: (zone, np.array(zone.cameras[camera_id], np.float32))
            for name, zone in zones.items()
            if camera_id in zone.cameras
        }
        self._stays: dict[tuple[int, str], _Stay] = {}

    def locate(self, tracks: Sequence[Track], size: tuple[int, int], now_s: float) -> Inside:
        """The zones in which each confirmed track counts at this frame.

        Args:
            tracks: those of the frame.
            size: width and height of the frame, in pixels.
            now_s: monotonic clock of the frame.
        """
        return {
            track.number: frozenset((EVERYWHERE, *self._around(track, size, now_s)))
            for track in tracks
            if track.confirmed
        }

    def forget(self, numbers: Iterable[int]) -> None:
        """Drop what is known of tracks that ended."""
        gone = set(numbers)
        for key in [key for key in self._stays if key[0] in gone]:
            del self._stays[key]

    def _around(self, track: Track, size: tuple[int, int], now_s: float) -> Iterator[str]:
        """The configured zones in which a track counts."""
        for name, (zone, polygon) in self._zones.items():
            point = anchor_of(track.box, *size, zone)
            inside = cv2.pointPolygonTest(polygon, point, measureDist=False) >= 0
            if self._stays_in((track.number, name), zone.min_dwell_s, inside, now_s):
                yield name

    def _stays_in(
        self, key: tuple[int, str], min_dwell_s: float, inside: bool, now_s: float
    ) -> bool:
        stay = self._stays.get(key)
        if inside:
            if stay is None:
                stay = self._stays[key] = _Stay(now_s)
            stay.outside_s = None
            stay.counts = stay.counts or now_s - stay.entered_s >= min_dwell_s
        elif stay is not None:
            if stay.outside_s is None:
                stay.outside_s = now_s
            if now_s - stay.outside_s >= LINGER_S:
                del self._stays[key]
                return False
        return stay is not None and stay.counts
