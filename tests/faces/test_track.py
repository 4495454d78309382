"""Which faces were there before."""

from __future__ import annotations

import itertools

import numpy as np
from fakes import face

from worker.faces.track import Tracker, iou


def tracker(**options: float) -> Tracker:
    return Tracker(itertools.count(1), **options)  # type: ignore[arg-type]


def numbers(of: Tracker, now_s: float, *faces: object) -> list[int]:
    seen, _ = of.follow(list(faces), now_s, now_s)  # type: ignore[arg-type]
    return [track.number for track in seen]


def test_moving_face_keeps_its_number() -> None:
    """A face that moves by half its size each frame stays one track."""
    followed = tracker()
    assert [numbers(followed, n / 5, face(20.0 * n, 50))[0] for n in range(10)] == [1] * 10


def test_a_face_is_expected_where_it_was_and_where_it_moves_to() -> None:
    """One that the last look missed is not followed into the unknown."""
    followed = tracker()
    for n in range(3):
        numbers(followed, n / 5, face(100 + 20.0 * n, 50))
    was, now = followed.places(0.6)
    assert was.x1 == 140
    assert now.x1 > 140 + 10
    assert not followed.just_missed()
    numbers(followed, 0.6)
    assert followed.just_missed()
    assert [place.x1 for place in followed.places(0.8)] == [140]
    numbers(followed, 0.8)
    assert not followed.just_missed()


def test_a_face_that_was_seen_once_is_not_missed() -> None:
    """It may have been none; or one so fast that the next look takes it for another."""
    followed = tracker()
    numbers(followed, 0.0, face(100, 50))
    numbers(followed, 0.2)
    assert not followed.just_missed()


def test_fast_face_without_overlap_keeps_its_number() -> None:
    """At low frame rates a face may jump by its own size; the nearest centre continues it."""
    followed = tracker()
    assert numbers(followed, 0.0, face(100, 50)) == [1]
    assert numbers(followed, 0.2, face(138, 50)) == [1]


def test_two_faces_do_not_swap() -> None:
    """Faces that pass each other at a distance keep their numbers, in any order given."""
    followed = tracker()
    for n in range(8):
        a, b = face(10.0 + 12 * n, 20), face(106.0 - 12 * n, 120)
        faces = (a, b) if n % 2 == 0 else (b, a)
        expected = [1, 2] if n % 2 == 0 else [2, 1]
        assert numbers(followed, n / 5, *faces) == expected


def test_other_size_at_the_same_place_is_another_face() -> None:
    """A box three times as large does not continue a track it hardly overlaps."""
    followed = tracker()
    numbers(followed, 0.0, face(100, 100, 30))
    assert numbers(followed, 0.2, face(90, 90, 120)) == [2]


def test_confirmed_after_enough_hits() -> None:
    """A track is confirmed by its second detection, not by its first."""
    followed = tracker(min_hits=2)
    first, _ = followed.follow([face(10, 10)], 0.0, 0.0)
    second, _ = followed.follow([face(12, 10)], 0.2, 0.2)
    assert (first[0].confirmed, second[0].confirmed) == (False, True)


def test_gap_is_bridged_and_then_ends() -> None:
    """A face hidden for less than the gap goes on; after it the track ends, once."""
    followed = tracker(max_gap_s=1.0)
    numbers(followed, 0.0, face(10, 10))
    assert numbers(followed, 0.9, face(10, 10)) == [1]
    _, ended = followed.follow([], 2.0, 2.0)
    assert [track.number for track in ended] == [1]
    assert followed.follow([], 3.0, 3.0) == ([], [])


def test_numbers_are_never_reused() -> None:
    """A face that comes after one that left gets a new number."""
    followed = tracker(max_gap_s=0.5)
    numbers(followed, 0.0, face(10, 10))
    followed.follow([], 1.0, 1.0)
    assert numbers(followed, 1.2, face(10, 10)) == [2]


def test_held_tracks_do_not_age() -> None:
    """While nothing moves, those last seen stay, however long."""
    followed = tracker(max_gap_s=1.0)
    numbers(followed, 0.0, face(10, 10))
    for n in range(1, 50):
        held = followed.hold(n / 5)
        assert [track.number for track in held] == [1]
        assert not held[0].seen
    assert numbers(followed, 10.0, face(10, 10)) == [1]


def test_who_left_is_not_held() -> None:
    """Two looks without a face, and the still view after them says nothing of it any more."""
    followed = tracker(max_gap_s=1.0)
    numbers(followed, 0.0, face(10, 10))
    followed.follow([], 0.2, 0.2)
    assert [track.number for track in followed.hold(0.4)] == [1]  # one look may miss a face
    followed.follow([], 0.6, 0.6)
    assert followed.hold(0.8) == []
    assert followed.hold(4.0) == []
    _, ended = followed.follow([], 5.0, 5.0)
    assert [track.number for track in ended] == [1]


def test_who_stays_is_held_while_another_leaves() -> None:
    """Each face by itself."""
    followed = tracker()
    numbers(followed, 0.0, face(10, 10), face(200, 10))
    for n in range(1, 3):
        numbers(followed, n / 5, face(10, 10))
    assert [track.number for track in followed.hold(1.0)] == [1]


def test_iou_of_known_boxes() -> None:
    """Half an overlap is a third; none is 0; the same box is 1."""
    a = np.array([[0.0, 0, 10, 10]])
    b = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(iou(a, b), [[1, 1 / 3, 0]])
