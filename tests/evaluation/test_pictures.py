"""Tests of reading picture files, good and bad."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from worker.errors import BadDataError, ConfigError
from worker.evaluation import pictures
from worker.evaluation.pictures import list_pictures, picture_size, read_picture


def png_bytes() -> bytes:
    stream = io.BytesIO()
    colours = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    Pillow.fromarray(colours).save(stream, "PNG")
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_colours_come_as_bgr(tmp_path: Path) -> None:
    """Red stands in the third channel."""
    Pillow.new("RGB", (5, 4), (255, 10, 20)).save(tmp_path / "red.png")
    image = read_picture(tmp_path / "red.png")
    assert image.shape == (4, 5, 3)
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == [20, 10, 255]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_every_kind_of_pixel_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    """Grey, alpha, palette, bilevel and CMYK are read as colour."""
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    Pillow.new("RGB", (6, 4), (200, 200, 200)).convert(mode).save(path)
    assert read_picture(path).shape == (4, 6, 3)


def test_alpha_is_dropped_and_the_colours_beneath_stay(tmp_path: Path) -> None:
    """A transparent pixel keeps its colour."""
    Pillow.new("RGBA", (2, 2), (1, 2, 3, 0)).save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png")[0, 0].tolist() == [3, 2, 1]


def test_sixteen_bits_are_cut_to_the_upper_eight(tmp_path: Path) -> None:
    """A 16-bit grey picture keeps its brightness instead of being clipped to white."""
    Pillow.fromarray(np.full((3, 3), 0x8000, np.uint16)).save(tmp_path / "deep.png")
    assert np.unique(read_picture(tmp_path / "deep.png")).tolist() == [0x80]


def test_exif_orientation_is_applied_to_pixels_and_size(tmp_path: Path) -> None:
    """A phone's sideways picture comes upright, and its size is told upright."""
    image = Pillow.new("RGB", (30, 20))
    exif = Pillow.Exif()
    exif[pictures.ORIENTATION_TAG] = 6
    image.save(tmp_path / "phone.jpg", exif=exif)
    assert read_picture(tmp_path / "phone.jpg").shape == (30, 20, 3)
    assert picture_size(tmp_path / "phone.jpg") == (20, 30)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """The header's size decides, whatever the file holds."""
    for width, height in ((9_000, 9_000), (12_000, 9_000), (60_000, 60_000)):
        (tmp_path / "huge.png").write_bytes(png_header(width, height))
        with pytest.raises(BadDataError, match=r"huge\.png is too large.*megapixels"):
            read_picture(tmp_path / "huge.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"hello, I am a text", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (png_bytes()[:-2_000], "damaged"),
    ],
)
def test_what_is_no_picture_is_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    """Empty, text, PostScript and truncated files are refused by name."""
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(BadDataError, match=rf"x\.png.*{message}"):
        read_picture(tmp_path / "x.png")


def test_a_missing_file_and_a_folder_are_bad_data(tmp_path: Path) -> None:
    """Both name the path."""
    with pytest.raises(BadDataError, match=r"no file .*gone\.png"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(BadDataError, match="is no file"):
        read_picture(tmp_path)


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    """Their range is not known, so nobody guesses it."""
    Pillow.fromarray(np.ones((3, 3), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(BadDataError, match="floating-point"):
        read_picture(tmp_path / "f.tif")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.integers(8, 3_000), value=st.integers(0, 255), cut=st.integers(0, 2_000))
def test_a_damaged_file_gives_a_picture_or_bad_data(
    tmp_path: Path, position: int, value: int, cut: int
) -> None:
    """No other error leaves, wherever the damage is."""
    content = bytearray(png_bytes())
    content[position] = value
    (tmp_path / "x.png").write_bytes(content[: len(content) - cut])
    with contextlib.suppress(BadDataError):
        assert read_picture(tmp_path / "x.png").ndim == 3


def test_pictures_of_a_folder_are_listed_in_order(tmp_path: Path) -> None:
    """Hidden files, other files and subfolders are left out unless wanted."""
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt", "sub/c.png", ".cache/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in list_pictures(tmp_path)] == ["a.jpg", "b.PNG"]
    assert [p.name for p in list_pictures(tmp_path, recursive=True)] == ["a.jpg", "b.PNG", "c.png"]


def test_a_missing_folder_is_wrong_usage(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(ConfigError, match="nowhere is no folder"):
        list_pictures(tmp_path / "nowhere")
