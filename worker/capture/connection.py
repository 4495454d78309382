"""One connection to a source: opens it, reads it, decodes it, and says which frames are due."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from worker.capture.cadence import Cadence
from worker.capture.clock import Clock, Moment
from worker.capture.faults import ALMOST, Phase, camera_error
from worker.capture.target import BOUNDS, target_of, video_of
from worker.config import Camera
from worker.errors import CameraError

Opener = Callable[..., InputContainer]

MAX_PACKET_BYTES = 64 << 20
"""A frame of 8K in JPEG takes a third of it; what is larger is damage."""

MISSING_S = 2.0
"""A file whose pictures end so much before their time was not played to its end."""

KEYFRAME_WAIT_S = 30.0
"""Longest time without any keyframe: cameras with "smart" codecs send one in 10 to 20 s."""

RECOVER_S = 5.0
"""Longest time that frames count as smeared after damage, where no keyframe ends it before."""

UNSTAMPED = frozenset({"mpjpeg", "mjpeg", "h264", "hevc"})
"""Containers without time stamps; FFmpeg invents 25 a second."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded frame.

    Attributes:
        due: to be analysed; the others are not even wrapped.
        sound: not flagged by the decoder, nor built on what was damaged.
        clock_fault: the camera's time stamps jump or stand still; ours serve instead.
        at: when it arrived.
    """

    frame: av.VideoFrame
    due: bool
    sound: bool
    clock_fault: bool
    at: Moment


class Connection:
    """Opens a source once, and iterates over its frames until it ends or fails.

    A context manager; every fault that a camera can have is a ``CameraError`` with its reason.

    Args:
        camera: what to open and how.
        clock: wall and monotonic time.
        opener: ``av.open`` or its like.
        guard_reads: bound each read as a whole as well. Costs the GIL several times a network
            packet, which slows all cameras down, so it is only for one that hung before. HTTP
            has it always: reads are few there, and one part without an end would fill memory.
        pause: sleeps for so many seconds; True when it is time to stop.
        beat: called before anything that may hang.
        on_packet: hears of every packet of the video, and of the monotonic time it came.
    """

    def __init__(
        self,
        camera: Camera,
        *,
        clock: Clock,
        opener: Opener,
        guard_reads: bool,
        pause: Callable[[float], bool],
        beat: Callable[[], None],
        on_packet: Callable[[av.Packet[VideoStream], float], None] | None = None,
    ) -> None:
        self._camera = camera
        self._clock = clock
        self._pause = pause
        self._beat = beat
        self._on_packet = on_packet
        self._local = camera.scheme in {"file", "device"}
        self._damaged_s: float | None = None
        self._keyframe_s: float | None = None
        self._frame_s = 0.0
        self._stopping = False
        self._container = self._open(opener, guard_reads=guard_reads)
        try:
            self._stream = self._video_stream()
        except BaseException:
            self.close()
            raise
        self._cadence = self._new_cadence()

    @property
    def stream(self) -> VideoStream:
        """The video as FFmpeg describes it; to look at, not to read from."""
        return self._stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of sockets and buffers; may take as long as one time-out."""
        self._container.close()

    def frames(self) -> Generator[Decoded]:
        """Every decoded frame, in order; blocks while the source sends none.

        Returns at the end of a file, or when ``pause`` says so.

        Raises:
            CameraError: the source failed, sends nothing to decode, or ended though live.
        """
        begin_s = self._frame_s = self._clock.monotonic_s()
        paced = self._camera.realtime or self._is_recording()
        seen = False
        for packet in self._packets():
            for frame in self._decode(packet):
                now_s = self._clock.monotonic_s()
                due = self._cadence.due(frame.time, now_s)
                if paced:
                    self._pause(begin_s + self._cadence.media_s - now_s)
                    now_s = self._clock.monotonic_s()
                sound = self._is_sound(frame, now_s)
                if sound:
                    seen, self._frame_s = True, now_s
                else:
                    self._check_decodable(now_s)
                at = Moment(self._clock.wall_s(), now_s)
                yield Decoded(frame, due, sound, self._cadence.disturbed, at)
        if not self._stopping:
            self._end(seen=seen)
            if paced:
                self._pause(self._cadence.interval_s)

    def _open(self, opener: Opener, *, guard_reads: bool) -> InputContainer:
        """Open the source; the time-outs of FFmpeg and of PyAV each cover what the other lacks."""
        camera = self._camera
        target, options = target_of(camera)
        guarded = guard_reads or camera.scheme in {"http", "https"}
        read_s = camera.read_timeout_s if guarded else None
        return self._call(
            "open",
            lambda: opener(
                target,
                timeout=(camera.open_timeout_s, read_s),
                metadata_errors="replace",
                **options,
            ),
        )

    def _call(self, phase: Phase, work: Callable[[], T]) -> T:
        """Do something that may hang or fail, and say what a failure means."""
        self._beat()
        begin_s = self._clock.monotonic_s()
        try:
            return work()
        except av.error.FFmpegError as error:
            camera = self._camera
            limit_s = camera.read_timeout_s
            if phase == "open":
                limit_s = min(limit_s, camera.open_timeout_s)
            fault = camera_error(
                error,
                camera.address,
                phase=phase,
                timed_out=self._clock.monotonic_s() - begin_s >= ALMOST * limit_s,
                local=self._local,
            )
        # Not chained: the error of PyAV holds the password.
        raise fault from None

    def _video_stream(self) -> VideoStream:
        """The first stream with pictures, its decoder set to one thread."""
        stream = video_of(self._container, self._camera.address)
        # Threads of FFmpeg cost 1.19 times the CPU and delay each frame by their number.
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = BOUNDS
        if self._camera.keyframes_only:
            stream.codec_context.skip_frame = "NONKEY"
        return stream

    def _new_cadence(self) -> Cadence:
        camera = self._camera
        rate = self._stream.average_rate
        return Cadence(
            camera.analyse_fps,
            live=camera.live and not camera.realtime and not self._is_recording(),
            nominal_fps=float(rate) if rate else None,
            stamped=self._container.format.name not in UNSTAMPED or not camera.live,
        )

    def _is_recording(self) -> bool:
        """True for a finished video behind HTTP, which would else arrive all at once."""
        return self._camera.scheme in {"http", "https"} and self._container.duration is not None

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        """Packets of the video; ends with the source.

        Those of other streams are asked for as well where somebody else sends them: while only
        sound came, PyAV would never return.
        """
        packets = self._container.demux(*([self._stream] if self._local else []))
        while True:
            packet = self._call("read", lambda: _next(packets))
            self._stopping = self._pause(0.0)
            if packet is None or self._stopping:
                return
            if packet.stream_index != self._stream.index:
                self._check_decodable(self._clock.monotonic_s())
                continue
            if self._on_packet is not None:
                self._on_packet(packet, self._clock.monotonic_s())
            yield packet

    def _decode(self, packet: av.Packet[VideoStream]) -> list[av.VideoFrame]:
        """The frames that a packet completes; none where it is damaged or need not be decoded."""
        now_s = self._clock.monotonic_s()
        if packet.is_keyframe:
            self._keyframe_s = now_s
        elif self._camera.keyframes_only and packet.size:
            self._check_decodable(now_s)
            return []
        if packet.is_corrupt:
            self._damaged_s = now_s
        if packet.size > MAX_PACKET_BYTES:
            self._damaged_s = now_s
            self._check_decodable(now_s)
            return []
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            self._damaged_s = now_s
            frames = []
        if not frames:
            self._check_decodable(now_s)
        return frames

    def _is_sound(self, frame: av.VideoFrame, now_s: float) -> bool:
        """False for a frame that is damaged, or that follows one up to the next keyframe."""
        if frame.is_corrupt:
            self._damaged_s = now_s
            return False
        if self._damaged_s is None:
            return True
        if frame.key_frame or now_s - self._damaged_s > RECOVER_S:
            self._damaged_s = None
            return True
        return False

    def _check_decodable(self, now_s: float) -> None:
        """Give up on a source that sends and sends, and nothing comes out."""
        limit_s = self._camera.read_timeout_s
        if self._keyframe_s is None or self._camera.keyframes_only:
            limit_s = max(limit_s, KEYFRAME_WAIT_S)
        if now_s - self._frame_s > limit_s and self._camera.scheme != "file":
            raise CameraError(
                "undecodable",
                f"{self._camera.address} sends data, but no sound picture for {limit_s:.0f} s; "
                "check the camera's codec settings and its keyframe interval",
            )

    def _end(self, *, seen: bool) -> None:
        """A live source never ends by itself, and a file holds at least one frame."""
        address = self._camera.address
        if not self._local:
            raise CameraError(
                "ended", f"{address} hung up; check the camera and how many viewers it allows"
            )
        if not seen:
            raise CameraError(
                "undecodable",
                f"{address} holds no picture that can be decoded; the file is empty, truncated "
                "or no video",
            )
        missing_s = self._duration_s() - self._cadence.media_s
        if missing_s > MISSING_S and not self._camera.loop:
            raise CameraError(
                "undecodable",
                f"{address} ends {missing_s:.0f} s too soon; the rest of the file is missing, "
                "damaged or in another codec; play it with ffplay to see",
            )

    def _duration_s(self) -> float:
        """How long the pictures of a file should last; 0 where it cannot be relied on."""
        container, stream = self._container, self._stream
        if container.format.name in UNSTAMPED:
            return 0.0
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        alone = len(container.streams) == 1
        return (container.duration or 0) / av.time_base if alone else 0.0


def _next(packets: Iterator[Any]) -> av.Packet[VideoStream] | None:
    """The next packet; None at the end."""
    try:
        return next(packets, None)
    except IndexError:
        return None  # PyAV at the end of a source in which streams appeared after the opening
