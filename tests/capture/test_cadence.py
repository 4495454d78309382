"""Which frames are due."""

from __future__ import annotations

import itertools
import random

import pytest

from worker.capture.cadence import Cadence


def due(cadence: Cadence, stamps: list[float | None], arrivals: list[float]) -> list[int]:
    """The indices of the frames that are due."""
    pairs = zip(stamps, arrivals, strict=True)
    return [index for index, (stamp, at) in enumerate(pairs) if cadence.due(stamp, at)]


def steady(fps: float, seconds: float) -> list[float]:
    """Times of a steady stream."""
    return [index / fps for index in range(round(fps * seconds))]


def test_every_fifth_of_25_at_5() -> None:
    """Five a second of 25 is exactly every fifth, for an hour."""
    times = steady(25, 3_600)
    assert due(Cadence(5, live=True), list(times), times) == list(range(0, len(times), 5))


@pytest.mark.parametrize(("fps", "wanted"), [(30, 7), (25, 24), (29.97, 10), (12.5, 2), (25, 0.5)])
def test_no_drift(fps: float, wanted: float) -> None:
    """Over ten minutes the rate is what was asked for, to one frame."""
    times = steady(fps, 600)
    assert len(due(Cadence(wanted, live=True), list(times), times)) == pytest.approx(
        600 * wanted, abs=1
    )


def test_a_slow_stream_is_taken_whole() -> None:
    """Asked for more than the stream has, every frame is due."""
    times = steady(10, 60)
    assert len(due(Cadence(25, live=True), list(times), times)) == len(times)


def test_jitter_neither_adds_nor_loses() -> None:
    """Stamps that are off by a tenth of a frame give still every fifth."""
    chance = random.Random(1)
    stamps = [t + chance.uniform(-0.004, 0.004) for t in steady(25, 60)]
    chosen = due(Cadence(5, live=True), list(stamps), stamps)
    assert chosen == list(range(0, len(stamps), 5))


def test_stamps_in_milliseconds() -> None:
    """A stream whose stamps are rounded to milliseconds keeps its rate."""
    stamps = [round(t, 3) for t in steady(30, 600)]
    assert len(due(Cadence(7, live=True), list(stamps), stamps)) == pytest.approx(4_200, abs=1)


@pytest.mark.parametrize("stamp", [None, 17.0], ids=["missing", "standing"])
def test_arrival_stands_in_for_stamps(stamp: float | None) -> None:
    """Without usable stamps, the arrival clock gives the same rate."""
    times = steady(25, 60)
    chosen = due(Cadence(5, live=True), [stamp] * len(times), times)
    assert len(chosen) == pytest.approx(300, abs=2)


def test_a_missing_first_stamp() -> None:
    """The first frame of an RTSP stream has no stamp; the rhythm holds all the same."""
    times = steady(25, 10)
    stamps: list[float | None] = [None, *times[1:]]
    assert due(Cadence(5, live=True), stamps, times) == list(range(0, 250, 5))


def test_repeated_stamps_of_b_frames() -> None:
    """Stamps that come in pairs, as B-frames have them over RTP, don't raise the rate."""
    times = steady(25, 60)
    stamps: list[float | None] = [t if index % 3 else None for index, t in enumerate(times)]
    stamps = [t if index % 3 != 2 else times[index - 1] for index, t in enumerate(stamps)]
    assert len(due(Cadence(5, live=True), stamps, times)) == pytest.approx(300, abs=2)


@pytest.mark.parametrize("jump_s", [-1e5, 1e5], ids=["back", "ahead"])
def test_a_jump_is_bridged(jump_s: float) -> None:
    """A camera that sets its clock neither floods nor starves."""
    times = steady(25, 60)
    stamps: list[float | None] = [t if t < 30 else t + jump_s for t in times]
    chosen = due(Cadence(5, live=True), stamps, times)
    assert len(chosen) == pytest.approx(300, abs=2)
    gaps = {after - before for before, after in itertools.pairwise(chosen)}
    assert gaps <= {4, 5, 6}


@pytest.mark.parametrize("rate", [0.01, 0.5, 2.0, 50.0])
def test_stamps_at_a_wrong_rate_are_not_believed(rate: float) -> None:
    """A camera whose clock runs wild is soon watched by ours."""
    times = steady(25, 120)
    chosen = due(Cadence(5, live=True), [t * rate for t in times], times)
    late = [index for index in chosen if times[index] >= 60]
    assert len(late) == pytest.approx(300, abs=3)


def test_a_stall_and_its_burst_follow_the_stamps() -> None:
    """Frames held up by the network are chosen by when they were taken."""
    times = steady(25, 60)
    arrivals = [t if t < 10 or t > 14 else 14.0 + t / 1e4 for t in times]
    chosen = due(Cadence(5, live=True), list(times), arrivals)
    assert chosen == list(range(0, len(times), 5))


def test_a_file_without_stamps_uses_its_rate() -> None:
    """How fast a file can be read says nothing."""
    arrivals = [0.001 * index for index in range(250)]
    chosen = due(Cadence(5, live=False, nominal_fps=25), [None] * 250, arrivals)
    assert chosen == list(range(0, 250, 5))


def test_stamps_that_jump_or_stand_are_told_for_a_minute() -> None:
    """Of a live stream; jitter, losses and a burst after a stall are no faults."""
    cadence = Cadence(5, live=True)
    for n in range(100):
        cadence.due(n / 25, n / 25)
    assert not cadence.disturbed
    cadence.due(0.0, 4.0)
    assert cadence.disturbed
    for n in range(1, 2_000):
        cadence.due(n / 25, 4.0 + n / 25)
    assert not cadence.disturbed
    for n in range(10):
        cadence.due(100.0, 84.0 + n / 25)
    assert cadence.disturbed


def test_what_a_network_does_is_no_fault_of_the_clock() -> None:
    """Ten seconds of silence, of which a camera sends the last two at once."""
    cadence = Cadence(5, live=True)
    for n in range(100):
        cadence.due(n / 25, n / 25)
    cadence.due(4.0, 14.0)
    for n in range(50):
        cadence.due(12.0 + n / 25, 14.0)
    assert not cadence.disturbed


def test_a_recording_that_was_cut_is_no_fault() -> None:
    """Stamps of a file may go back."""
    cadence = Cadence(5, live=False)
    for stamp in (0.0, 0.2, 9.0, 0.0, 0.2):
        cadence.due(stamp, 0.0)
    assert not cadence.disturbed
