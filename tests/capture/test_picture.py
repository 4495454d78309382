"""Pixels of a decoded frame."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from worker.capture.picture import AvPicture, Converters


def picture(pixel_format: str, luma: int, *, size: tuple[int, int] = (70, 50)) -> AvPicture:
    """A plain picture; 70 pixels are no multiple of what decoders align lines to."""
    frame = av.VideoFrame(*size, pixel_format)
    for number, plane in enumerate(frame.planes):
        plane.update(bytes([luma if number == 0 else 128]) * plane.buffer_size)
    return AvPicture(frame, Converters())


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "nv12", "gray", "yuv444p"])
def test_gray_is_a_view_of_the_luma(pixel_format: str) -> None:
    """The luma is not copied, and has the size of the picture, not of its lines."""
    gray = picture(pixel_format, 77).gray()
    assert gray.shape == (50, 70)
    assert gray.base is not None
    assert (gray == 77).all()


def test_gray_of_other_formats_is_converted() -> None:
    """Ten bits become eight."""
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 200, np.uint8), format="bgr24")
    deep = frame.reformat(format="yuv420p10le")
    gray = AvPicture(deep, Converters()).gray()
    assert gray.dtype == np.uint8
    assert abs(int(gray.mean()) - 188) < 16


@pytest.mark.parametrize(
    ("pixel_format", "luma", "level"),
    [("yuv420p", 235, 255), ("yuv420p", 16, 0), ("yuvj420p", 255, 255), ("yuvj420p", 16, 16)],
)
def test_bgr_minds_the_range(pixel_format: str, luma: int, level: int) -> None:
    """Video range is stretched, full range (JPEG) is not."""
    bgr = picture(pixel_format, luma).bgr()
    assert bgr.shape == (50, 70, 3)
    assert abs(int(bgr[25, 35, 0]) - level) <= 1


def test_bgr_is_converted_once() -> None:
    """A second look costs nothing."""
    seen = picture("yuv420p", 128)
    assert seen.bgr() is seen.bgr()


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "nv12", "yuv422p", "bgr24"])
def test_a_scaled_picture_is_the_converted_one_averaged(pixel_format: str) -> None:
    """The same colours and range, whatever the decoder gave; made once for all parts."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(90, 170, (12, 20, 3), np.uint8)
    image = cv2.resize(coarse, (160, 96), interpolation=cv2.INTER_CUBIC)
    image[:, :, :] = np.clip(image + rng.integers(-60, 60, (96, 160, 1)), 0, 255)  # fine in luma
    frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pixel_format)
    seen = AvPicture(frame, Converters())
    small = seen.scaled(60, 36)
    assert small.shape == (36, 60, 3)
    assert small is seen.scaled(60, 36)
    expected = cv2.resize(seen.bgr(), (60, 36), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 6
    luma = [cv2.cvtColor(np.asarray(some), cv2.COLOR_BGR2GRAY) for some in (small, expected)]
    assert np.abs(luma[0].astype(int) - luma[1]).mean() < 3
    whole = seen.bgr()
    seen.release()
    assert (seen.copy() == whole).all()
    assert seen._bgr is None
    assert seen._scaled is None


def test_pixels_outlive_the_picture() -> None:
    """An array keeps the buffer alive that it looks at."""
    bgr = picture("yuv420p", 235).bgr()
    for _ in range(20):
        picture("yuv420p", 16).bgr()
    assert (bgr >= 254).all()
