"""Zones, violations and compliance in a configuration: what is taken, and how faults are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.config import Settings
from worker.config_file import load
from worker.errors import ConfigError
from worker.venue import MAX_POINTS, MAX_ZONES, polygon_fault

HALL = '[cameras.hall]\nurl = "rtsp://camera/stream"\n'
SQUARE = "[[0, 0], [1, 0], [1, 1], [0, 1]]"
NAMES = (
    "take lower-case letters, digits, - and _, at most 63, the first a letter or digit, for "
    "example till"
)


def loaded(folder: Path, text: str, env: dict[str, str] | None = None) -> Settings:
    path = folder / "maskwatch.toml"
    path.write_text(HALL + text)
    return load(path, env or {})


def zone(polygon: str) -> str:
    return f"[zones.till]\ncameras.hall = {polygon}\n"


def test_a_zone_may_span_cameras(tmp_path: Path) -> None:
    """One name, a polygon for each camera, as dotted keys or as a table of its own."""
    door = '[cameras.door]\nurl = "x"\n'
    dotted = loaded(tmp_path, f"{door}{zone(SQUARE)}cameras.door = {SQUARE}\nanchor = 'foot'\n")
    table = loaded(
        tmp_path,
        f"{door}[zones.till]\nanchor = 'foot'\n[zones.till.cameras]\nhall = {SQUARE}\n"
        f"door = {SQUARE}\n",
    )
    assert dotted.zones == table.zones
    assert dotted.zones["till"].cameras["door"] == [(0, 0), (1, 0), (1, 1), (0, 1)]


def test_a_zone_may_come_from_the_environment(tmp_path: Path) -> None:
    """Polygons as JSON, single keys over those of the file."""
    env = {
        "MASKWATCH_ZONES__DOOR__CAMERAS": f'{{"hall": {SQUARE}}}',
        "MASKWATCH_ZONES__TILL__MIN_DWELL_S": "7",
        "MASKWATCH_VIOLATIONS__ZONES": '["door"]',
        "MASKWATCH_COMPLIANCE__LIMIT": "0.9",
    }
    found = loaded(tmp_path, zone(SQUARE), env)
    assert (set(found.zones), found.zones["till"].min_dwell_s) == ({"till", "door"}, 7)
    assert (found.violation_zones, found.compliance.limit) == (("door",), 0.9)


def test_violations_are_told_of_in_every_zone_or_everywhere(tmp_path: Path) -> None:
    """Without a choice: the zones there are, else the one over all cameras."""
    assert loaded(tmp_path, "").violation_zones == ("all",)
    assert loaded(tmp_path, zone(SQUARE)).violation_zones == ("till",)
    chosen = zone(SQUARE) + "[violations]\nzones = ['all', 'till']\n"
    assert loaded(tmp_path, chosen).violation_zones == ("all", "till")


BAD = {
    "two points": (
        zone("[[0.1, 0.1], [0.9, 0.9]]"),
        "4: zones.till.cameras.hall: a polygon needs at least three points; this one has 2",
    ),
    "too many points": (
        zone(str([[n / 100, n / 100] for n in range(MAX_POINTS + 1)])),
        "4: zones.till.cameras.hall: a polygon needs at most 64 points; this one has 65",
    ),
    "self-crossing": (
        zone("[[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]"),
        "4: zones.till.cameras.hall: the edge from [0.1, 0.1] to [0.9, 0.9] crosses the one from "
        "[0.9, 0.1] to [0.1, 0.9]; list the points in the order in which one walks around the zone",
    ),
    "pixels": (
        zone("[[100, 200], [600, 200], [600, 400]]"),
        "4: zones.till.cameras.hall: the point [100, 200] lies outside the picture; points are "
        "shares of width and height, from 0 to 1",
    ),
    "no number": (
        zone("[[nan, 0.2], [0.6, 0.2], [0.6, 0.4]]"),
        "4: zones.till.cameras.hall: the point [nan, 0.2] lies outside the picture; points are "
        "shares of width and height, from 0 to 1",
    ),
    "closed by hand": (
        zone("[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.1]]"),
        "4: zones.till.cameras.hall: the point [0.1, 0.1] comes twice; a polygon closes by itself: "
        "take one out",
    ),
    "a line": (
        zone("[[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]"),
        "4: zones.till.cameras.hall: the polygon encloses next to nothing; its points lie on a "
        "line",
    ),
    "a point of three": (
        zone("[[0.1, 0.1, 0.1], [0.5, 0.5], [0.9, 0.1]]"),
        "4: zones.till.cameras.hall[0]: a point is [x, y], two numbers from 0 to 1",
    ),
    "a point of one": (
        zone("[[0.1, 0.1], [0.5], [0.9, 0.1]]"),
        "4: zones.till.cameras.hall[1][1]: a point is [x, y], two numbers from 0 to 1",
    ),
    "no point": (
        zone('[[0.1, 0.1], "here", [0.9, 0.1]]'),
        "4: zones.till.cameras.hall[1]: a point is [x, y], two numbers from 0 to 1",
    ),
    "no camera": (
        "[zones.till]\nanchor = 'foot'\n",
        "3: zones.till.cameras: is missing; add cameras.NAME = [[x, y], [x, y], [x, y]], the "
        "polygon that this camera sees",
    ),
    "an empty table of cameras": (
        "[zones.till]\ncameras = {}\n",
        "4: zones.till.cameras: the zone names no camera; add cameras.NAME = [[x, y], [x, y], "
        "[x, y]], the polygon that this camera sees",
    ),
    "a polygon without its camera": (
        f"[zones.till]\ncameras = {SQUARE}\n",
        "4: zones.till.cameras: must be a table: write [zones.till.cameras] with its keys on lines "
        "below it",
    ),
    "misspelt camera": (
        f"[zones.till]\ncameras.hal = {SQUARE}\n",
        "4: zones.till.cameras.hal: there is no camera 'hal'; did you mean hall?",
    ),
    "unknown camera": (
        f"[zones.till]\ncameras.yard = {SQUARE}\n",
        "4: zones.till.cameras.yard: there is no camera 'yard'; known are hall",
    ),
    "a name that cannot be one": (
        f"[zones.Till]\ncameras.hall = {SQUARE}\n",
        f"3: zones.Till: this zone's name cannot be used; {NAMES}",
    ),
    "the reserved zone": (
        f"[zones.all]\ncameras.hall = {SQUARE}\n",
        "3: zones.all: this name stands for all cameras together; choose another one",
    ),
    "the reserved camera": (
        "[cameras.all]\nurl = 'x'\n",
        "3: cameras.all: this name stands for all cameras together; choose another one",
    ),
    "misspelt key of a zone": (
        zone(SQUARE) + "dwell_s = 2\n",
        "5: zones.till.dwell_s: unknown key; did you mean min_dwell_s?",
    ),
    "another anchor": (
        zone(SQUARE) + "anchor = 'feet'\n",
        "5: zones.till.anchor: must be 'face' or 'foot'; got \"feet\"",
    ),
    "violations in no zone": (
        zone(SQUARE) + "[violations]\nzones = ['tlil']\n",
        "6: violations.zones: there is no zone 'tlil'; did you mean till?",
    ),
    "no hysteresis": (
        "[violations]\nleave_score = 0.9\n",
        "4: violations.leave_score: must not be above enter_score (0.75), else it ends as it "
        "begins",
    ),
    "a kind that is none": (
        "[violations]\nkinds = ['with_mask']\n",
        "4: violations.kinds[0]: must be 'without_mask' or 'mask_worn_incorrectly'; got "
        '"with_mask"',
    ),
    "a limit in per cent": (
        "[compliance]\nlimit = 90\n",
        "4: compliance.limit: must be less than or equal to 1; got 90",
    ),
    "a region that crosses itself": (
        "region = [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]\n",
        "3: cameras.hall.region: the edge from [0.1, 0.1] to [0.9, 0.9] crosses the one from "
        "[0.9, 0.1] to [0.1, 0.9]; list the points in the order in which one walks around the zone",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_a_fault_is_told_with_its_line_and_remedy(tmp_path: Path, text: str, expected: str) -> None:
    """Each names file, line, key, what is wrong and what would be right."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).replace(f"{tmp_path}/maskwatch.toml:", "") == expected


def test_zones_are_bounded(tmp_path: Path) -> None:
    """Each zone has metrics of its own, so there are only so many."""
    many = "".join(f"[zones.z{n}]\ncameras.hall = {SQUARE}\n" for n in range(MAX_ZONES + 1))
    with pytest.raises(ConfigError, match="65 zones; one worker takes 64"):
        loaded(tmp_path, many)


def test_wrong_cameras_make_no_second_fault(tmp_path: Path) -> None:
    """A zone of a camera that is told to be wrong is no news."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "analyse_fps = 0\n" + zone(SQUARE))
    assert len(str(caught.value).splitlines()) == 1


SIMPLE = {
    "triangle": [(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)],
    "other way round": [(0.1, 0.1), (0.5, 0.9), (0.9, 0.1)],
    "L": [(0, 0), (1, 0), (1, 0.3), (0.3, 0.3), (0.3, 1), (0, 1)],
    "point on a straight edge": [(0, 0), (0.5, 0), (1, 0), (1, 1), (0, 1)],
}
CROSSED = {
    "bow tie": [(0, 0), (1, 1), (1, 0), (0, 1)],
    "edge through a corner": [(0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)],
    "back along its own edge": [(0, 0), (1, 0), (0.4, 0), (0.4, 1)],
    "star": [(0.5, 0), (0.8, 1), (0, 0.4), (1, 0.4), (0.2, 1)],
}


@pytest.mark.parametrize("points", SIMPLE.values(), ids=SIMPLE.keys())
def test_simple_polygons_are_taken(points: list[tuple[float, float]]) -> None:
    """Whatever their shape and direction."""
    assert polygon_fault(points) is None


@pytest.mark.parametrize("points", CROSSED.values(), ids=CROSSED.keys())
def test_crossed_polygons_are_not(points: list[tuple[float, float]]) -> None:
    """An edge that meets another one anywhere but at a shared end."""
    assert "crosses" in (polygon_fault(points) or "")


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=12))
def test_any_points_get_an_answer(points: list[tuple[float, float]]) -> None:
    """Whatever the numbers, there is an answer and no exception."""
    fault = polygon_fault(points)
    assert fault is None or fault
