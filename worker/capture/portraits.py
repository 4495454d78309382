"""The people of the synthetic camera: public-domain portraits, cut out, with drawn masks.

The portraits (NASA's of Eileen Collins, the US Navy's of Grace Hopper) come with
scikit-image and matplotlib; nothing is downloaded.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.errors import ConfigError
from worker.records import Box, ClassName, Image

Points = tuple[tuple[int, int], ...]
Colour = tuple[int, int, int]

FEATHER = 1.6
"""Softness of the cut, in pixels of the portrait."""

CLOTHS: tuple[Colour, ...] = (
    (222, 196, 150),
    (236, 236, 232),
    (58, 54, 52),
    (196, 206, 148),
)
"""Colours of masks, BGR: surgical blue, white, black, green."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One portrait: where it lies, and where in it things are, in its own pixels.

    Attributes:
        outline: the person, down to the lower edge, where it overshoots.
        mask: outline of a mask worn right, clockwise from its left upper corner; its first
            three points are the upper edge.
        ears: where the straps end, left and right.
        nose: tip of the nose.
        neck: where the face ends and clothes begin, as y.
    """

    package: str
    file: str
    install: str
    outline: Points
    face: Box
    mask: Points
    ears: Points
    nose: tuple[int, int]
    neck: int


PORTRAITS = (
    Portrait(
        package="skimage",
        file="data/astronaut.png",
        install="scikit-image",
        outline=(
            *((153, 80), (157, 60), (168, 43), (190, 28), (214, 17), (240, 16), (262, 22)),
            *((284, 36), (297, 57), (302, 84), (298, 105), (286, 124), (274, 136), (262, 142)),
            *((258, 152), (257, 174), (281, 191), (297, 211), (304, 234), (330, 252), (345, 275)),
            *((355, 305), (368, 360), (380, 430), (390, 560), (10, 560), (30, 400), (50, 300)),
            *((68, 238), (96, 216), (118, 204), (113, 192), (122, 178), (131, 160), (152, 150)),
            *((185, 149), (184, 138), (172, 128), (160, 112), (154, 98)),
        ),
        face=Box(178, 66, 272, 184),
        mask=(
            *((182, 123), (226, 108), (270, 125)),
            *((269, 146), (258, 172), (242, 189), (223, 194), (204, 188), (190, 170), (183, 146)),
        ),
        ears=((171, 122), (281, 124)),
        nose=(227, 128),
        neck=190,
    ),
    Portrait(
        package="matplotlib",
        file="mpl-data/sample_data/grace_hopper.jpg",
        install="matplotlib",
        outline=(
            *((148, 160), (149, 125), (160, 100), (178, 84), (188, 60), (217, 42), (224, 28)),
            *((255, 23), (292, 28), (304, 42), (334, 57), (351, 86), (370, 88), (372, 130)),
            *((371, 172), (376, 190), (370, 225), (362, 258), (352, 290), (338, 305), (331, 318)),
            *((346, 333), (390, 352), (440, 372), (475, 402), (495, 480), (510, 660), (0, 660)),
            *((18, 470), (40, 402), (75, 374), (130, 358), (185, 340), (199, 318), (190, 300)),
            *((171, 278), (163, 250), (158, 218), (152, 190)),
        ),
        face=Box(160, 132, 366, 338),
        mask=(
            *((176, 232), (264, 207), (352, 232)),
            *((352, 268), (335, 316), (306, 350), (265, 362), (224, 350), (193, 316), (178, 268)),
        ),
        ears=((160, 214), (366, 214)),
        nose=(265, 243),
        neck=420,
    ),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A person cut out, ready to be put into a scene.

    Attributes:
        pixels: ``uint8 (H, W, 4) BGRA``, colours multiplied by alpha.
        face: of the person, in pixels of ``pixels``.
    """

    pixels: Image
    face: Box
    label: ClassName


def figure(number: int, label: ClassName, face_px: float, rng: np.random.Generator) -> Figure:
    """Cut a person out, dressed at random.

    Args:
        number: which portrait, round and round.
        label: how the mask is worn.
        face_px: width of the face in the result, in pixels.
        rng: chooses side, light and colours.

    Raises:
        ConfigError: the portraits are not installed.
    """
    portrait = PORTRAITS[number % len(PORTRAITS)]
    picture = _read(portrait)
    if label != "without_mask":
        cloth = CLOTHS[int(rng.integers(len(CLOTHS)))]
        picture = _with_mask(picture, portrait, cloth, under_nose=label == "mask_worn_incorrectly")
    picture = _with_clothes(picture, portrait, hue=int(rng.integers(180)))
    picture = cv2.convertScaleAbs(picture, alpha=float(rng.uniform(0.85, 1.05))).astype(np.uint8)
    alpha = _alpha(portrait, picture.shape[:2])
    face = portrait.face
    if rng.random() < 0.5:
        width = picture.shape[1]
        picture, alpha = picture[:, ::-1], alpha[:, ::-1]
        face = Box(width - face.x2, face.y1, width - face.x1, face.y2)
    premultiplied = (picture * (alpha[..., None] / 255.0)).astype(np.uint8)
    pixels = np.dstack([premultiplied, alpha])
    scale = face_px / face.width
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    shrunk = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return Figure(shrunk, Box(*(edge * scale for edge in face)), label)


def _read(portrait: Portrait) -> Image:
    """The portrait's pixels, ``uint8 (H, W, 3) BGR``."""
    try:
        path = Path(str(importlib.resources.files(portrait.package))) / portrait.file
        encoded = np.fromfile(path, np.uint8)
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"the demo camera needs a portrait from {portrait.install}, which is not installed; "
            "run: pip install 'maskwatch[demo]'"
        ) from error
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if picture is None:
        raise ConfigError(
            f"the portrait {path} cannot be decoded; run: pip install --force-reinstall "
            f"{portrait.install}"
        )
    return picture.astype(np.uint8)


def _alpha(portrait: Portrait, shape: tuple[int, int]) -> Image:
    """Opacity of the person, ``uint8 (H, W)``, with a soft edge."""
    alpha: Image = np.zeros(shape, np.uint8)
    cv2.fillPoly(alpha, [_smooth(portrait.outline)], 255)
    # A little inside the outline, so that nothing of the old background shines around it.
    alpha = cv2.erode(alpha, np.ones((5, 5), np.uint8), borderValue=255).astype(np.uint8)
    return cv2.GaussianBlur(alpha, (0, 0), FEATHER).astype(np.uint8)


def _smooth(points: Sequence[tuple[int, int]]) -> NDArray[np.int32]:
    """A closed polygon with its corners cut twice (Chaikin's algorithm)."""
    curve = np.array(points, np.float64)
    for _ in range(2):
        following = np.roll(curve, -1, axis=0)
        curve = np.stack([0.75 * curve + 0.25 * following, 0.25 * curve + 0.75 * following], 1)
        curve = curve.reshape(-1, 2)
    return np.round(curve).astype(np.int32)


def _with_mask(picture: Image, portrait: Portrait, cloth: Colour, *, under_nose: bool) -> Image:
    """The portrait with a mask of cloth, worn right or with the nose bare."""
    outline = np.array(portrait.mask, np.float64)
    if under_nose:
        # The upper edge slides below the tip of the nose; the chin stays covered.
        drop = portrait.nose[1] - outline[1, 1] + 0.06 * portrait.face.height
        outline[:3, 1] += (0.55 * drop, drop, 0.55 * drop)
    points = [(round(x), round(y)) for x, y in outline.tolist()]
    shape = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(shape, [_smooth(points)], 255)
    shadow = 0.25 * _softened(shape, 4.0)
    worn = picture.astype(np.float32) * (1 - shadow)
    light = np.clip(np.array(cloth, np.float32) + 25, 0, 255)
    straps = _softened(_straps(picture.shape[:2], portrait, points), 0.9)
    worn = worn * (1 - straps) + light * straps
    edge = _softened(shape, 0.9)
    worn = worn * (1 - edge) + _cloth(picture.shape[:2], outline, cloth) * edge
    return np.clip(worn, 0, 255).astype(np.uint8)


def _softened(layer: Image, sigma: float) -> NDArray[np.float32]:
    """A layer of 0 to 255 as opacity, ``float32 (H, W, 1)`` from 0 to 1, its edge blurred."""
    blurred = cv2.GaussianBlur(layer, (0, 0), sigma).astype(np.float32)
    return blurred[..., None] / 255.0


def _straps(shape: tuple[int, ...], portrait: Portrait, points: list[tuple[int, int]]) -> Image:
    """Lines from the mask's four corners to the ears, ``uint8 (H, W)``."""
    straps = np.zeros(shape, np.uint8)
    thickness = max(1, round(portrait.face.width / 60))
    corners = ((points[0], points[-1]), (points[2], points[3]))
    for ear, ends in zip(portrait.ears, corners, strict=True):
        for end in ends:
            cv2.line(straps, end, ear, 255, thickness, cv2.LINE_AA)
    return straps


def _cloth(
    shape: tuple[int, ...], outline: NDArray[np.float64], colour: Colour
) -> NDArray[np.float32]:
    """Cloth that is round as a face is, with three folds and a seam, ``float32 (H, W, 3) BGR``."""
    (left, top), (right, bottom) = outline.min(axis=0).tolist(), outline.max(axis=0).tolist()
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    across = np.clip((x - (left + right) / 2) / ((right - left) / 2), -1.5, 1.5)
    down = (y - top) / (bottom - top)
    shade = 1.03 - 0.34 * across**2 - 0.10 * np.clip(down, 0, 1) ** 2
    sag = down + 0.10 * (1 - across**2)
    for fold in (0.38, 0.58, 0.78):
        shade -= 0.16 * np.exp(-(((sag - fold) / 0.022) ** 2))
        shade += 0.07 * np.exp(-(((sag - fold - 0.05) / 0.03) ** 2))
    shade -= 0.10 * np.exp(-(((sag - 0.13) / 0.015) ** 2))
    shade *= 1 + 0.015 * np.sin(x * 2.1) * np.sin(y * 2.3)
    cloth: NDArray[np.float32] = np.clip(np.array(colour, np.float32) * shade[..., None], 0, 255)
    return cloth


def _with_clothes(picture: Image, portrait: Portrait, hue: int) -> Image:
    """The portrait with its clothes in another colour, below the neck."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = ((hsv[..., 0].astype(np.int32) + hue) % 180).astype(np.uint8)
    hsv[..., 1] = (hsv[..., 1] * 0.6).astype(np.uint8)
    dressed = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    share = np.clip((np.arange(picture.shape[0]) - portrait.neck) / 12.0, 0, 1)[:, None, None]
    return (picture * (1 - share) + dressed * share).astype(np.uint8)
