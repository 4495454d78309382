"""What a venue asks: zones, violations, compliance; their keys, and what makes a good polygon."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from worker.section import Name, Seconds, Section, Share, faults

EVERYWHERE = "all"
"""The built-in zone over every camera; also the ``camera_id`` of what belongs to no single one.

No camera and no zone may be called so.
"""

NO_CAMERA = "add cameras.NAME = [[x, y], [x, y], [x, y]], the polygon that this camera sees"
RESERVED = "this name stands for all cameras together; choose another one"

MAX_ZONES = 64
MAX_POINTS = 64
LEAST_AREA = 1e-4
"""Share of the picture that a polygon has to enclose: 12 x 8 pixels of 1280 x 720."""

XY = tuple[float, float]
Anchor = Literal["face", "foot"]
ViolationKind = Literal["without_mask", "mask_worn_incorrectly"]


class Zone(Section):
    """A part of what one or several cameras see."""

    cameras: dict[Name, list[XY]] = Field(
        description="A polygon for each camera, `[x, y]` as shares of width and height."
    )
    anchor: Anchor = Field(
        "face", description="The point that counts: the centre of the face, or an estimated foot."
    )
    foot_heights: Annotated[float, Field(gt=0, le=20)] = Field(
        7.0, description="Foot point: this many heights of the face's box below its centre."
    )
    min_dwell_s: Annotated[float, Field(ge=0, le=3_600)] = Field(
        1.0, description="Time in the zone from which a person counts there."
    )
    limit: Share | None = Field(
        None, description="Rate under which the zone is told of; default: `compliance.limit`."
    )

    @field_validator("cameras")
    @classmethod
    def _polygons(cls, cameras: dict[str, list[XY]]) -> dict[str, list[XY]]:
        if not cameras:
            raise ValueError(f"the zone names no camera; {NO_CAMERA}")
        found = [((name,), text) for name, p in cameras.items() if (text := polygon_fault(p))]
        if found:
            raise faults(*found)
        return cameras


class Violations(Section):
    """When a person without a mask, or with one worn incorrectly, is told of."""

    kinds: list[ViolationKind] = Field(
        ["without_mask", "mask_worn_incorrectly"], description="What is told of; none: nothing."
    )
    zones: list[Name] | None = Field(
        None, description="Where; default: in every zone, or everywhere (`all`) without zones."
    )
    enter_score: Share = Field(0.75, description="How sure the decision must be to begin one.")
    enter_s: Annotated[float, Field(ge=0, le=3_600)] = Field(
        2.0, description="For how long it must be so sure without a break."
    )
    leave_score: Share = Field(0.5, description="How sure the decision must stay to keep it open.")
    leave_s: Annotated[float, Field(ge=0, le=3_600)] = Field(
        3.0, description="Time without such a decision after which it ends."
    )
    update_s: Seconds = Field(10.0, description="Time between two updates of one that goes on.")
    cool_down_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        30.0, description="Time after an end in which the same person begins none of that kind."
    )

    @model_validator(mode="after")
    def _hysteresis(self) -> Violations:
        if self.leave_score > self.enter_score:
            text = (
                f"must not be above enter_score ({self.enter_score:g}), else it ends as it begins"
            )
            raise faults((("leave_score",), text))
        return self


class Compliance(Section):
    """How persons are counted up, and when too few of them wear a mask."""

    period_s: Annotated[int, Field(ge=1, le=86_400)] = Field(
        60, description="Length of a period; periods begin at whole multiples of it, in UTC."
    )
    min_persons: Annotated[int, Field(ge=1, le=100_000)] = Field(
        5, description="Persons that must have been judged in a period for it to have a rate."
    )
    limit: Share | None = Field(
        None, description="Rate under which a zone is told of; none: no zone is."
    )
    limit_margin: Share = Field(
        0.05, description="How far above the limit the rate must rise to be good again."
    )
    limit_periods: Annotated[int, Field(ge=1, le=1_440)] = Field(
        3, description="Periods with a rate, one after the other, that it takes either way."
    )


def zone_faults(
    zones: Mapping[str, Zone], cameras: Collection[str]
) -> list[tuple[tuple[str, ...], str]]:
    """What is wrong with the zones beside these cameras; each fault at its key."""
    found: list[tuple[tuple[str, ...], str]] = [
        ((name, "cameras", camera), f"there is no camera {camera!r}; {choice(camera, cameras)}")
        for name, zone in zones.items()
        for camera in zone.cameras
        if camera not in cameras
    ]
    if EVERYWHERE in zones:
        found.append(((EVERYWHERE,), RESERVED))
    if len(zones) > MAX_ZONES:
        found.append(((), f"{len(zones)} zones; one worker takes {MAX_ZONES}: join some"))
    return found


def choice(word: str, known: Collection[str]) -> str:
    """What could have been meant."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(list(known)[:8])}"


def polygon_fault(points: Sequence[XY]) -> str | None:
    """What is wrong with a polygon and what would be right; None where it can be used."""
    if not 3 <= len(points) <= MAX_POINTS:
        bound = "at least three" if len(points) < 3 else f"at most {MAX_POINTS}"
        return f"a polygon needs {bound} points; this one has {len(points)}"
    for point in points:
        if not all(0 <= share <= 1 for share in point):
            return (
                f"the point {_spelt(point)} lies outside the picture; points are shares of width "
                "and height, from 0 to 1"
            )
    return _shape_fault(points)


def _shape_fault(points: Sequence[XY]) -> str | None:
    for point in points:
        if points.count(point) > 1:
            return (
                f"the point {_spelt(point)} comes twice; a polygon closes by itself: take one out"
            )
    for a, b, c, d in _other_edges(points):
        if _cross(a, b, c, d):
            return (
                f"the edge from {_spelt(a)} to {_spelt(b)} crosses the one from {_spelt(c)} to "
                f"{_spelt(d)}; list the points in the order in which one walks around the zone"
            )
    if _area(points) < LEAST_AREA:
        return "the polygon encloses next to nothing; its points lie on a line"
    return None


def _other_edges(points: Sequence[XY]) -> Iterator[tuple[XY, XY, XY, XY]]:
    """Each pair of edges that do not share a point."""
    edges = [(a, points[(n + 1) % len(points)]) for n, a in enumerate(points)]
    for n, (a, b) in enumerate(edges):
        for c, d in edges[n + 2 :]:
            if d != a:
                yield a, b, c, d


def _cross(a: XY, b: XY, c: XY, d: XY) -> bool:
    """True where the segments a-b and c-d have a point in common."""
    sides = (_side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b))
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    touching = ((sides[0], a, b, c), (sides[1], a, b, d), (sides[2], c, d, a), (sides[3], c, d, b))
    return any(side == 0 and _within(p, q, point) for side, p, q, point in touching)


def _side(a: XY, b: XY, point: XY) -> float:
    """On which side of the line a-b a point lies: above 0, below 0, or on it."""
    turn = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])
    return 0.0 if math.isclose(turn, 0.0, abs_tol=1e-12) else turn


def _within(a: XY, b: XY, point: XY) -> bool:
    """True where a point of the line a-b lies between its ends."""
    inside_x = min(a[0], b[0]) <= point[0] <= max(a[0], b[0])
    return inside_x and min(a[1], b[1]) <= point[1] <= max(a[1], b[1])


def _area(points: Sequence[XY]) -> float:
    rolled = (*points[1:], points[0])
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, rolled, strict=True))) / 2


def _spelt(point: XY) -> str:
    return f"[{point[0]:g}, {point[1]:g}]"
