"""Where something moved since the view was last looked at, and so where to look."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from worker.records import Box, Image, Tiling

WHOLE_LOOK_S = 1.0
"""While something moves, the whole view is looked at this often: by so much later is a face found
that no motion gave away."""

WHOLE_EACH = 5
"""And at least each so many looks: a file may be decoded faster than it was recorded."""

MOTION_ROOM = 0.04
"""Room around what moved, of the view's width: a face may keep stiller than its hair."""

LESS_ROOM = 0.5
"""Room around what moved, of what a small face needs: it is rarely the face alone that moves."""

WORTH_SHARE = 0.7
"""Parts that cover more of the view than this are not worth the cutting."""

LARGE_FACE = 0.5
"""Size from which a face is found again with less room, as a share of the room of a small one."""

LARGE_ROOM = 0.75
"""That less room, as a share of the room of a small one."""

OWN_ROOM = 0.25
"""Room that any known face has at least, as a share of its size: so that none counts as cut off."""

MAX_PARTS = 32
"""Places that moved, and faces; with more the whole is looked at."""


class Trail:
    """What changed in one camera's view, on the grid of its thinned-out luma."""

    def __init__(self) -> None:
        self._trail: Image | None = None
        self._size = (0, 0)
        self._whole_at_s = -math.inf
        self._looks = 0

    def add(self, changed: Image) -> None:
        """Take up where a frame differs from the one that was last looked at.

        What differed before that one need not be looked at again: a face that was found there is
        known, and the same pixels show no other.

        Args:
            changed: ``uint8 (h, w)``, 255 where it does. Points with fewer than two neighbours do
                not count; where there are no others, the whole is looked at next.
        """
        beside = cv2.boxFilter(changed & 1, -1, (3, 3), normalize=False)
        newest = np.where(beside >= 3, changed, 0).astype(np.uint8)
        if not newest.any():
            self.forget()
            return
        self._trail = newest

    def forget(self) -> None:
        """Look at the whole next."""
        self._trail = None
        self._whole_at_s = -math.inf

    def parts(
        self,
        area: Box,
        size: tuple[int, int],
        faces: Sequence[Box],
        tiling: Tiling | None,
        now_s: float,
    ) -> list[Box]:
        """Disjoint parts of the view with what moved and all known faces; or all of the area.

        Args:
            area: what counts of the view; sides in whole pixels.
            size: width and height of the view, in pixels.
            faces: where known faces are, in pixels. Each lies within one part, as far as it lies
                in the area, with room.
            tiling: how the view may be cut up; None asks for the whole.
            now_s: monotonic clock of the frame.
        """
        self._looks += 1
        if tiling is not None and size == self._size and not self._is_due(now_s):
            parts = self._parts(area, faces, tiling)
            if sum(map(_extent, parts)) < WORTH_SHARE * _extent(area):
                return parts
        self._size, self._whole_at_s, self._looks = size, now_s, 0
        return [area]

    def _is_due(self, now_s: float) -> bool:
        return now_s - self._whole_at_s >= WHOLE_LOOK_S or self._looks >= WHOLE_EACH

    def _parts(self, area: Box, faces: Sequence[Box], tiling: Tiling) -> list[Box]:
        if self._trail is None:
            return [area]
        high, wide = self._trail.shape
        x_px, y_px = self._size[0] / wide, self._size[1] / high
        room = math.ceil(max(MOTION_ROOM * wide, LESS_ROOM * tiling.room_px / x_px))
        spots = cv2.dilate(self._trail, np.ones((2 * room + 1, 2 * room + 1), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(spots)
        if count + len(faces) > MAX_PARTS:
            return [area]
        boxes = [
            Box(x * x_px, y * y_px, (x + w) * x_px, (y + h) * y_px) for x, y, w, h, _ in stats[1:]
        ]
        boxes += [_with_room(face, tiling.room_px) for face in faces]
        parts = (_common(_rounded(box), area) for box in boxes)
        return _joined([part for part in parts if _extent(part) > 0], tiling)


def _joined(parts: list[Box], tiling: Tiling) -> list[Box]:
    """Parts joined until no two overlap, and none costs less together with another."""
    apart: list[Box] = []
    for part in parts:
        whole = part
        while near := next((it for it in apart if _belong_together(whole, it, tiling)), None):
            apart.remove(near)
            whole = _around(whole, near)
        apart.append(whole)
    return apart


def _belong_together(a: Box, b: Box, tiling: Tiling) -> bool:
    apart = _price(a, tiling) + _price(b, tiling)
    return _extent(_common(a, b)) > 0 or _price(_around(a, b), tiling) <= apart


def _price(part: Box, tiling: Tiling) -> float:
    """What looking at a part costs, in pixels."""
    wide = math.ceil((part.x2 - part.x1) / tiling.step_px)
    high = math.ceil((part.y2 - part.y1) / tiling.step_px)
    return wide * high * tiling.step_px**2 + tiling.look_px**2


def _with_room(face: Box, room_px: float) -> Box:
    side = max(face.width, face.height)
    room = LARGE_ROOM * room_px if side >= LARGE_FACE * room_px else room_px
    room = max(room, OWN_ROOM * side)
    return Box(face.x1 - room, face.y1 - room, face.x2 + room, face.y2 + room)


def _around(a: Box, b: Box) -> Box:
    return Box(min(a.x1, b.x1), min(a.y1, b.y1), max(a.x2, b.x2), max(a.y2, b.y2))


def _common(a: Box, b: Box) -> Box:
    x1, y1 = max(a.x1, b.x1), max(a.y1, b.y1)
    return Box(x1, y1, max(x1, min(a.x2, b.x2)), max(y1, min(a.y2, b.y2)))


def _rounded(box: Box) -> Box:
    """Outwards, to whole pixels."""
    x1, y1, x2, y2 = box
    return Box(math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2))


def _extent(box: Box) -> float:
    return box.width * box.height
