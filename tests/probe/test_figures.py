"""From records to figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from probe.views import arrivals, faces, reading

from worker.probe.figures import stream_figures
from worker.probe.reading import Arrival, Reading


def test_an_even_stream() -> None:
    """25 frames a second, a keyframe a second, 1,000 bytes a frame."""
    figures = stream_figures(reading())
    assert figures is not None
    assert figures.fps == pytest.approx(25)
    assert (figures.keyframe_s, figures.keyframe_seen) == (pytest.approx(1.0), True)
    assert figures.bit_rate == pytest.approx(25 * 8_000)
    assert figures.jitter_ms == pytest.approx(0, abs=0.01)
    assert figures.longest_gap_s == pytest.approx(0.04)
    assert figures.drift == pytest.approx(0, abs=1e-6)
    assert (figures.damaged, figures.stamps_missing, figures.stamp_jumps) == (0, 0, 0)


def test_the_first_burst_is_left_out() -> None:
    """A server that first sends two seconds it had kept is not taken for a faster camera."""
    kept = [Arrival(100.0, n / 25, n % 25 == 0, True) for n in range(50)]
    live = [replace(f, stamp_s=2 + (f.stamp_s or 0)) for f in arrivals()]
    figures = stream_figures(reading(kept + live))
    assert figures is not None
    assert figures.fps == pytest.approx(25, rel=0.01)


def test_jitter_is_of_arrivals_against_stamps() -> None:
    """Frames that come up to 100 ms late jitter by that order."""
    figures = stream_figures(reading(arrivals(jitter_s=0.05)))
    assert figures is not None
    assert 20 < figures.jitter_ms < 150


def test_one_keyframe_says_at_least() -> None:
    """Where no second keyframe came, the interval is only bounded."""
    figures = stream_figures(reading(arrivals(gop=1_000, seconds=4)))
    assert figures is not None
    assert (figures.keyframe_s, figures.keyframe_seen) == (pytest.approx(4.0), False)


def test_clocks() -> None:
    """Drift, jumps and missing stamps are told apart."""
    fast = stream_figures(reading(arrivals(stamp_rate=1.1)))
    frames = arrivals()
    jumped = [replace(f, stamp_s=(f.stamp_s or 0) + 60 * (n > 120)) for n, f in enumerate(frames)]
    bare = [replace(frame, stamp_s=None) for frame in frames]
    jumping, missing = stream_figures(reading(jumped)), stream_figures(reading(bare))
    assert fast is not None
    assert jumping is not None
    assert missing is not None
    assert fast.drift == pytest.approx(0.1)
    assert (jumping.stamp_jumps, jumping.drift) == (1, None)
    assert (missing.stamps_missing, missing.drift) == (1.0, None)
    assert missing.jitter_ms == pytest.approx(0, abs=0.01)


def test_a_stall_is_a_gap_and_no_jump() -> None:
    """Three seconds of silence, then all that was held back at once."""
    frames = [
        replace(f, at_s=max(f.at_s, 106.0)) if f.at_s > 103 else f for f in arrivals(seconds=12)
    ]
    figures = stream_figures(reading(frames))
    assert figures is not None
    assert figures.longest_gap_s == pytest.approx(3, abs=0.1)
    assert figures.stamp_jumps == 0


@pytest.mark.parametrize("count", [0, 1])
def test_too_little_to_measure(count: int) -> None:
    """One frame has no pace."""
    assert stream_figures(Reading(arrivals=arrivals()[:count])) is None


def test_histogram() -> None:
    """Each face is in one bar, whatever its size."""
    seen = replace(faces(5), sizes_px=[4.0, 10.0, 19.9, 20.0, 500.0])
    bars = {low: count for low, _, count in seen.histogram()}
    assert bars == {0: 1, 10: 1, 16: 1, 20: 1, 32: 0, 48: 0, 64: 0, 96: 0, 128: 1}
