"""Picture files in, pixels out: the one place where a still picture is read.

A picture may come from anybody, so its size is known before anything is decoded, and only
formats that decode inside this process are opened (no PostScript, no font, no archive).
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from worker.errors import BadDataError, ConfigError
from worker.records import Image

MAX_PIXELS = 64_000_000
"""Largest picture that is decoded: 64 megapixels, 192 MB as BGR."""

MAX_FILE_BYTES = 256 * 1024 * 1024

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)

ORIENTATION_TAG = 0x0112
TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
"""What undoes an EXIF orientation; 5 to 8 exchange width and height."""

DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
)
"""What Pillow's decoders let out on damaged files; they share no base class."""


def read_picture(path: Path) -> Image:
    """The pixels of a picture file, upright.

    EXIF orientation is applied, alpha dropped, 16-bit values are cut to their upper 8 bits,
    and of an animation the first picture counts.

    Returns:
        ``uint8 (H, W, 3) BGR``, its own memory.

    Raises:
        BadDataError: the file is missing, too large, truncated or no picture.
    """
    with _opened(path) as image:
        try:
            image.load()
            rgb = _as_rgb(image)
            turn = TURNS.get(_orientation(image))
        except DECODER_ERRORS as error:
            raise BadDataError(
                f"{path} is damaged and cannot be decoded ({_cause(error)}); save it again or "
                "take a fresh copy"
            ) from error
    upright = rgb if turn is None else rgb.transpose(turn)
    return np.ascontiguousarray(np.asarray(upright, np.uint8)[..., ::-1])


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, upright, from the header alone.

    Raises:
        BadDataError: the file is missing, too large or no picture.
    """
    with _opened(path) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def list_pictures(folder: Path, *, recursive: bool = False) -> list[Path]:
    """The picture files in a folder by their ending, sorted; hidden ones are left out.

    Raises:
        ConfigError: there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name a folder that holds pictures")
    found = folder.rglob("*") if recursive else folder.glob("*")
    return sorted(
        path
        for path in found
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def _opened(path: Path) -> Pillow.Image:
    """The picture with its header read and its bounds checked; nothing decoded yet."""
    try:
        size_bytes = path.stat().st_size
        if not path.is_file():
            raise BadDataError(f"{path} is no file; name a picture")
        if not 0 < size_bytes <= MAX_FILE_BYTES:
            raise BadDataError(
                f"{path} has {size_bytes} bytes; a picture has 1 to {MAX_FILE_BYTES}"
            )
        with warnings.catch_warnings():
            # Pillow warns where our own bound, below, refuses.
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            image = Pillow.open(path, formats=FORMATS)
    except FileNotFoundError:
        raise BadDataError(f"there is no file {path}; correct the path") from None
    except Pillow.DecompressionBombError as error:
        raise BadDataError(_too_large(path)) from error
    except UnidentifiedImageError as error:
        raise BadDataError(
            f"{path} is no picture that can be read; take one of {', '.join(FORMATS)}"
        ) from error
    except DECODER_ERRORS as error:
        raise BadDataError(
            f"{path} cannot be opened as a picture ({_cause(error)}); take a fresh copy"
        ) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise BadDataError(_too_large(path, f"{width}x{height}"))
    return image


def _too_large(path: Path, size: str = "") -> str:
    pixels = f" ({size})" if size else ""
    return (
        f"{path} is too large to be decoded{pixels}; at most {MAX_PIXELS // 1_000_000} "
        "megapixels are, so scale it down"
    )


def _orientation(image: Pillow.Image) -> int:
    """EXIF orientation, 1 to 8; 1 (upright) where EXIF is missing or damaged."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except DECODER_ERRORS:
        return 1
    return orientation if orientation in TURNS else 1


def _as_rgb(image: Pillow.Image) -> Pillow.Image:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _from_deep(image).convert("RGB")
    if image.mode in {"P", "PA"}:
        # The way over RGBA is the one that reads every kind of palette transparency.
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _from_deep(image: Pillow.Image) -> Pillow.Image:
    """Grey of more than 8 bits as 8-bit grey."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    deep = np.asarray(image).astype(np.int64)
    return Pillow.fromarray((np.clip(deep, 0, 65_535) >> 8).astype(np.uint8))


def _cause(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
