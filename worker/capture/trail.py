"""Where something moved since all of the view was last looked at, and so where to look."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from worker.records import Box, Image

WHOLE_LOOK_S = 1.0
"""While something moves, the whole view is looked at this often: by so much later is a face found
that no motion gave away."""

WHOLE_EACH = 5
"""And at least each so many looks: a file may be decoded faster than it was recorded."""

MOTION_ROOM = 0.04
"""Room around what moved, of the view's width: a face may keep stiller than its hair."""

LESS_ROOM = 2 / 3
"""Room around what moved, of what a face needs: its outline is rarely that of the face alone."""

WORTH_SHARE = 0.7
"""Parts that cover more of the view than this are not worth the cutting."""

LOOK_SHARE = 0.05
"""What a look costs however small its part is, as a share of what the whole view costs. Two parts
become one where that is no dearer."""

MAX_PARTS = 32
"""Places that moved, and faces; with more the whole is looked at."""


class Trail:
    """What changed in one camera's view, on the grid of its thinned-out luma."""

    def __init__(self) -> None:
        self._newest: Image | None = None
        self._trail: Image | None = None
        self._size = (0, 0)
        self._whole_at_s = -math.inf
        self._looks = 0

    def add(self, changed: Image) -> None:
        """Take up where a frame differs from the one that was last looked at.

        Args:
            changed: ``uint8 (h, w)``, 255 where it does. Points with fewer than two neighbours do
                not count; where there are no others, the whole is looked at next.
        """
        beside = cv2.boxFilter(changed & 1, -1, (3, 3), normalize=False)
        newest = np.where(beside >= 3, changed, 0).astype(np.uint8)
        if not newest.any():
            self.forget()
            return
        self._newest = newest
        self._trail = newest if self._trail is None else newest | self._trail

    def forget(self) -> None:
        """Look at the whole next."""
        self._newest = self._trail = None
        self._whole_at_s = -math.inf

    def parts(
        self,
        area: Box,
        size: tuple[int, int],
        faces: Sequence[Box],
        room_px: float | None,
        now_s: float,
    ) -> list[Box]:
        """Disjoint parts of the view with what moved and all known faces; or all of the area.

        Args:
            area: what counts of the view; sides in whole pixels.
            size: width and height of the view, in pixels.
            faces: where known faces are, in pixels. Each lies within one part, as far as it lies
                in the area, with room of its own size or more.
            room_px: that a small face needs around it; None asks for the whole.
            now_s: monotonic clock of the frame.
        """
        self._looks += 1
        if room_px is not None and size == self._size and not self._is_due(now_s):
            parts = self._parts(area, faces, room_px)
            if sum(map(_extent, parts)) < WORTH_SHARE * _extent(area):
                return parts
        self._size, self._whole_at_s, self._looks = size, now_s, 0
        self._trail = self._newest
        return [area]

    def _is_due(self, now_s: float) -> bool:
        return now_s - self._whole_at_s >= WHOLE_LOOK_S or self._looks >= WHOLE_EACH

    def _parts(self, area: Box, faces: Sequence[Box], room_px: float) -> list[Box]:
        if self._trail is None:
            return [area]
        high, wide = self._trail.shape
        x_px, y_px = self._size[0] / wide, self._size[1] / high
        room = math.ceil(max(MOTION_ROOM * wide, LESS_ROOM * room_px / x_px))
        spots = cv2.dilate(self._trail, np.ones((2 * room + 1, 2 * room + 1), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(spots)
        if count + len(faces) > MAX_PARTS:
            return [area]
        boxes = [
            Box(x * x_px, y * y_px, (x + w) * x_px, (y + h) * y_px) for x, y, w, h, _ in stats[1:]
        ]
        boxes += [_with_room(face, max(room_px, face.width, face.height)) for face in faces]
        parts = (_common(_rounded(box), area) for box in boxes)
        return _joined([part for part in parts if _extent(part) > 0], LOOK_SHARE * _extent(area))


def _joined(parts: list[Box], price: float) -> list[Box]:
    """Parts joined until no two overlap, and none costs less together with another.

    Args:
        parts: any.
        price: of a look, in pixels.
    """
    apart: list[Box] = []
    for part in parts:
        whole = part
        while near := [other for other in apart if _belong_together(whole, other, price)]:
            apart.remove(near[0])
            whole = _around(whole, near[0])
        apart.append(whole)
    return apart


def _belong_together(a: Box, b: Box, price: float) -> bool:
    apart = _extent(a) + _extent(b) + price
    return _extent(_common(a, b)) > 0 or _extent(_around(a, b)) <= apart


def _with_room(face: Box, room: float) -> Box:
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
