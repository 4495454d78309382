"""Opens a camera once, through the worker's own capture, and writes down what arrives."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import av
from av.video.stream import VideoStream

from worker.capture.clock import Clock, SystemClock
from worker.capture.connection import Connection, Decoded, Opener
from worker.capture.picture import AvPicture, Converters
from worker.config import Camera
from worker.errors import CameraError
from worker.records import Picture

Transport = Literal["tcp", "udp", "http", "file", "device", "demo"]

MAX_PICTURES = 24
MAX_PICTURE_BYTES = 192 << 20
"""Bounds of what is kept to look for faces in; a picture is held as it was decoded."""


@dataclass(frozen=True, slots=True)
class About:
    """What the stream says of itself.

    Attributes:
        announced_fps: frames a second; None where the stream says nothing.
        reordered: it has B-frames, which come later than they are shown.
    """

    codec: str
    profile: str | None
    width: int
    height: int
    announced_fps: float | None
    reordered: bool
    transport: Transport


@dataclass(frozen=True, slots=True)
class Arrival:
    """One decoded frame: when it came, and what the stream's clock says of it.

    Attributes:
        at_s: monotonic clock.
        stamp_s: presentation time of the stream, None where it has none.
        keyframe: later frames need nothing from before it.
        sound: not damaged, nor built on what was.
    """

    at_s: float
    stamp_s: float | None
    keyframe: bool
    sound: bool


@dataclass(slots=True)
class Reading:
    """What a camera sent.

    Attributes:
        about: None where it could not be opened.
        first_frame_s: from the start of opening to the first sound picture.
        packets: time of arrival and bytes of each packet of the video.
        pictures: evenly taken out of what the worker would analyse.
        error: why it could not be opened, or read to the end.
    """

    about: About | None = None
    first_frame_s: float | None = None
    packets: list[tuple[float, int]] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    error: CameraError | None = None


def read(
    camera: Camera,
    seconds: float,
    *,
    clock: Clock | None = None,
    opener: Opener = av.open,
) -> Reading:
    """Watch a camera for some seconds, counted from its first picture.

    Blocks; beyond that time, for as long as the camera's time-outs allow. A file is played at
    its own pace. Every frame is decoded, whatever the camera's ``keyframes_only`` says.

    Args:
        camera: what to open, and how many frames a second are to be analysed.
        seconds: how long.
        clock: monotonic time, and sleeping.
        opener: ``av.open`` or its like.
    """
    pace = {"realtime": True} if camera.scheme == "file" else {}
    session = _Session(clock or SystemClock(), seconds)
    watched = camera.model_copy(update={"keyframes_only": False, **pace})
    _interruptible(lambda: session.follow(watched, opener))
    return session.reading


def _interruptible(work: Callable[[], None]) -> None:
    """Do it on a thread of its own: Ctrl-C is not heard inside FFmpeg, which may hang."""
    faults: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 (raised again, on the thread that waits)
            faults.append(error)

    thread = threading.Thread(target=run, name="probe", daemon=True)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]


class _Session:
    """One connection, and what is known of it so far."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.reading = Reading()
        self._clock = clock
        self._seconds = seconds
        self._begin_s = clock.monotonic_s()
        self._end_s: float | None = None
        self._converters = Converters()
        self._never = threading.Event()
        self._due = 0
        self._every = 1

    def follow(self, camera: Camera, opener: Opener) -> None:
        """Open, read and decode until the time is over, or the source fails."""
        try:
            connection = Connection(
                camera,
                clock=self._clock,
                opener=opener,
                guard_reads=True,
                pause=self._pause,
                beat=lambda: None,
                on_packet=self._count,
            )
            with connection, contextlib.closing(connection.frames()) as frames:
                for decoded in frames:
                    if self.reading.about is None:
                        self.reading.about = _about(connection.stream, decoded, camera)
                    self._take_note(decoded)
        except CameraError as error:
            self.reading.error = error

    def _count(self, packet: av.Packet[VideoStream], at_s: float) -> None:
        self.reading.packets.append((at_s, packet.size))

    def _take_note(self, decoded: Decoded) -> None:
        frame, reading = decoded.frame, self.reading
        reading.arrivals.append(
            Arrival(decoded.at.monotonic_s, frame.time, bool(frame.key_frame), decoded.sound)
        )
        if not decoded.sound:
            return
        if reading.first_frame_s is None:
            reading.first_frame_s = decoded.at.monotonic_s - self._begin_s
            self._end_s = decoded.at.monotonic_s + self._seconds
        if decoded.due:
            self._keep(frame)

    def _keep(self, frame: av.VideoFrame) -> None:
        """Keep one in so many, and with each overflow half of those, so that they stay even."""
        pictures = self.reading.pictures
        if self._due % self._every == 0:
            pictures.append(AvPicture(frame, self._converters))
        self._due += 1
        each_bytes = frame.width * frame.height * 3 // 2
        if len(pictures) > max(2, min(MAX_PICTURES, MAX_PICTURE_BYTES // each_bytes)):
            del pictures[1::2]
            self._every *= 2

    def _pause(self, seconds: float) -> bool:
        """Sleep, until the time is over; True when it is."""
        left_s = seconds
        if self._end_s is not None:
            left_s = min(seconds, self._end_s - self._clock.monotonic_s())
        if left_s > 0:
            self._clock.wait(self._never, left_s)
        return self._end_s is not None and self._clock.monotonic_s() >= self._end_s


def _about(stream: VideoStream, decoded: Decoded, camera: Camera) -> About:
    """The stream's description, once a picture was decoded and all of it is known."""
    codec = stream.codec_context
    rate = stream.average_rate or codec.framerate
    return About(
        codec=codec.name,
        profile=codec.profile,
        width=decoded.frame.width,
        height=decoded.frame.height,
        announced_fps=float(rate) if rate and 0 < rate <= 240 else None,
        reordered=bool(codec.has_b_frames),
        transport=_transport(camera),
    )


def _transport(camera: Camera) -> Transport:
    transports: dict[str, Transport] = {
        "rtsp": camera.rtsp_transport,
        "rtsps": "tcp",
        "http": "http",
        "https": "http",
        "device": "device",
        "demo": "demo",
    }
    return transports.get(camera.scheme, "file")
