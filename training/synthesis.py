"""Faces that the data lacks: drawn masks on bare faces, and masks pulled down.

The third class has a few dozen examples in public data, so most of what training sees of it
is made here, from a bare face above and a mask, real or drawn, below the nose.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.cloth import Layer, cloth_of, printed, relief
from worker.inference.align import CropRule, cut
from worker.records import Box, Image

NOSE_BRIDGE = 0.45
"""Where the upper edge of a mask lies that is worn correctly, as a share of the face box."""

LOWEST_NOSE = 0.58
"""Above this share of the face box no upper edge of a pulled-down mask lies."""


def with_drawn_mask(patch: Image, box: Box, top: float, rng: np.random.Generator) -> Image:
    """A copy of a patch with a mask painted on its face.

    Args:
        patch: ``uint8 (H, W, 3) BGR``.
        box: the face in it.
        top: upper edge of the mask, as a share of the box's height.
        rng: chooses colour, outline, folds and shade.
    """
    x, y, w, h = box.x1, box.y1, box.width, box.height
    left, right = rng.uniform(0.0, 0.14, 2)
    side_drop = rng.uniform(-0.06, 0.10)
    chin = max(rng.uniform(0.93, 1.06), top + 0.25)
    nose = rng.uniform(0.42, 0.58)
    outline = np.array(
        [
            (left, top + side_drop),
            (nose - 0.16, top + 0.01),
            (nose, top - rng.uniform(0.0, 0.05)),
            (nose + 0.16, top + 0.01),
            (1 - right, top + side_drop),
            (0.95 - right, (top + chin) / 2 + 0.05),
            (nose + 0.18, chin),
            (nose - 0.18, chin),
            (0.05 + left, (top + chin) / 2 + 0.05),
        ]
    )
    corners = outline * (w, h) + (x, y)
    cover = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(cover, [np.round(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    cloth = cloth_of((patch.shape[0], patch.shape[1]), y + top * h, h, rng)
    light = patch.mean() / 255  # a mask in a dark picture is dark
    cloth *= np.clip(light * 1.5 + rng.uniform(-0.1, 0.25), 0.15, 1.1)
    if rng.random() < 0.5:
        cloth *= relief(patch, box)
    if rng.random() < 0.6:
        _draw_straps(cloth, cover, corners, box, rng)
    alpha = cover.astype(np.float32)[..., None] / 255
    mixed = patch * (1 - alpha) + np.clip(cloth, 0, 255) * alpha
    return np.asarray(mixed, np.uint8)


def with_printed_mask(patch: Image, box: Box, rng: np.random.Generator) -> Image:
    """A copy of a patch of a masked face, with a print over the lower half of its face.

    Most masks of the data are plain; those with a muzzle, a mouth or flowers on them are taken for
    what they show.

    Args:
        patch: ``uint8 (H, W, 3) BGR``.
        box: the face in it.
        rng: chooses print, colours and how much of the mask's own shade is left.
    """
    shape = (patch.shape[0], patch.shape[1])
    cover = np.zeros(shape, np.float32)
    middle = (round((box.x1 + box.x2) / 2), round(box.y1 + 0.78 * box.height))
    axes = (max(1, round(0.42 * box.width)), max(1, round(0.22 * box.height)))
    cv2.ellipse(cover, middle, axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), max(0.03 * box.width, 0.3)), np.float32)
    colours, print_cover = printed(shape, middle, box.width, rng)
    own = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY).astype(np.float32)[..., None] / 255
    colours = colours * np.clip(0.3 + own * rng.uniform(0.5, 1.2), 0, 1.2)
    alpha = (cover * print_cover * rng.uniform(0.5, 1.0))[..., None]
    mixed = patch * (1 - alpha) + np.clip(colours, 0, 255) * alpha
    return np.asarray(mixed, np.uint8)


def lowered(
    bare: tuple[Image, Box], masked: tuple[Image, Box], rule: CropRule, rng: np.random.Generator
) -> Image:
    """A crop of a face whose nose shows above a real mask: two faces, one above the other.

    Args:
        bare: patch and box of the face above.
        masked: patch and box of the face whose mask is pulled down.
        rule: how crops are cut.
        rng: chooses how far the mask is down, and whether nose or mouth show too.
    """
    edge = LOWEST_NOSE + 0.36 * rng.beta(1.2, 2.2)  # most masks of the class hang just below it
    above = cut(*bare, rule).astype(np.float32)
    image, box = masked
    pulled = rng.uniform(0.4, 1.0) * (edge - NOSE_BRIDGE) * box.height
    below = cut(image, Box(box.x1, box.y1 - pulled, box.x2, box.y2 - pulled), rule)
    below = below.astype(np.float32)
    below *= np.clip((above.mean() + 1) / (below.mean() + 1), 0.6, 1.6)
    size = rule.size_px
    face = 1 / (1 + 2 * rule.margin)  # share of the crop that the box fills
    seam = ((1 - face) / 2 + edge * face) * size
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    # The upper edge of a mask hangs through between the cheeks, or stands up at the nose.
    seam = seam + rng.uniform(-0.08, 0.08) * size * (1 - ((columns / size - 0.5) * 2) ** 2)
    alpha = np.clip((rows - seam) / rng.uniform(1.0, 4.0) + 0.5, 0, 1)[..., None]
    return np.asarray(np.clip(above * (1 - alpha) + below * alpha, 0, 255), np.uint8)


def with_head_before(
    patch: Image, box: Box, other: tuple[Image, Box], rng: np.random.Generator
) -> Image:
    """A copy of a patch whose face is half hidden by the head of somebody in front.

    In a crowd the lower part of many bare faces is hidden, and a network that has seen masks
    only takes whatever is there for one.

    Args:
        patch: ``uint8 (H, W, 3) BGR``.
        box: the face in it.
        other: patch and face of the one in front; hair and forehead are taken of it.
        rng: chooses place and size.
    """
    image, face = other
    top = max(0, round(face.y1 - 0.35 * face.height))
    bottom = max(top + 2, round(face.y1 + rng.uniform(0.05, 0.45) * face.height))
    left, right = max(0, round(face.x1 - 0.15 * face.width)), round(face.x2 + 0.15 * face.width)
    hair = image[top:bottom, left : max(right, left + 2)]
    width = max(2, round(box.width * rng.uniform(0.9, 1.8)))
    height = max(2, round(box.height * rng.uniform(0.6, 1.0)))
    head = cv2.resize(hair, (width, height), interpolation=cv2.INTER_LINEAR)
    dome = np.zeros((height, width), np.uint8)
    cv2.ellipse(dome, (width // 2, height), (width // 2, height), 0, 180, 360, 255, -1, cv2.LINE_AA)
    x = round((box.x1 + box.x2) / 2 + rng.normal(0, 0.25) * box.width - width / 2)
    y = round(box.y1 + rng.uniform(0.42, 0.76) * box.height)
    return _pasted(patch, np.asarray(head, np.uint8), dome, (x, y))


def with_hand_before(patch: Image, box: Box, rng: np.random.Generator) -> Image:
    """A copy of a patch with a hand, or what it holds, before the mouth."""
    skin = patch[
        max(0, round(box.y1 + 0.35 * box.height)) : round(box.y1 + 0.55 * box.height) + 1,
        max(0, round(box.x1 + 0.25 * box.width)) : round(box.x1 + 0.75 * box.width) + 1,
    ]
    colour = skin.reshape(-1, 3).mean(0) if skin.size else np.full(3, 120.0)
    if rng.random() < 0.25:
        colour = np.array([rng.uniform(15, 60)] * 3)  # a telephone, a microphone
    width = max(2, round(box.width * rng.uniform(0.3, 0.7)))
    height = max(2, round(box.height * rng.uniform(0.3, 0.8)))
    shade = np.linspace(rng.uniform(0.7, 1.0), rng.uniform(0.8, 1.15), width)[None, :, None]
    hand = np.clip(np.broadcast_to(colour, (height, width, 3)) * shade, 0, 255)
    fingers = 1 - 0.12 * np.cos(np.linspace(0, rng.uniform(4, 9) * np.pi, width))[None, :, None]
    cover = np.zeros((height, width), np.uint8)
    middle, axes = (width // 2, height // 2), (width // 2, height // 2)
    cv2.ellipse(cover, middle, axes, rng.uniform(-30, 30), 0, 360, 255, -1, cv2.LINE_AA)
    x = round(box.x1 + rng.uniform(0.35, 0.65) * box.width - width / 2)
    y = round(box.y1 + rng.uniform(0.6, 0.95) * box.height - height / 2)
    return _pasted(patch, np.clip(hand * fingers, 0, 255).astype(np.uint8), cover, (x, y))


def with_thing_before(
    patch: Image, box: Box, rng: np.random.Generator, *, eyes: bool = False
) -> Image:
    """A copy of a patch with a telephone, a sheet or a cup before the mouth, often with a hand.

    Args:
        patch: ``uint8 (H, W, 3) BGR``.
        box: the face in it.
        rng: chooses size, place and shade.
        eyes: a camera before the eyes instead; the mouth is free.
    """
    if not eyes and rng.random() < 0.6:
        patch = with_hand_before(patch, box, rng)
    width = max(3, round(box.width * rng.uniform(0.3, 0.7)))
    tallest, highest, lowest = (0.45, 0.15, 0.4) if eyes else (0.9, 0.65, 1.0)
    height = max(3, round(box.height * rng.uniform(0.35, tallest)))
    side = 2 * max(width, height)
    level = rng.choice([rng.uniform(10, 60), rng.uniform(170, 250)])
    colour = np.clip(level + rng.normal(0, 25, 3), 0, 255)
    thing = np.full((side, side, 3), colour, np.float32)
    thing *= np.linspace(rng.uniform(0.8, 1.0), rng.uniform(0.9, 1.15), side)[:, None, None]
    corners = cv2.boxPoints(((side / 2, side / 2), (width, height), rng.normal(0, 12)))
    cover = np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(cover, np.round(corners * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    if rng.random() < 0.5:  # a lens, a logo, a lid
        place = (round(side / 2 + rng.normal(0, 0.2) * width), round(side / 2 - 0.35 * height))
        cv2.circle(thing, place, max(1, width // 8), (255 - colour).tolist(), -1, cv2.LINE_AA)
    x = round(box.x1 + rng.uniform(0.25, 0.75) * box.width - side / 2)
    y = round(box.y1 + rng.uniform(highest, lowest) * box.height - side / 2)
    return _pasted(patch, np.clip(thing, 0, 255).astype(np.uint8), cover, (x, y))


def cut_off(patch: Image, box: Box, rng: np.random.Generator) -> tuple[Image, Box]:
    """A face at the left or the right edge of the picture, and what of its box is left.

    Args:
        patch: ``uint8 (H, W, 3) BGR``.
        box: as a detector may place it.
        rng: chooses the side, and how much is gone: an eighth to a half of the face.
    """
    gone = rng.uniform(0.12, 0.5) * box.width
    if rng.random() < 0.5:
        edge = round(np.clip(box.x1 + gone, 0, patch.shape[1] - 2))
        return patch[:, edge:], Box(0, box.y1, max(box.x2 - edge, 1), box.y2)
    edge = round(np.clip(box.x2 - gone, 2, patch.shape[1]))
    return patch[:, :edge], Box(min(box.x1, edge - 1), box.y1, edge, box.y2)


def _pasted(patch: Image, piece: Image, cover: Image, place: tuple[int, int]) -> Image:
    """Lay a piece over a copy of a patch, as far as it lies inside."""
    x, y = place
    drawn = patch.copy()
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = min(patch.shape[1], x + piece.shape[1]), min(patch.shape[0], y + piece.shape[0])
    if x1 >= x2 or y1 >= y2:
        return drawn
    inside = (slice(y1 - y, y2 - y), slice(x1 - x, x2 - x))
    alpha = cover[inside].astype(np.float32)[..., None] / 255
    under = drawn[y1:y2, x1:x2]
    drawn[y1:y2, x1:x2] = (under * (1 - alpha) + piece[inside] * alpha).astype(np.uint8)
    return drawn


def _draw_straps(
    cloth: Layer,
    cover: Image,
    corners: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    box: Box,
    rng: np.random.Generator,
) -> None:
    """Lines from the mask's corners to the ears, of the mask's own colour."""
    thickness = max(1, round(box.width * 0.02))
    ear_y = box.y1 + box.height * rng.uniform(0.3, 0.5)
    for corner, ear_x in ((corners[0], box.x1 - 2), (corners[4], box.x2 + 2)):
        start = (round(float(corner[0])), round(float(corner[1])))
        cv2.line(cover, start, (round(ear_x), round(ear_y)), 255, thickness, cv2.LINE_AA)
    np.clip(cloth, 0, 255, out=cloth)
