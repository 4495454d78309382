"""The gate before detection."""

from __future__ import annotations

import numpy as np
import pytest

from worker.capture.motion import SETTLE_FRAMES, Motion
from worker.records import Tiling

STILL = np.full((360, 640), 90, np.uint8)


def settled(motion: Motion, gray: np.ndarray = STILL) -> Motion:
    """Show a still view until the gate has closed, at t = 0."""
    for _ in range(SETTLE_FRAMES + 1):
        motion.deserves_look(gray, 0.0)
    return motion


def with_person(x: int, y: int, width: int = 30, height: int = 60) -> np.ndarray:
    gray = STILL.copy()
    gray[y : y + height, x : x + width] = 160
    return gray


def test_still_view_is_skipped() -> None:
    """Where nothing moves nothing is looked at."""
    assert not settled(Motion()).deserves_look(STILL, 1.0)


def test_noise_is_no_motion() -> None:
    """Sensor noise does not open the gate."""
    rng = np.random.default_rng(1)
    motion = settled(Motion())
    noisy = np.clip(STILL + rng.normal(0, 4, STILL.shape), 0, 255).astype(np.uint8)
    assert not motion.deserves_look(noisy, 1.0)


def test_person_opens_the_gate() -> None:
    """A person who comes in is looked at, in that very frame."""
    assert settled(Motion()).deserves_look(with_person(200, 100), 1.0)


def test_gate_stays_open_until_the_view_has_settled() -> None:
    """Frames after the last motion are looked at too, so that a track is confirmed."""
    motion = settled(Motion())
    person = with_person(200, 100)
    looks = [motion.deserves_look(person, 1.0 + n / 5) for n in range(5)]
    assert looks == [True] * (1 + SETTLE_FRAMES) + [False] * (4 - SETTLE_FRAMES)


def test_slow_motion_adds_up() -> None:
    """A person who creeps is seen, since the reference is the last frame looked at."""
    motion = settled(Motion(max_pause_s=1e6), with_person(200, 100))
    looks = [motion.deserves_look(with_person(200 + n, 100), n / 5) for n in range(1, 12)]
    assert any(looks)


def test_pause_has_an_end() -> None:
    """However still the view, it is looked at after the longest pause."""
    motion = settled(Motion(max_pause_s=5.0))
    assert not motion.deserves_look(STILL, 4.9)
    assert motion.deserves_look(STILL, 5.0)


def test_motion_outside_the_region_does_not_count() -> None:
    """Only what moves inside the polygon opens the gate."""
    left_half = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    motion = settled(Motion(region=left_half))
    assert not motion.deserves_look(with_person(500, 100), 1.0)
    assert motion.deserves_look(with_person(100, 100), 1.2)


def test_region_bounds_and_membership() -> None:
    """The area is the polygon's bounding box; membership is by the centre of a box."""
    from worker.records import Box

    motion = Motion(region=[(0.25, 0.25), (0.75, 0.25), (0.5, 0.75)])
    assert motion.area(400, 200) == Box(100, 50, 300, 150)
    assert motion.contains(Box(190, 60, 210, 80), 400, 200)
    assert not motion.contains(Box(100, 130, 120, 150), 400, 200)


def test_change_of_size_is_looked_at() -> None:
    """A stream that changes its resolution is looked at, and then gated again."""
    motion = settled(Motion())
    motion.deserves_look(with_person(200, 100), 0.1)
    motion.parts(640, 360, [], Tiling(30))
    assert motion.deserves_look(np.zeros((730, 1290), np.uint8), 0.2)
    assert motion.parts(1290, 730, [], Tiling(30)) == [motion.area(1290, 730)]
    lit = np.zeros((730, 1290), np.uint8)
    lit[100:200, 100:200] = 200
    assert motion.deserves_look(lit, 0.3)
    assert motion.parts(1290, 730, [], Tiling(30)) != [motion.area(1290, 730)]


def test_disabled_gate_looks_always() -> None:
    """Without the gate every frame is looked at."""
    motion = Motion(enabled=False)
    assert all(motion.deserves_look(STILL, n / 5) for n in range(10))


@pytest.mark.parametrize("shape", [(4, 4), (1, 1), (4320, 7680)])
def test_odd_sizes(shape: tuple[int, int]) -> None:
    """Tiny and huge frames pass through."""
    motion = Motion()
    assert motion.deserves_look(np.zeros(shape, np.uint8), 0.0)


def test_the_whole_is_looked_at_before_a_view_is_left_alone() -> None:
    """Who came in unnoticed beside somebody who moved is not left for the pause's end."""
    motion = settled(Motion(max_pause_s=3_600))
    motion.parts(640, 360, [], Tiling(30))
    parts = [
        motion.parts(640, 360, [], Tiling(30))
        for n in range(6)
        if motion.deserves_look(with_person(200, 100), 2.0 + n / 100)
    ]
    assert len(parts) == 1 + SETTLE_FRAMES
    assert parts[-1] == [motion.area(640, 360)]


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (9, 1200), (1200, 9), (2160, 3840)])
def test_odd_sizes_in_parts(shape: tuple[int, int]) -> None:
    """Strips and specks have parts too, or are looked at as they are."""
    motion, (high, wide) = Motion(), shape
    for n in range(4):
        lit = np.zeros(shape, np.uint8)
        lit[: high // 2 + 1, : wide // 5 + 1] = 80 * (n % 2)
        motion.deserves_look(lit, n / 5)
        parts = motion.parts(wide, high, [], Tiling(2))
        assert all(0 <= p.x1 < p.x2 <= wide and 0 <= p.y1 < p.y2 <= high for p in parts)


def test_motion_is_told_from_a_look_for_its_own_sake() -> None:
    """A look that only the pause brought about saw nothing move."""
    motion = Motion(max_pause_s=5.0)
    still = np.full((90, 160), 80, np.uint8)
    assert motion.deserves_look(still, 0.0)
    assert motion.moved
    assert [motion.deserves_look(still, float(s)) for s in range(1, 4)][-1] is False
    assert motion.deserves_look(still, 20.0)
    assert not motion.moved
    assert motion.deserves_look(np.full((90, 160), 200, np.uint8), 20.2)
    assert motion.moved
