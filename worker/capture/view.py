"""Does the picture still tell something? Frozen and covered views, from the thinned-out luma."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.records import Image

T = TypeVar("T", np.uint8, np.uint16)
Doubt = Literal["frozen", "covered"]

THIN_PX = 160
"""Width to which the luma is thinned out, or up to twice as much; a person of 60 px in 1280 keeps
7 of them."""

FEW_PICTURES = 2
"""A stream that only shows so many pictures stands still: an encoder that gets one picture over
and over sends it in two shapes, that of its keyframes and that of all others."""

CELLS = (16, 9)
"""The view is cut into so many cells, of 80 px in 1280; noise averages out in them."""

TEXTURE_LEVELS = 10
"""Second difference of a cell to its four neighbours from which it has texture. Sensor noise of
5 levels gives it to one cell in a hundred, a smooth shade to none."""

TEXTURED_SHARE = 0.03
"""Share of cells with texture below which nothing is to be seen. Of 675 pictures of people the
least has 0.44; darkened to a fifth, 0.09, to a tenth, 0.04. The uppermost and the lowest row are
left out, since cameras write their name and the time there."""


class ViewWatch:
    """Watches over the view of one live camera, frame by frame.

    *Frozen*: no new picture for ``frozen_after_s``, not one bit (but see ``FEW_PICTURES``). A
    still view before a real sensor is not frozen: its noise changes bits, with the next keyframe at
    the latest. *Covered*: black, white or without texture for ``covered_after_s``. Both end with
    the first frame that says otherwise.

    Costs 35 µs a look, 0.02 % of a core at five a second.

    Args:
        frozen_after_s: 0 to not look for it.
        covered_after_s: the same.

    Attributes:
        doubt: what is wrong with the view; ``covered`` where both are.
    """

    def __init__(self, *, frozen_after_s: float, covered_after_s: float) -> None:
        self.doubt: Doubt | None = None
        self._frozen_after_s = frozen_after_s
        self._covered_after_s = covered_after_s
        self._pictures: deque[int] = deque(maxlen=FEW_PICTURES)
        self._still_since_s = 0.0
        self._blank_since_s: float | None = None

    @property
    def since_s(self) -> float:
        """Monotonic time of the last picture that was new, or of the first that was covered."""
        if self.doubt == "covered" and self._blank_since_s is not None:
            return self._blank_since_s
        return self._still_since_s

    def look(self, thin: Callable[[], Image], now_s: float) -> Doubt | None:
        """Take up the next frame, and say what is in doubt.

        Args:
            thin: gives the luma, thinned out to a few hundred points a line, ``uint8 (h, w)``,
                contiguous; asked only where something is looked for.
            now_s: monotonic clock of the frame.
        """
        if not self._frozen_after_s and not self._covered_after_s:
            return None
        picture = thin()
        frozen = self._frozen_after_s > 0 and self._stands(picture, now_s)
        covered = self._covered_after_s > 0 and self._tells_nothing(picture, now_s)
        self.doubt = "covered" if covered else "frozen" if frozen else None
        return self.doubt

    def _stands(self, picture: Image, now_s: float) -> bool:
        digest = zlib.crc32(picture.data)
        if digest not in self._pictures:
            self._pictures.append(digest)
            self._still_since_s = now_s
        return now_s - self._still_since_s >= self._frozen_after_s

    def _tells_nothing(self, picture: Image, now_s: float) -> bool:
        if has_texture(picture):
            self._blank_since_s = None
            return False
        if self._blank_since_s is None:
            self._blank_since_s = now_s
        return now_s - self._blank_since_s >= self._covered_after_s


def has_texture(picture: Image) -> bool:
    """True where something stands out from what is around it.

    Args:
        picture: luma, ``uint8 (h, w)``, of any size.
    """
    cells = cv2.resize(picture, CELLS, interpolation=cv2.INTER_AREA)[1:-1]
    edges = cv2.convertScaleAbs(cv2.Laplacian(cells, cv2.CV_16S))
    return int(np.count_nonzero(edges >= TEXTURE_LEVELS)) > TEXTURED_SHARE * edges.size


def thinned(luma: NDArray[T]) -> NDArray[T]:
    """Every n-th point of every n-th line, 160 to 319 wide, contiguous; the same if it is so."""
    step = max(1, luma.shape[1] // THIN_PX)
    return np.ascontiguousarray(luma[step // 2 :: step, step // 2 :: step])
