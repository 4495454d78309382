"""Tests of the yardstick."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from worker.errors import ConfigError
from worker.evaluation.clip import make_clip
from worker.evaluation.report_loop import AS_REPORTED, USUAL, run_report_loop
from worker.records import Image


class Drawing:
    """A face that the cascade knows, as long as ``render`` is given it."""

    def __init__(self, image: Image) -> None:
        self._image = image

    def render(self, index: int) -> Image:
        return self._image


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve frames without a face."""
    return make_clip(tmp_path / "clip.mp4", Drawing(np.full((96, 128, 3), 90, np.uint8)), 12 / 25)


def test_every_kth_frame_is_analysed(clip: Path) -> None:
    """The first one included; the time is that of this process."""
    pytest.importorskip("torch")
    cost = run_report_loop(clip, every=5)
    assert (cost.frames_decoded, cost.frames_analysed, cost.faces) == (12, 3, 0)
    assert cost.cpu_s_per_analysed_frame == pytest.approx(4 * cost.cpu_s_per_frame)


def test_faces_are_classified_one_by_one(tmp_path: Path) -> None:
    """A real portrait is found by the usual settings."""
    pytest.importorskip("torch")
    data = pytest.importorskip("skimage.data")
    portrait = np.ascontiguousarray(data.astronaut()[..., ::-1])
    cost = run_report_loop(make_clip(tmp_path / "face.mp4", Drawing(portrait), 0.2), every=2)
    assert cost.faces >= cost.frames_analysed


def test_the_loop_ends_where_it_is_told(clip: Path) -> None:
    """After so many frames."""
    pytest.importorskip("torch")
    assert run_report_loop(clip, max_frames=6, settings=AS_REPORTED).frames_decoded == 6


def test_the_number_of_threads_is_as_before(clip: Path) -> None:
    """One thread is for the loop alone."""
    torch = pytest.importorskip("torch")
    before = cv2.getNumThreads(), torch.get_num_threads()
    run_report_loop(clip, settings=USUAL)
    assert (cv2.getNumThreads(), torch.get_num_threads()) == before


def test_what_is_no_video_is_wrong_usage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The option is named."""
    pytest.importorskip("torch")
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(ConfigError, match=r"--clip .*x\.mp4 is no video"):
        run_report_loop(tmp_path / "x.mp4")


def test_without_torch_a_sentence_says_what_to_install(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r"maskwatch\[train\]"):
        run_report_loop(clip)
