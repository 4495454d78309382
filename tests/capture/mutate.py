"""Corrupt clips by the number: the same number gives the same clip, on any machine.

    python -m capture.mutate 0 200        (in tests/) plays them, a line of JSON each

Each is played as a camera would be, in this process, so whoever must survive a crash runs it as a
child (``test_corrupt_clips.py`` does).
"""

from __future__ import annotations

import io
import json
import random
import re
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
from capture.clips import make_clip
from capture.watch import FakeClock

from worker.capture.motion import Motion
from worker.capture.picture import silence_ffmpeg
from worker.capture.slot import Slot
from worker.capture.source import Source
from worker.config import Camera
from worker.records import CameraStatus, Gap

ALL = 200
BASES: Mapping[str, Mapping[str, Any]] = {
    "h264.mp4": {"bf": 2, "preset": "veryfast"},
    "h264.mkv": {},
    "h264.ts": {"gop": 10},
    "mjpeg.mkv": {"codec": "mjpeg"},
}
OTHER = {"size": (480, 360), "profile": "high", "bf": 1, "preset": "veryfast"}
"""The clip whose parameter sets are put into another: larger pictures, another profile."""

Chance = random.Random
Bytes = Callable[[bytearray, Chance], bytearray]
Packets = Callable[[list[av.Packet], Chance], list[av.Packet]]


def flip_bits(data: bytearray, chance: Chance) -> bytearray:
    """One bit in a few hundred bytes to tens of thousands."""
    for _ in range(max(1, len(data) // chance.choice([300, 3_000, 30_000]))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def truncate(data: bytearray, chance: Chance) -> bytearray:
    """Cut off somewhere."""
    return data[: chance.randrange(len(data))]


def zero(data: bytearray, chance: Chance) -> bytearray:
    """A few ranges of nothing, as a bad sector leaves."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        size = min(chance.choice([16, 512, 4_096]), len(data) - at)
        data[at : at + size] = bytes(size)
    return data


def spoil_header(data: bytearray, chance: Chance) -> bytearray:
    """Garbage where the container says what it is."""
    at = chance.randrange(256)
    data[at : at + chance.choice([4, 16, 64])] = chance.randbytes(16)
    return data


def spoil_end(data: bytearray, chance: Chance) -> bytearray:
    """Garbage where MP4 and MKV keep their index."""
    size = min(len(data), chance.choice([64, 1_024]))
    data[-size:] = chance.randbytes(size)
    return data


def shuffle(data: bytearray, chance: Chance) -> bytearray:
    """Two pieces change places."""
    one, two = sorted(chance.sample(range(64, len(data)), 2))
    size = min(1_000, two - one, len(data) - two)
    data[one : one + size], data[two : two + size] = (
        data[two : two + size],
        data[one : one + size],
    )
    return data


def drop(packets: list[av.Packet], chance: Chance) -> list[av.Packet]:
    """Every third packet or so is lost, keyframes too."""
    return [packet for packet in packets if chance.random() > 0.3]


def repeat(packets: list[av.Packet], chance: Chance) -> list[av.Packet]:
    """Some come twice."""
    return [p for packet in packets for p in [packet] * (1 + (chance.random() < 0.3))]


def reorder(packets: list[av.Packet], chance: Chance) -> list[av.Packet]:
    """Neighbours overtake each other."""
    return sorted(packets, key=lambda packet: (packet.dts or 0) + chance.uniform(0, 4) * 1_000)


BYTES: tuple[Bytes, ...] = (flip_bits, truncate, zero, spoil_header, spoil_end, shuffle)
PACKETS: tuple[Packets, ...] = (drop, repeat, reorder)


class Mutator:
    """Makes corrupt clips out of good ones, which it encodes once.

    Args:
        folder: where the good ones go.
    """

    def __init__(self, folder: Path) -> None:
        self.good = {
            name: make_clip(folder / name, seconds=1, size=(160, 96), **options)
            for name, options in BASES.items()
        }
        self._other = {
            suffix: make_clip(folder / f"other{suffix}", seconds=0.2, **OTHER)
            for suffix in (".mp4", ".mkv", ".ts")
        }

    def variant(self, number: int) -> tuple[str, bytes]:
        """What was done to which clip, and the result."""
        base = [*self.good][number % len(self.good)]
        ways: list[Any] = [*BYTES, *PACKETS, *([_swap] if base.startswith("h264") else [])]
        way = ways[number // len(self.good) % len(ways)]
        chance, path = random.Random(number), self.good[base]
        if way in BYTES:
            data = bytes(way(bytearray(path.read_bytes()), chance))
        elif way in PACKETS:
            data = _remuxed(path, lambda packets: way(packets, chance))
        else:
            data = _swap(path, self._other[path.suffix], chance)
        return f"{way.__name__.strip('_')} {base}", data


def _remuxed(path: Path, change: Callable[[list[av.Packet]], list[av.Packet]]) -> bytes:
    """The clip with its packets changed; time stamps are made to go on, as muxers insist."""
    out = io.BytesIO()
    exact = {"fflags": "bitexact"}
    with (
        av.open(str(path)) as source,
        av.open(out, "w", format=_muxer(path), options=exact) as sink,
    ):
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        stamps = [(packet.pts, packet.dts) for packet in packets]
        step = max(1, (stamps[-1][0] - stamps[0][0]) // len(stamps))
        for number, packet in enumerate(change(packets)):
            data = av.Packet(bytes(packet))
            data.time_base = stream.time_base
            data.pts = data.dts = number * step
            data.is_keyframe = packet.is_keyframe
            data.stream = copy
            sink.mux(data)
    return out.getvalue()


def _swap(path: Path, other: Path, chance: Chance) -> bytes:
    """The clip under the parameter sets of another one, or under a part of them."""
    own, foreign = bytearray(path.read_bytes()), other.read_bytes()
    begins, size = _parameter_sets(foreign), chance.randint(4, 24)
    for at in _parameter_sets(bytes(own)):
        begin = chance.choice(begins)
        piece = foreign[begin : begin + size]
        own[at : at + len(piece)] = piece
    return bytes(own)


def _parameter_sets(data: bytes) -> list[int]:
    """Where parameter sets of H.264 begin: baseline, main and high profile."""
    return [found.start() for found in re.finditer(rb"\x67[\x42\x4d\x64]", data)]


def _muxer(path: Path) -> str:
    return {".mp4": "mp4", ".mkv": "matroska", ".ts": "mpegts"}[path.suffix]


class Player:
    """Plays one clip as a camera, looks at every frame, and stops at the first fault."""

    def __init__(self, path: Path, *, realtime: bool) -> None:
        self.states: list[str] = []
        self.frames = 0
        self.drops: Counter[str] = Counter()
        camera = Camera(url=str(path), realtime=realtime, analyse_fps=25)
        clock, self._motion = FakeClock(), Motion()
        self._slot = Slot(
            live=camera.live,
            on_ready=self._look,
            on_drop=lambda reason, count: self.drops.update({reason: count}),
            monotonic=clock.monotonic_s,
        )
        self._source = Source("clip", camera, self._slot, listener=self, clock=clock)
        self._source.run()

    def _look(self) -> None:
        frame = self._slot.take()
        assert frame is not None
        picture = frame.picture
        self._motion.deserves_look(picture.thin(), frame.monotonic_s)
        assert picture.bgr().shape == (picture.height, picture.width, 3)
        int(picture.bgr().sum()) + int(picture.gray().sum())
        self.frames += 1

    def frame_received(self) -> None:
        """Nothing to do."""

    def gap(self, gap: Gap) -> None:
        """Nothing to do."""

    def reconnecting(self, reason: str) -> None:
        """Nothing to do."""

    def status(self, status: CameraStatus) -> None:
        """Remember it; a file that cannot be played would be tried for ever."""
        self.states.append(f"{status.state}: {status.reason}" if status.reason else status.state)
        if status.state == "down":
            self._source.stop()


def play(numbers: range) -> Iterator[dict[str, Any]]:
    """Play these variants, and a good clip at the end, which is number -1."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mutator = Mutator(folder)
        for number in numbers:
            what, data = mutator.variant(number)
            path = folder / f"variant{Path(what).suffix}"
            path.write_bytes(data)
            yield _told(number, what, Player(path, realtime=number % 2 == 1))
        yield _told(-1, "good", Player(mutator.good["h264.mp4"], realtime=False))


def _told(number: int, what: str, player: Player) -> dict[str, Any]:
    return {
        "number": number,
        "what": what,
        "end": player.states[-1],
        "frames": player.frames,
        "corrupt": player.drops["corrupt"],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


if __name__ == "__main__":
    silence_ffmpeg()
    first, last = (int(argument) for argument in sys.argv[1:3])
    for line in play(range(first, last)):
        print(json.dumps(line), flush=True)
