"""Frozen and covered views."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from capture.clips import numbered

from worker.capture.picture import AvPicture, Converters
from worker.capture.view import ViewWatch, has_texture, thinned
from worker.records import Image

RNG = np.random.default_rng(1)
STILL = thinned(np.ascontiguousarray(numbered(0, 640, 360)[..., 1]))
DARK = np.full((90, 160), 18, np.uint8)


def with_noise(picture: Image, levels: float) -> Image:
    """What a real sensor makes of a view."""
    noisy = picture + RNG.normal(0, levels, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def watch(frozen_after_s: float = 120.0, covered_after_s: float = 10.0) -> ViewWatch:
    return ViewWatch(frozen_after_s=frozen_after_s, covered_after_s=covered_after_s)


def test_the_same_bits_for_two_minutes_are_frozen() -> None:
    """And since the first of them; the first other bit ends it."""
    view = watch()
    assert view.look(lambda: STILL, 100.0) is None
    assert view.look(lambda: STILL, 219.9) is None
    assert view.look(lambda: STILL, 220.0) == "frozen"
    assert view.since_s == 100.0
    other = STILL.copy()
    other[10, 10] ^= 1
    assert view.look(lambda: other, 220.2) is None


def test_a_still_view_with_noise_is_not_frozen() -> None:
    """A camera that looks at a hall at night sends other bits each time."""
    view = watch()
    for second in range(0, 600, 10):
        noisy = with_noise(STILL, 0.5)
        assert view.look(lambda noisy=noisy: noisy, float(second)) is None  # type: ignore[misc]


def test_a_still_picture_in_two_shapes_is_frozen() -> None:
    """Keyframes of one picture differ from the frames between them, and from nothing else."""
    view, other = watch(), STILL + 1
    doubts = [view.look(lambda n=n: other if n % 10 == 0 else STILL, float(n)) for n in range(125)]  # type: ignore[misc]
    assert doubts[:120] == [None] * 120
    assert doubts[-1] == "frozen"


def test_a_view_that_moves_is_neither() -> None:
    """Numbers that change are enough."""
    view = watch(frozen_after_s=1.0, covered_after_s=1.0)
    for number in range(100):
        thin = thinned(np.ascontiguousarray(numbered(number)[..., 1]))
        assert view.look(lambda thin=thin: thin, number / 5) is None  # type: ignore[misc]


@pytest.mark.parametrize(
    "picture",
    [DARK, np.full((90, 160), 235, np.uint8), np.tile(np.linspace(60, 90, 160), (90, 1))],
    ids=["black", "white", "a smooth shade"],
)
def test_a_view_without_texture_is_covered(picture: np.ndarray) -> None:
    """After some seconds, with noise or without; who passes close by covers it for less."""
    view = watch()
    for second in range(10):
        assert view.look(lambda: with_noise(picture, 3), 100.0 + second) is None
    assert view.look(lambda: with_noise(picture, 3), 110.0) == "covered"
    assert view.since_s == 100.0
    assert view.look(lambda: with_noise(STILL, 3), 110.2) is None
    assert view.look(lambda: with_noise(picture, 3), 110.4) is None


def test_covered_outweighs_frozen() -> None:
    """Black that never changes is told as what it was first."""
    view = watch()
    for second in range(0, 300, 5):
        view.look(lambda: DARK, float(second))
    assert view.doubt == "covered"


def test_a_name_and_a_time_in_the_picture_are_no_texture() -> None:
    """A covered camera still writes them at the edge."""
    picture = DARK.copy()
    picture[1:8, 4:60:2] = 255
    picture[-8:-1, 90:150:2] = 255
    assert not has_texture(picture)


@pytest.mark.parametrize("k", [1.0, 0.2])
def test_people_in_the_dark_have_texture(k: float) -> None:
    """A dim view is a view."""
    from skimage.data import astronaut

    gray = np.ascontiguousarray(astronaut()[..., 1])
    assert has_texture(with_noise(thinned(gray) * k + 16, 3))


def test_what_is_switched_off_costs_nothing() -> None:
    """With both limits 0 not even the picture is asked for."""
    view = watch(0.0, 0.0)
    assert view.look(lambda: pytest.fail("asked"), 0.0) is None


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuvj422p", "nv12", "yuv420p10le", "yuv444p10le", "p010le", "rgb24", "gbrp"]
)
def test_thin_luma_of_every_format(name: str) -> None:
    """It is the luma thinned out, up to a few levels, whatever the pixels are packed in."""
    rgb = np.repeat(np.repeat(RNG.integers(40, 200, (9, 16, 3), np.uint8), 40, 0), 40, 1)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=name)
    picture = AvPicture(frame, Converters())
    thin = picture.thin()
    assert (thin.shape, thin.dtype, thin.flags.c_contiguous) == ((90, 160), np.uint8, True)
    assert thin is picture.thin()
    difference = thin.astype(int) - thinned(picture.gray())
    assert np.abs(difference).max() <= 24  # ranges differ: 16 to 235, and 0 to 255


def test_a_still_picture_through_an_encoder() -> None:
    """H.264 of a picture that never changes stands still, too."""
    view, doubts = watch(frozen_after_s=8.0), []
    stream = io.BytesIO()
    rgb = numbered(3)
    with av.open(stream, "w", format="matroska") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        video.gop_size = 50
        for number in range(500):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = number
            out.mux(video.encode(frame))
        out.mux(video.encode())
    stream.seek(0)
    with av.open(stream) as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            if number % 5 == 0:
                picture = AvPicture(frame, Converters())
                doubts.append(view.look(picture.thin, number / 25))
    assert doubts[-1] == "frozen"
