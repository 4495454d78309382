"""Does this frame deserve detection, and where?"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from worker.capture.trail import Trail
from worker.capture.view import thinned
from worker.records import Box, Image, Tiling

CHANGED_LEVELS = 18
"""Change of luma, of 255, that noise and re-encoding rarely reach."""

CHANGED_SHARE = 0.0008
"""Share of the region that has to change: 11 points of a 160 x 90 grid, a head at 30 px."""

SETTLE_FRAMES = 2
"""Frames looked at after the last motion, so that what came to rest gets its track. The last one
is looked at as a whole, before the view is left alone."""


class Motion:
    """The gate before detection, for one camera.

    A frame is compared with the one that was last looked at, not with its predecessor, so
    slow motion adds up until it is seen. Once a pause has lasted ``max_pause_s``, the frame is
    looked at however still it is: a person who stands is not forgotten. Where to look, its trail
    knows: at what moved, at known faces, and at the whole in between.

    Args:
        enabled: with ``False`` every frame is looked at, and all of it.
        max_pause_s: longest time without a look.
        region: polygon in shares of width and height outside which nothing counts.

    Attributes:
        moved: true where something moved in the frame that was asked about last, or where
            there was none to compare it with; always false where motion is not looked for.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        max_pause_s: float = 5.0,
        region: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        self.moved = False
        self._enabled = enabled
        self._max_pause_s = max_pause_s
        self._region = np.array(region, np.float32) if region else None
        self._reference: Image | None = None
        self._trail = Trail()
        self._mask: Image | None = None
        self._looked_at_s = 0.0
        self._settle = 0

    def deserves_look(self, gray: Image, now_s: float) -> bool:
        """True where the frame must be detected on.

        Args:
            gray: luma, ``uint8 (H, W)``, whole or thinned out; a thinned-out copy is kept.
            now_s: monotonic clock of the frame.
        """
        if not self._enabled:
            return True
        thin = thinned(gray)
        reference = self._reference
        if reference is None or reference.shape != thin.shape:
            self._mask = self._rasterised(thin.shape[1], thin.shape[0])
            self._trail.forget()
            self.moved = True
        else:
            self.moved = self._changed(thin, reference)
        if self.moved:
            self._settle = SETTLE_FRAMES
        elif self._settle:
            self._settle -= 1
            if not self._settle:
                self._trail.forget()
        elif now_s - self._looked_at_s < self._max_pause_s:
            return False
        self._reference = thin
        self._looked_at_s = now_s
        return True

    def forget(self) -> None:
        """Whatever comes next is new: nobody watches, or the last look came to nothing."""
        self._reference = None

    def doubt(self) -> None:
        """Look at the whole next, if there is a next look soon: not all was found."""
        self._trail.forget()

    def parts(
        self, width: int, height: int, faces: Sequence[Box], tiling: Tiling | None
    ) -> list[Box]:
        """Where to look in a frame that deserves it; all of the area, or disjoint parts of it.

        Args:
            width: of the frame, in pixels.
            height: of the frame, in pixels.
            faces: where known faces are, in pixels.
            tiling: how the area may be cut up; None asks for all of it.
        """
        area = self.area(width, height)
        if not self._enabled:
            return [area]
        return self._trail.parts(area, (width, height), faces, tiling, self._looked_at_s)

    def area(self, width: int, height: int) -> Box:
        """The part of a ``width x height`` frame that counts: the region's bounding box."""
        if self._region is None:
            return Box(0, 0, width, height)
        x1, y1 = self._region.min(axis=0) * (width, height)
        x2, y2 = self._region.max(axis=0) * (width, height)
        return Box(float(x1 // 1), float(y1 // 1), float(-(-x2 // 1)), float(-(-y2 // 1)))

    def contains(self, box: Box, width: int, height: int) -> bool:
        """True where the box's centre lies in the region."""
        if self._region is None:
            return True
        centre = ((box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height)
        return cv2.pointPolygonTest(self._region, centre, measureDist=False) >= 0

    def _changed(self, thin: Image, reference: Image) -> bool:
        difference = cv2.absdiff(thin, reference)
        _, changed = cv2.threshold(difference, CHANGED_LEVELS, 255, cv2.THRESH_BINARY)
        total = thin.size
        if self._mask is not None:
            cv2.bitwise_and(changed, self._mask, changed)
            total = cv2.countNonZero(self._mask)
        if cv2.countNonZero(changed) <= max(1.0, CHANGED_SHARE * total):
            return False
        self._trail.add(np.asarray(changed, np.uint8))
        return True

    def _rasterised(self, width: int, height: int) -> Image | None:
        if self._region is None:
            return None
        mask = np.zeros((height, width), np.uint8)
        points = np.round(self._region * (width - 1, height - 1)).astype(np.int32)
        cv2.fillPoly(mask, [points], 255)
        return mask
