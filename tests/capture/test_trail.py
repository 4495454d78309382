"""Where to look: what moved, the faces that are known, and all of it each second."""

from __future__ import annotations

import numpy as np
import pytest

from worker.capture.trail import MAX_PARTS, WHOLE_LOOK_S, Trail
from worker.records import Box, Image, Tiling

SIZE = (1280, 720)
VIEW = Box(0, 0, *SIZE)
TILING = Tiling(room_px=40, look_px=215)


def changed(*spots: tuple[int, int, int, int]) -> Image:
    """Changes within those ``x, y, w, h`` of a grid of 160 x 90: one point is 8 px each way."""
    grid = np.zeros((90, 160), np.uint8)
    for x, y, w, h in spots:
        grid[y : y + h, x : x + w] = 255
    return grid


def followed(*spots: tuple[int, int, int, int]) -> Trail:
    """A trail whose view was looked at as a whole at 10 s, and in which that moved since."""
    trail = Trail()
    trail.add(changed((70, 40, 4, 4)))
    assert trail.parts(VIEW, SIZE, [], TILING, 10.0) == [VIEW]
    trail.add(changed(*spots))
    return trail


def inside(small: Box, large: Box) -> bool:
    return (
        large.x1 <= small.x1
        and large.y1 <= small.y1
        and small.x2 <= large.x2
        and small.y2 <= large.y2
    )


def apart(a: Box, b: Box) -> bool:
    return a.x2 <= b.x1 or b.x2 <= a.x1 or a.y2 <= b.y1 or b.y2 <= a.y1


def test_the_first_look_is_at_the_whole() -> None:
    """Before anything is known, everything is looked at; and again as long as nothing moved."""
    trail = Trail()
    assert trail.parts(VIEW, SIZE, [], TILING, 10.0) == [VIEW]
    assert trail.parts(VIEW, SIZE, [Box(10, 10, 50, 50)], TILING, 10.2) == [VIEW]


def test_what_moved_is_looked_at_with_room_around_it() -> None:
    """A face may keep stiller than what moves beside it."""
    (far,) = followed((10, 10, 6, 10)).parts(VIEW, SIZE, [], TILING, 10.2)
    assert inside(Box(80, 80, 128, 160), far)
    assert far.x1 < 60
    assert far.x2 > 150
    (wide,) = followed((10, 10, 6, 10)).parts(VIEW, SIZE, [], Tiling(120), 10.2)
    assert wide.x2 >= 128 + 120 / 2
    assert far.width * far.height < 0.1 * VIEW.width * VIEW.height


def test_single_points_are_no_motion() -> None:
    """Grains of noise beside somebody who walks are not looked at."""
    trail = followed((10, 10, 6, 10), (120, 60, 1, 1), (130, 20, 1, 2))
    (part,) = trail.parts(VIEW, SIZE, [], TILING, 10.2)
    assert part.x2 < 900


def test_only_what_moved_since_the_last_look_is_looked_at() -> None:
    """Where it came to rest the last look saw it; where nothing has moved since, once more."""
    trail = followed((10, 10, 6, 10))
    trail.add(changed((140, 70, 6, 6)))
    for now_s in (10.2, 10.4):
        (only,) = trail.parts(VIEW, SIZE, [], TILING, now_s)
        assert inside(Box(1120, 560, 1168, 608), only)
    assert trail.parts(VIEW, SIZE, [], TILING, 10.0 + WHOLE_LOOK_S) == [VIEW]


def test_each_known_face_lies_in_one_part_and_no_two_parts_overlap() -> None:
    """However faces and motion lie: so no face is cut, and none is found twice."""
    rng = np.random.default_rng(3)
    looked_in_parts = 0
    for _ in range(300):
        trail = followed(*((*rng.integers(0, (150, 80)), 5, 5) for _ in range(rng.integers(1, 4))))
        corners = rng.integers(0, (1200, 640), (rng.integers(0, 5), 2))
        faces = [
            Box(float(x), float(y), float(x + s), float(y + s))
            for (x, y), s in zip(corners, rng.integers(10, 80, len(corners)), strict=True)
        ]
        parts = trail.parts(VIEW, SIZE, faces, TILING, 10.2)
        looked_in_parts += parts != [VIEW]
        assert all(sum(inside(face, part) for part in parts) == 1 for face in faces)
        assert all(apart(a, b) for n, a in enumerate(parts) for b in parts[:n])
        assert all(inside(part, VIEW) and all(side == int(side) for side in part) for part in parts)
    assert looked_in_parts > 150


def test_a_known_face_has_room_around_it() -> None:
    """All that a small one needs to be found; three quarters of it for a large one."""
    faces = [Box(200, 500, 219, 519), Box(900, 400, 1000, 500)]
    parts = followed((10, 10, 6, 10)).parts(VIEW, SIZE, faces, TILING, 10.2)
    assert Box(160, 460, 259, 559) in parts
    assert Box(870, 370, 1030, 530) in parts


def test_near_parts_are_one_where_that_is_cheaper() -> None:
    """Each look has its price, so two people beside each other are looked at together."""
    faces = [Box(300, 300, 340, 340), Box(430, 300, 470, 340)]
    parts = followed((10, 80, 4, 4)).parts(VIEW, SIZE, faces, TILING, 10.2)
    assert any(all(inside(face, part) for face in faces) for part in parts)
    faces = [Box(300, 300, 340, 340), Box(1000, 300, 1040, 340)]
    parts = followed((10, 80, 4, 4)).parts(VIEW, SIZE, faces, TILING, 10.2)
    assert not any(all(inside(face, part) for face in faces) for part in parts)


def test_parts_are_joined_by_what_they_cost_the_detector() -> None:
    """Its input has sides of whole steps: two parts that share one cost no more together."""
    faces = [Box(304, 300, 324, 320), Box(404, 300, 424, 320)]
    trail = followed((10, 80, 4, 4))
    assert len(trail.parts(VIEW, SIZE, faces, Tiling(30), 10.2)) == 3
    assert len(trail.parts(VIEW, SIZE, faces, Tiling(30, step_px=200), 10.2)) == 2


def test_looks_are_counted_where_a_file_runs_faster_than_it_was_recorded() -> None:
    """A whole second of it may pass in a hundredth."""
    trail = followed((10, 10, 6, 10))
    looks = [trail.parts(VIEW, SIZE, [], TILING, 10.0 + n / 500) for n in range(1, 11)]
    assert [n for n, parts in enumerate(looks, start=1) if parts == [VIEW]] == [5, 10]


def test_another_size_of_the_picture_is_looked_at_as_a_whole() -> None:
    """Also where both are thinned out to the same grid."""
    trail = followed((10, 10, 6, 10))
    trail.parts(VIEW, SIZE, [], TILING, 10.2)
    large = Box(0, 0, 1920, 1080)
    face = Box(800, 800, 860, 860)
    assert trail.parts(large, (1920, 1080), [face], TILING, 10.4) == [large]


def test_a_detector_may_ask_for_wholes() -> None:
    """One on a GPU, for example."""
    assert followed((10, 10, 6, 10)).parts(VIEW, SIZE, [], None, 10.2) == [VIEW]


def test_motion_in_a_region_is_looked_at_where_it_is() -> None:
    """The grid is that of the picture, not of the region."""
    right = Box(640, 360, 1280, 720)
    parts = followed((120, 70, 6, 6)).parts(right, SIZE, [], TILING, 10.2)
    assert any(inside(Box(960, 560, 1008, 608), part) for part in parts)
    assert all(inside(part, right) and part != right for part in parts)


def test_parts_stay_within_the_area_that_counts() -> None:
    """A region bounds them; what moved or stands outside is not looked at."""
    left = Box(0, 0, 640, 720)
    trail = followed((78, 60, 6, 6), (140, 10, 6, 6))
    parts = trail.parts(left, SIZE, [Box(900, 100, 950, 150)], TILING, 10.2)
    assert parts
    assert all(inside(part, left) for part in parts)


@pytest.mark.parametrize(
    "grid",
    [
        changed((5, 5, 150, 80)),
        changed(*((x, y, 1, 1) for x in range(0, 160, 4) for y in range(0, 90, 4))),
        changed(*((x, y, 2, 2) for x in range(2, 158, 20) for y in range(2, 88, 18))),
    ],
    ids=["nearly all of it", "grains", "many spots"],
)
def test_motion_all_over_the_view_is_a_look_at_the_whole(grid: Image) -> None:
    """A change of light, noise and rain leave nothing out."""
    trail = followed((10, 10, 6, 10))
    trail.add(grid)
    assert trail.parts(VIEW, SIZE, [], TILING, 10.2) == [VIEW]


def test_a_crowd_is_a_look_at_the_whole() -> None:
    """Many small parts are not worth the cutting."""
    faces = [Box(30.0 * n, 300, 30.0 * n + 20, 320) for n in range(MAX_PARTS)]
    assert followed((10, 10, 6, 10)).parts(VIEW, SIZE, faces, TILING, 10.2) == [VIEW]


def test_after_forgetting_comes_the_whole() -> None:
    """A view that was not watched may show anybody anywhere."""
    trail = followed((10, 10, 6, 10))
    trail.forget()
    assert trail.parts(VIEW, SIZE, [], TILING, 10.2) == [VIEW]
