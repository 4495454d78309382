"""What a camera and a detector do to a face, done at random while training.

Order: the face as it is chosen (drawn or lowered masks), the box as a detector places it, the
crop, then light, lens, resolution, codec and sensor.
"""

from __future__ import annotations

import math
from typing import Annotated

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from training.faces import Faces
from training.synthesis import (
    LOWEST_NOSE,
    NOSE_BRIDGE,
    cut_off,
    lowered,
    with_drawn_mask,
    with_hand_before,
    with_head_before,
    with_printed_mask,
    with_thing_before,
)
from worker.inference.align import CropRule, cut
from worker.records import CLASSES, Box, Image

BARE, MASKED, INCORRECT = range(len(CLASSES))

Share = Annotated[float, Field(ge=0, le=1)]

SHARPEST_PX = 20.0
"""Faces from this width on may lend parts of themselves to others."""


class Augmentation(BaseModel):
    """How often, and how strongly. Shares are probabilities for each crop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detected: Share = Field(0.5, description="Take the detector's box where there is one.")
    shift: float = Field(0.06, ge=0, description="Standard deviation of the box, of its size.")
    shift_px: float = Field(
        0.0, ge=0, description="The same in pixels of the picture, which counts for small faces."
    )
    zoom: float = Field(0.12, ge=0, description="Standard deviation of the log of its size.")
    rotate_deg: float = Field(8.0, ge=0)
    flip: Share = 0.5
    drawn: Share = Field(0.12, description="A bare face gets a drawn mask, worn correctly.")
    printed: Share = Field(0.0, description="A mask gets a print.")
    lowered: Share = Field(0.18, description="A face becomes one of the third class.")
    hidden: Share = Field(
        0.3, description="A bare face is half hidden by a head, a hand, a telephone or a camera."
    )
    cut_off: Share = Field(0.06, description="The picture ends within the face, left or right.")
    small: Share = Field(0.4, description="Seen by fewer pixels, down to 9.")
    blur: Share = 0.2
    codec: Share = 0.4
    noise: Share = 0.25
    gray: Share = 0.12
    light: Share = 0.8


class Augmenter:
    """Makes training crops.

    Args:
        faces: the training part; parts of some are put on others.
        rule: how the worker cuts.
        how: what is done, how often.
        classes: how many classes are trained; without the third none is synthesised.
    """

    def __init__(self, faces: Faces, rule: CropRule, how: Augmentation, classes: int) -> None:
        self._faces = faces
        self._rule = rule
        self._how = how
        self._third = classes > INCORRECT
        sharp = [face.face_px >= SHARPEST_PX for face in faces]
        labels = faces.labels
        self._bare = np.flatnonzero((labels == BARE) & sharp)
        self._masked = np.flatnonzero((labels == MASKED) & sharp)

    def crop(self, index: int, rng: np.random.Generator) -> tuple[Image, int]:
        """A crop of one face as a camera may show it, and its label, which may have changed."""
        crop, label = self._face(index, rng)
        if rng.random() < self._how.flip:
            crop = np.ascontiguousarray(crop[:, ::-1])
        crop = _rotated(crop, rng.normal(0, self._how.rotate_deg))
        return degraded(crop, self._how, rng), label

    def _face(self, index: int, rng: np.random.Generator) -> tuple[Image, int]:
        label = self._faces[index].label
        patch, box = self._placed(index, rng)
        if label == BARE:
            roll = rng.random()
            if roll < self._how.drawn:
                top = rng.uniform(NOSE_BRIDGE - 0.1, NOSE_BRIDGE + 0.1)
                drawn = with_drawn_mask(patch, self._faces[index].box, top, rng)
                return cut(drawn, box, self._rule), MASKED
            roll -= self._how.drawn
            if self._third and roll < self._how.lowered:
                return self._lowered_on(index, patch, box, rng), INCORRECT
            if roll > 1 - self._how.drawn - self._how.hidden:
                return cut(self._hidden(index, patch, rng), box, self._rule), BARE
        if label == MASKED and self._lends_its_mask(index, rng):
            other = self._placed(int(rng.choice(self._bare)), rng)
            return lowered(other, (patch, box), self._rule, rng), INCORRECT
        if label == MASKED and rng.random() < self._how.printed:
            patch = with_printed_mask(patch, self._faces[index].box, rng)
        if rng.random() < self._how.cut_off:
            patch, box = cut_off(patch, box, rng)
        return cut(patch, box, self._rule), label

    def _hidden(self, index: int, patch: Image, rng: np.random.Generator) -> Image:
        face = self._faces[index].box
        roll = rng.random()
        if roll < 0.2:
            return with_hand_before(patch, face, rng)
        if roll < 0.5:
            return with_thing_before(patch, face, rng, eyes=roll > 0.42)
        other = int(rng.integers(len(self._faces)))
        return with_head_before(
            patch, face, (self._faces.patch(other), self._faces[other].box), rng
        )

    def _lends_its_mask(self, index: int, rng: np.random.Generator) -> bool:
        """True where a masked face becomes one of the third class; they are many, so few do."""
        possible = self._third and len(self._bare) and self._faces[index].face_px >= SHARPEST_PX
        return bool(possible) and rng.random() < self._how.lowered / 3

    def _lowered_on(self, index: int, patch: Image, box: Box, rng: np.random.Generator) -> Image:
        if len(self._masked) and rng.random() < 0.6:
            other = self._placed(int(rng.choice(self._masked)), rng)
            return lowered((patch, box), other, self._rule, rng)
        top = LOWEST_NOSE + 0.02 + 0.36 * rng.beta(1.2, 2.0)
        return cut(with_drawn_mask(patch, self._faces[index].box, top, rng), box, self._rule)

    def _placed(self, index: int, rng: np.random.Generator) -> tuple[Image, Box]:
        """The patch of a face, and its box as a detector may place it."""
        face = self._faces[index]
        box = face.box
        if face.detected is not None and rng.random() < self._how.detected:
            box = face.detected
        size = max(box.width, box.height)
        rounding = self._how.shift_px / max(face.face_px, 1.0)
        dx, dy = rng.normal(0, math.hypot(self._how.shift, rounding), 2) * size
        zoom = math.hypot(self._how.zoom, math.sqrt(2) * rounding)  # of two sides
        zoom_x, zoom_y = np.exp(rng.normal(0, zoom) + rng.normal(0, 0.03, 2)) / 2
        x, y = (box.x1 + box.x2) / 2 + dx, (box.y1 + box.y2) / 2 + dy
        half_w, half_h = box.width * zoom_x, box.height * zoom_y
        return self._faces.patch(index), Box(x - half_w, y - half_h, x + half_w, y + half_h)


def degraded(crop: Image, how: Augmentation, rng: np.random.Generator) -> Image:
    """Light, lens, resolution, codec and sensor, in this order."""
    size = crop.shape[0]
    if rng.random() < how.light:
        crop = _relit(crop, rng)
    if rng.random() < how.gray:
        crop = _night(crop, rng)
    if rng.random() < how.blur:
        crop = _blurred(crop, rng)
    if rng.random() < how.small:
        few = round(float(np.exp(rng.uniform(np.log(9), np.log(size)))))
        crop = np.asarray(cv2.resize(crop, (few, few), interpolation=cv2.INTER_AREA), np.uint8)
    if rng.random() < how.noise:
        grain = rng.normal(0, rng.uniform(2, 14), crop.shape)
        crop = np.clip(crop + grain, 0, 255).astype(np.uint8)
    if rng.random() < how.codec:
        _, coded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 85))])
        crop = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    if crop.shape[0] != size:
        crop = np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    return crop


def _relit(crop: Image, rng: np.random.Generator) -> Image:
    """Brightness, contrast, gamma and a tint, through one table a channel."""
    ramp = np.linspace(0, 1, 256) ** np.exp(rng.normal(-0.05, 0.2))
    contrast, brightness = np.exp(rng.normal(0, 0.15)), rng.normal(0, 0.05)
    tint = np.exp(rng.normal(0, 0.06, 3))
    table = ((ramp[:, None] - 0.5) * contrast + 0.5 + brightness) * tint
    return np.asarray(
        cv2.LUT(crop, (np.clip(table, 0, 1) * 255).astype(np.uint8)[:, None]), np.uint8
    )


def _night(crop: Image, rng: np.random.Generator) -> Image:
    """The grey picture of a camera under infra-red light, often dark."""
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32) * rng.uniform(0.5, 1.1)
    return np.repeat(np.clip(gray, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


def _blurred(crop: Image, rng: np.random.Generator) -> Image:
    """Out of focus, or moved along a line."""
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.4, 2.2)), np.uint8)
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    middle = (length - 1) / 2
    for step in np.linspace(-middle, middle, 2 * length):
        kernel[
            round(middle + step * float(np.sin(angle))), round(middle + step * float(np.cos(angle)))
        ] = 1
    return np.asarray(cv2.filter2D(crop, -1, kernel / kernel.sum()), np.uint8)


def _rotated(crop: Image, degrees: float) -> Image:
    if abs(degrees) < 0.5:
        return crop
    size = crop.shape[0]
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), degrees, 1.0)
    return np.asarray(
        cv2.warpAffine(crop, turn, (size, size), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
