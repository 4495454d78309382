"""A face is in a zone when its anchor is, for long enough, and trembling does not matter."""

from __future__ import annotations

from typing import Any

import pytest

from worker.output.rules.zones import LINGER_S, Zones, anchor_of
from worker.records import Box, Track
from worker.venue import Zone

LEFT = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
SIZE = (100, 100)
INSIDE, OUTSIDE = Box(10, 10, 20, 20), Box(80, 10, 90, 20)


def zone(camera: str = "hall", **keys: Any) -> Zone:
    return Zone(cameras={camera: LEFT}, **{"min_dwell_s": 0.0, **keys})


def track(box: Box, number: int = 1, *, confirmed: bool = True) -> Track:
    return Track(number, box, 0.9, 3, confirmed, True, 0.0)


def located(zones: Zones, box: Box, now_s: float = 0.0) -> set[str]:
    return set(zones.locate([track(box)], SIZE, now_s)[1])


def test_a_face_is_in_the_zones_around_it() -> None:
    """In each that its centre lies in, and in the one over everything."""
    zones = Zones("hall", {"left": zone(), "too": zone()})
    assert located(zones, INSIDE) == {"all", "left", "too"}
    assert located(Zones("hall", {"left": zone()}), OUTSIDE) == {"all"}


def test_zones_of_other_cameras_are_none_here() -> None:
    """A camera knows only the zones that name it."""
    assert located(Zones("hall", {"left": zone("door")}), INSIDE) == {"all"}


def test_only_confirmed_tracks_count() -> None:
    """One detection alone is no person yet."""
    zones = Zones("hall", {"left": zone()})
    assert zones.locate([track(INSIDE, confirmed=False)], SIZE, 0.0) == {}


def test_the_border_belongs_to_the_zone() -> None:
    """A centre exactly on an edge is inside."""
    assert "left" in located(Zones("hall", {"left": zone()}), Box(45, 10, 55, 20))


def test_the_foot_point_lies_below_the_face() -> None:
    """By the height of its box, as often as configured."""
    foot = zone(anchor="foot", foot_heights=7.0)
    assert anchor_of(Box(10, 10, 20, 20), 100, 100, foot) == (0.15, 0.85)
    assert anchor_of(Box(10, 10, 20, 20), 100, 100, zone()) == (0.15, 0.15)


@pytest.mark.parametrize(
    ("box", "point"),
    [(Box(10, 50, 20, 60), (0.15, 1.0)), (Box(-40, -300, -20, -280), (0.0, 0.0))],
)
def test_a_point_outside_the_picture_moves_to_its_edge(
    box: Box, point: tuple[float, float]
) -> None:
    """Feet that the picture cuts off stand on its lower edge, which a zone can include."""
    foot = zone(anchor="foot", foot_heights=7.0)
    assert anchor_of(box, 100, 100, foot) == point


def test_passing_through_does_not_count() -> None:
    """A person counts from the dwell time on, not before."""
    zones = Zones("hall", {"left": zone(min_dwell_s=2.0)})
    assert [located(zones, INSIDE, at_s) for at_s in (0.0, 1.9, 2.0)] == [
        {"all"},
        {"all"},
        {"all", "left"},
    ]


def test_a_trembling_box_neither_leaves_nor_starts_anew() -> None:
    """Absences of less than the linger time are none."""
    zones = Zones("hall", {"left": zone(min_dwell_s=2.0)})
    located(zones, INSIDE, 0.0)
    located(zones, OUTSIDE, 0.5)
    located(zones, INSIDE, 0.9)
    assert "left" in located(zones, INSIDE, 2.0)
    assert "left" in located(zones, OUTSIDE, 2.2)
    assert "left" in located(zones, OUTSIDE, 2.2 + LINGER_S / 2)
    assert "left" not in located(zones, OUTSIDE, 2.2 + LINGER_S)


def test_who_left_has_to_dwell_again() -> None:
    """Coming back begins a new stay."""
    zones = Zones("hall", {"left": zone(min_dwell_s=1.0)})
    for at_s, box in ((0.0, INSIDE), (1.0, INSIDE), (2.0, OUTSIDE), (2.0 + LINGER_S, OUTSIDE)):
        located(zones, box, at_s)
    assert "left" not in located(zones, INSIDE, 4.0)
    assert "left" in located(zones, INSIDE, 5.0)


def test_who_is_not_seen_for_a_while_stays_where_it_was() -> None:
    """A face that was turned away has not left."""
    zones = Zones("hall", {"left": zone(min_dwell_s=1.0)})
    located(zones, INSIDE, 0.0)
    located(zones, INSIDE, 1.0)
    assert zones.locate([], SIZE, 2.0) == {}
    assert "left" in located(zones, INSIDE, 9.0)


def test_nothing_is_kept_of_tracks_that_ended() -> None:
    """Memory holds those who are there."""
    zones = Zones("hall", {"left": zone(), "too": zone()})
    for number in range(100):
        zones.locate([track(INSIDE, number)], SIZE, 0.0)
        zones.forget([number])
    assert not zones._stays
