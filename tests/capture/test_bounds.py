"""What is too large is refused before it takes memory."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from capture.clips import make_clip
from capture.watch import FakeClock, played, watching

from worker.capture import connection


def _golomb(value: int) -> str:
    """Unsigned Exp-Golomb, as bits."""
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def _parameter_set(width: int, height: int) -> bytes:
    """A sequence parameter set of H.264 baseline (ITU-T H.264, 7.3.2.1) for pictures of a size."""
    bits = "01000010" + "00000000" + "00111110"  # baseline, no constraints, level 6.2
    bits += _golomb(0) + _golomb(0) + _golomb(2) + _golomb(1) + "0"
    bits += _golomb(width // 16 - 1) + _golomb(height // 16 - 1) + "1100" + "1"
    bits += "0" * (-len(bits) % 8)
    raw = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    escaped = bytearray()
    for byte in raw:
        if byte <= 3 and escaped[-2:] == b"\0\0":
            escaped.append(3)
        escaped.append(byte)
    return b"\x67" + bytes(escaped)


def claiming(folder: Path, width: int, height: int) -> Path:
    """A small clip whose parameter sets claim another size."""
    clip = make_clip(folder / "small.h264", seconds=0.2, profile="baseline").read_bytes()
    units = clip.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
    path = folder / "claims.h264"
    path.write_bytes(
        b"".join(
            b"\0\0\0\1" + (_parameter_set(width, height) if unit[0] & 31 == 7 else unit)
            for unit in units
        )
    )
    return path


def test_8k_is_decoded(tmp_path: Path) -> None:
    """The largest size that cameras send."""
    path = tmp_path / "8k.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=5)
        stream.width, stream.height, stream.pix_fmt = 7_680, 4_320, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(7_680, 4_320, "yuvj420p")))
        container.mux(stream.encode())
    watch = played(url=str(path), clock=FakeClock())
    assert (watch.frames[0].picture.width, watch.frames[0].picture.height) == (7_680, 4_320)
    assert watch.states[-1] == "ended"


@pytest.mark.parametrize(
    ("size", "reason", "words"),
    [
        ((16_384, 8_192), "unsupported", "16384x8192; at most 64 megapixels"),
        ((32_768, 18_432), "undecodable", "no picture that can be decoded"),
    ],
    ids=["16K", "32K"],
)
def test_larger_pictures_are_refused(
    tmp_path: Path, size: tuple[int, int], reason: str, words: str
) -> None:
    """With a sentence; FFmpeg itself keeps the size of the largest ones to itself."""
    with watching(url=str(claiming(tmp_path, *size)), clock=FakeClock()) as watch:
        watch.until(lambda: len(watch.statuses) >= 2)
    assert watch.states[1] == f"down: {reason}"
    assert words in watch.statuses[1].detail


def test_a_huge_packet_is_damage(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not decoded, and what follows is smeared up to the next keyframe."""
    largest = max(_sizes(clip))
    monkeypatch.setattr(connection, "MAX_PACKET_BYTES", largest - 1)
    watch = played(url=str(clip), analyse_fps=25)
    assert 0 < watch.received < 50
    assert watch.drops["corrupt"] > 0
    assert watch.states[-1] == "ended"


def _sizes(clip: Path) -> list[int]:
    with av.open(str(clip)) as container:
        return [packet.size for packet in container.demux(video=0)]
