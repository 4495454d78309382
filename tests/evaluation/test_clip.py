"""Tests of the clip for the bench."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from worker.errors import WorkError
from worker.evaluation.clip import make_clip
from worker.records import Image


class Stripe:
    """A white bar that moves a pixel a frame."""

    def render(self, index: int) -> Image:
        image = np.full((96, 128, 3), 40, np.uint8)
        image[:, index % 128 : index % 128 + 16] = 230
        return image


def test_a_clip_is_what_a_camera_sends(tmp_path: Path) -> None:
    """H.264 of the asked length and rate, a keyframe every 50, no B-frames."""
    path = make_clip(tmp_path / "sub" / "clip.mp4", Stripe(), 4.0)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 128, 96)
        assert stream.average_rate == 25
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert len(packets) == 100
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 50]
    assert all(packet.pts == packet.dts for packet in packets)


def test_the_same_scene_gives_the_same_bytes(tmp_path: Path) -> None:
    """Figures of two runs are about the same pictures."""
    first = make_clip(tmp_path / "a.mp4", Stripe(), 0.4).read_bytes()
    assert make_clip(tmp_path / "b.mp4", Stripe(), 0.4).read_bytes() == first


def test_a_clip_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Neither half a clip nor a hidden one."""
    (tmp_path / "dir.mp4").mkdir()
    with pytest.raises(WorkError, match=r"dir\.mp4 cannot be written"):
        make_clip(tmp_path / "dir.mp4", Stripe(), 0.2)
    assert [path.name for path in tmp_path.iterdir()] == ["dir.mp4"]
