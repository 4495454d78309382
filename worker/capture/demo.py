"""A synthetic camera: people with and without masks walk through a hall, for ever.

The frames are really encoded to H.264 and decoded again, so that for the rest of the worker
it is a camera like any other.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import parse_qsl, urlsplit

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from worker.capture.clock import Clock, SystemClock
from worker.capture.portraits import Figure, figure
from worker.errors import ConfigError
from worker.records import Box, ClassName, Image

FORMAT = "flv"
"""Container of the stream: each frame is complete as soon as it is written."""

OPTIONS = {"fpsprobesize": "0", "probesize": "5000"}
"""Read no more than the first frame before the stream counts as open."""

KINDS: tuple[ClassName, ...] = (
    "without_mask",
    "with_mask",
    "with_mask",
    "without_mask",
    "mask_worn_incorrectly",
    "with_mask",
)
"""How the people wear their masks, round and round."""


@dataclass(frozen=True, slots=True)
class _Row:
    """Walkers behind one of the hall's barriers.

    Attributes:
        face_y: height of the faces, as a share of the picture.
        barrier_y: upper edge of the barrier before them, the same.
        face_px: width of a face at 720 lines.
        speed: picture widths a second.
    """

    face_y: float
    barrier_y: float
    face_px: float
    speed: float


ROWS = (
    _Row(face_y=0.66, barrier_y=0.915, face_px=112.0, speed=0.075),
    _Row(face_y=0.37, barrier_y=0.525, face_px=70.0, speed=-0.055),
    _Row(face_y=0.155, barrier_y=0.25, face_px=44.0, speed=0.045),
)
"""Near to far. The faces of each row lie above the heads of the row before it, as a camera
under the ceiling sees it."""

MAX_PEOPLE = 9


@dataclass(frozen=True, slots=True)
class _Walker:
    """One person, and how it moves."""

    figure: Figure
    row: _Row
    start: float
    span: float
    phase: float


class Scene:
    """A hall with walkers. The same arguments give the same pictures.

    Args:
        width: of the picture in pixels.
        height: of the picture in pixels.
        fps: frames a second, which sets how far people walk from frame to frame.
        people: how many walk about, 1 to ``MAX_PEOPLE``; not all are in view at all times.
        seed: chooses faces, clothes, masks and paths.

    Raises:
        ConfigError: the portraits are not installed.
    """

    def __init__(self, width: int, height: int, fps: float, people: int = 6, seed: int = 0) -> None:
        self.width, self.height, self.fps = width, height, fps
        rng = np.random.default_rng(seed)
        self._background = _hall(width, height, rng)
        self._walkers = _walkers(width, height, people, rng)

    def render(self, index: int) -> Image:
        """Frame ``index``, ``uint8 (H, W, 3) BGR``, its own memory."""
        picture = self._background.copy()
        for walker in reversed(self._walkers):
            barrier = round(walker.row.barrier_y * self.height)
            _paste(picture[:barrier], walker.figure.pixels, self._place(walker, index))
        return picture

    def faces(self, index: int) -> list[tuple[Box, ClassName]]:
        """What ``render`` shows: the faces at least half in view, and how masks are worn."""
        found = []
        for walker in self._walkers:
            place = self._place(walker, index)
            face = walker.figure.face
            corners = np.array([[face.x1, face.y1, 1], [face.x2, face.y2, 1]]) @ place.T
            box = Box(*corners.ravel().tolist())
            inside = box.clipped(self.width, self.height)
            if inside.width * inside.height >= 0.5 * box.width * box.height:
                found.append((inside, walker.figure.label))
        return found

    def _place(self, walker: _Walker, index: int) -> NDArray[np.float64]:
        """The affine map, ``float (2, 3)``, from a figure's pixels into the picture."""
        seconds = index / self.fps
        along = (walker.start + walker.row.speed * seconds) % walker.span
        margin = (walker.span - 1) / 2
        face = walker.figure.face
        scale = 1 + 0.05 * np.sin(0.5 * seconds + walker.phase)
        lean = 0.035 * np.sin(3.1 * seconds + walker.phase)
        step = 0.006 * self.height * abs(np.sin(4.4 * seconds + walker.phase))
        x = (along - margin) * self.width
        y = walker.row.face_y * self.height - step
        middle_x, middle_y = (face.x1 + face.x2) / 2, (face.y1 + face.y2) / 2
        # Leaning is a shear about the face, so that its box stays upright.
        return np.array(
            [
                [scale, lean, x - scale * middle_x - lean * middle_y],
                [0.0, scale, y - scale * middle_y],
            ]
        )


class SceneStream(io.RawIOBase):
    """A scene as bytes of a live stream: what PyAV opens in place of a network address.

    ``read`` blocks until the next frame is due, as a camera would, and then encodes it.
    """

    def __init__(self, scene: Scene, clock: Clock | None = None) -> None:
        self._scene = scene
        self._clock = clock or SystemClock()
        self._never = threading.Event()
        self._bytes = io.BytesIO()
        self._container = av.open(
            self._bytes, "w", format=FORMAT, options={"flvflags": "no_duration_filesize"}
        )
        self._stream = self._new_stream()
        self._index = 0
        self._begin_s = self._clock.monotonic_s()

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Bytes of the stream, at most ``size``; never the end."""
        while True:
            data = self._bytes.read(size)
            if data:
                return data
            self._encode_next()

    def _encode_next(self) -> None:
        """Wait for the next frame's time, draw it, encode it."""
        wait_s = self._begin_s + self._index / self._scene.fps - self._clock.monotonic_s()
        if wait_s > 0:
            self._clock.wait(self._never, wait_s)
        frame = av.VideoFrame.from_ndarray(self._scene.render(self._index), format="bgr24")
        frame.pts = self._index
        self._bytes.seek(0)
        self._bytes.truncate()
        self._container.mux(self._stream.encode(frame))
        self._bytes.seek(0)
        self._index += 1

    def _new_stream(self) -> VideoStream:
        rate = Fraction(self._scene.fps).limit_denominator(1000)
        stream = self._container.add_stream("libx264", rate=rate)
        stream.width, stream.height = self._scene.width, self._scene.height
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = 1 / rate
        stream.codec_context.gop_size = round(2 * self._scene.fps)
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}
        return stream


def open_stream(url: str) -> SceneStream:
    """The stream behind an address like ``demo:entrance?width=960&height=540&fps=15&people=6``.

    The name chooses the people; all that follows it may be left out.

    Raises:
        ConfigError: the address says something else, or the portraits are not installed.
    """
    parts = urlsplit(url)
    values = {"width": 960, "height": 540, "fps": 15, "people": 6}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        if key not in values or not text.isdecimal() or not 1 <= int(text) <= 3840:
            raise ConfigError(
                f"{url}: {key}={text} is not understood; write for example "
                "demo:entrance?width=960&height=540&fps=15&people=6"
            )
        values[key] = int(text)
    seed = int.from_bytes(parts.path.encode(), "big") % (1 << 32)
    width, height = values["width"] // 2 * 2, values["height"] // 2 * 2
    return SceneStream(Scene(width, height, values["fps"], values["people"], seed))


def _walkers(width: int, height: int, people: int, rng: np.random.Generator) -> list[_Walker]:
    """The people, near to far."""
    people = min(max(1, people), MAX_PEOPLE)
    first = int(rng.integers(len(KINDS)))
    rows: list[list[Figure]] = [[] for _ in ROWS]
    for number in range(people):
        place = number % len(ROWS)
        face_px = ROWS[place].face_px * height / 720 * float(rng.uniform(0.92, 1.04))
        portrait = place + len(rows[place])  # neighbours differ
        label = KINDS[(first + number) % len(KINDS)]
        rows[place].append(figure(portrait, label, face_px, rng))
    walkers: list[_Walker] = []
    for row, figures in zip(ROWS, rows, strict=True):
        if figures:
            walkers += _in_line(row, figures, width, rng)
    return walkers


def _in_line(
    row: _Row, figures: list[Figure], width: int, rng: np.random.Generator
) -> list[_Walker]:
    """The walkers of one row, evenly apart on one round trip, so that nobody collides."""
    reach_px = max(
        max(middle, person.pixels.shape[1] - middle)
        for person in figures
        for middle in [(person.face.x1 + person.face.x2) / 2]
    )
    span = 1 + 2.2 * reach_px / width
    offset = float(rng.random())
    return [
        _Walker(
            person,
            row,
            start=(offset + place / len(figures)) * span,
            span=span,
            phase=float(rng.uniform(0, 6.28)),
        )
        for place, person in enumerate(figures)
    ]


def _paste(picture: Image, pixels: Image, place: NDArray[np.float64]) -> None:
    """Blend premultiplied BGRA pixels into a picture, where an affine map puts them."""
    height, width = pixels.shape[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ place.T
    left, top = np.floor(np.maximum(corners.min(axis=0), 0)).astype(int)
    right, bottom = np.ceil(
        np.minimum(corners.max(axis=0), (picture.shape[1], picture.shape[0]))
    ).astype(int)
    if left >= right or top >= bottom:
        return
    shifted = place - np.array([[0, 0, left], [0, 0, top]])
    size = (int(right - left), int(bottom - top))
    layer = cv2.warpAffine(pixels, shifted, size, flags=cv2.INTER_LINEAR)
    area = picture[top:bottom, left:right]
    through = cv2.cvtColor(cv2.bitwise_not(layer[:, :, 3]), cv2.COLOR_GRAY2BGR)
    colours = cv2.cvtColor(layer, cv2.COLOR_BGRA2BGR)
    cv2.add(cv2.multiply(area, through, scale=1 / 255), colours, dst=area)


def _hall(width: int, height: int, rng: np.random.Generator) -> Image:
    """An empty hall: windows, a door, three barriers; quiet, so that only people move."""
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = np.linspace(208, 168, height)[:, None, None] * np.array([0.96, 0.98, 1.0])
    top, low, line = round(0.035 * height), round(0.2 * height), max(1, height // 360)
    for pane in range(5):
        left = round(width * (0.05 + 0.155 * pane))
        right = left + round(width * 0.125)
        cv2.rectangle(picture, (left, top), (right, low), (226, 214, 198), -1)
        cv2.rectangle(picture, (left, top), (right, low), (128, 130, 132), line)
    door = ((round(width * 0.84), top), (round(width * 0.95), round(0.26 * height)))
    cv2.rectangle(picture, *door, (104, 118, 134), -1)
    cv2.rectangle(picture, *door, (80, 88, 98), line)
    for row in reversed(ROWS):
        _draw_barrier(picture, round(row.barrier_y * height), ledge=round(row.face_px / 7))
    picture += rng.normal(0, 1.2, (height, width, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _draw_barrier(picture: NDArray[np.float32], top: int, ledge: int) -> None:
    """A panelled barrier from ``top`` to the lower edge, with a ledge of some pixels."""
    height, width = picture.shape[:2]
    ledge = max(2, ledge * height // 720)
    shade = np.linspace(1.0, 0.82, height - top)[:, None, None]
    picture[top:] = shade * np.array([142.0, 150.0, 156.0])
    picture[top : top + ledge] = (196, 204, 210)
    picture[top + ledge : top + ledge + max(1, ledge // 3)] *= 0.7
    for seam in np.arange(0.04, 1.0, ledge * 18 / 720):
        picture[top + ledge :, round(width * seam)] *= 0.88
