"""What masks are made of: colours, folds and prints, for the faces that training draws them on."""

from __future__ import annotations

import cv2
import numpy as np

from worker.records import Box, Image

MASK_COLOURS = (
    *((235, 206, 160), (225, 190, 140), (240, 225, 190)),  # surgical, light blue, BGR
    *((245, 245, 245), (225, 228, 230), (200, 225, 200)),  # white, grey, light green
    *((40, 40, 40), (25, 25, 30), (120, 60, 40), (90, 80, 160)),  # cloth
)

Layer = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def cloth_of(shape: tuple[int, int], top: float, face_h: float, rng: np.random.Generator) -> Layer:
    """Colour of a mask over a patch ``(H, W, 3) BGR``: plain, with folds, printed, shaded.

    Args:
        shape: ``(H, W)`` of the patch.
        top: row of the mask's upper edge.
        face_h: height of the face.
        rng: chooses.
    """
    height, width = shape
    if rng.random() < 0.3:
        colour = _any_colour(rng)
    else:
        colour = np.array(MASK_COLOURS[rng.integers(len(MASK_COLOURS))], np.float32)
    colour = np.clip(colour + rng.normal(0, 12, 3), 0, 255).astype(np.float32)
    cloth = np.broadcast_to(colour, (height, width, 3)).copy()
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    kind = rng.random()
    if kind < 0.4:
        folds = np.sin((rows - top) / max(face_h, 1) * rng.uniform(20, 40))
        cloth += (folds * rng.uniform(4, 16))[..., None]
    elif kind < 0.65:
        middle = (width // 2, round(top + 0.3 * face_h))
        colours, cover = printed(shape, middle, face_h, rng)
        cloth += (colours - cloth) * cover[..., None]
    if rng.random() < 0.5:
        cloth += ((columns / width - 0.5) * rng.uniform(-70, 70))[..., None]
    return cloth


def printed(
    shape: tuple[int, int], middle: tuple[int, int], size_px: float, rng: np.random.Generator
) -> tuple[Layer, Layer]:
    """What is printed on cloth: colours ``(H, W, 3) BGR``, and where they lie, 0 to 1 ``(H, W)``.

    Colours may leave 0 to 255, as cloth may; who lays them on a picture clips them.

    Stripes, checks, blots, or a few shapes about the middle: a muzzle, teeth, a valve.

    Args:
        shape: ``(H, W)`` of the patch.
        middle: of the mask, ``(x, y)``.
        size_px: width or height of the face.
        rng: chooses.
    """
    height, width = shape
    colours = np.broadcast_to(_any_colour(rng), (height, width, 3)).copy()
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    kind = rng.integers(4)
    if kind == 0:  # stripes and checks
        angle, period = rng.uniform(0, np.pi), size_px * rng.uniform(0.06, 0.3)
        along = (columns * np.cos(angle) + rows * np.sin(angle)) * (2 * np.pi / period)
        across = (rows * np.cos(angle) - columns * np.sin(angle)) * (2 * np.pi / period)
        wave = np.sin(along) if rng.random() < 0.5 else np.sin(along) * np.sin(across)
        return colours, np.clip(wave * 3 + rng.uniform(-1, 1), 0, 1).astype(np.float32)
    if kind == 1:  # blots of all sizes, each of its own colour
        few = max(2, round(width / max(size_px, 1) * rng.uniform(3, 12)))
        noise = rng.normal(0, 1, (few, few, 4)).astype(np.float32)
        blots = np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))
        colours += blots[..., :3] * rng.uniform(0, 60)
        return colours, np.clip(blots[..., 3] * 3, 0, 1).astype(np.float32)
    cover = np.zeros((height, width), np.float32)  # shapes, filled or as lines
    for _ in range(rng.integers(1, 5)):
        place = tuple(round(m + size_px * rng.normal(0, 0.12)) for m in middle)
        axes = tuple(max(1, round(size_px * rng.uniform(0.02, 0.2))) for _ in range(2))
        line = -1 if kind == 2 else max(1, round(size_px * rng.uniform(0.01, 0.05)))
        begin, turn = rng.uniform(0, 180), rng.uniform(-30, 30)
        round_it = rng.random() < 0.5
        end = begin + 360 if round_it else begin + rng.uniform(90, 200)
        cv2.ellipse(cover, place, axes, turn, begin, end, 1.0, line, cv2.LINE_AA)
    return colours, cover


def relief(patch: Image, box: Box) -> Layer:
    """Light and shade of the face under a mask ``(H, W, 1)``, about 1."""
    gray = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY).astype(np.float32)
    shade = cv2.GaussianBlur(gray, (0, 0), max(0.06 * box.width, 0.5))
    return np.asarray(
        np.clip(shade / max(float(shade.mean()), 1.0), 0.6, 1.4)[..., None], np.float32
    )


def _any_colour(rng: np.random.Generator) -> Layer:
    """One of all colours ``(3,) BGR``, from dark to light."""
    level = rng.uniform(10, 245)
    return np.asarray(np.clip(level + rng.normal(0, 45, 3), 0, 255), np.float32)
