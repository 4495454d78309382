"""What is said about a face, and when nothing is."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import pytest
from fakes import track

from worker.config import Deciding
from worker.output.decide import MAX_SPARED, Decider
from worker.records import Classification

MASK = Classification((0.02, 0.97, 0.01))
BARE = Classification((0.96, 0.03, 0.01))
ALMOST = Classification((0.2, 0.78, 0.02))
UNSURE = Classification((0.45, 0.5, 0.05))


def decider(threshold: float = 0.5, **rules: float) -> Decider:
    return Decider(Deciding(**rules), threshold)  # type: ignore[arg-type]


def rested(state: Decider, moments: Sequence[float], number: int = 1) -> list[int]:
    """Which of these moments a masked face is classified at, where it is spared when settled."""
    asked = []
    for n, now_s in enumerate(moments):
        settled = state.is_settled(number, now_s)
        one = dataclasses.replace(track(), number=number)
        state.decide(one, None if settled else MASK, None, now_s)
        asked += [] if settled else [n]
    return asked


def test_clear_face_is_labelled_at_once() -> None:
    """A large, clear crop decides with the first frame."""
    decision = decider().decide(track(), MASK, None, 0.0)
    assert (decision.label, decision.reason) == ("with_mask", None)
    assert decision.score == pytest.approx(0.97)


@pytest.mark.parametrize("reason", ["too_small", "blurred"])
def test_hindered_face_is_unknown_with_its_reason(reason: str) -> None:
    """Where no crop was fit, the reason is told rather than a guess."""
    decision = decider().decide(track(), None, reason, 0.0)  # type: ignore[arg-type]
    assert (decision.label, decision.reason) == ("unknown", reason)


def test_unsure_face_is_undecided() -> None:
    """Probabilities near each other are no label."""
    decision = decider().decide(track(), UNSURE, None, 0.0)
    assert (decision.label, decision.reason) == ("unknown", "undecided")


def test_model_threshold_guards_the_expensive_mistake() -> None:
    """With a strict threshold a face that is 90 % masked is not called masked."""
    almost = Classification((0.09, 0.9, 0.01))
    assert decider(threshold=0.95).decide(track(), almost, None, 0.0).label == "unknown"
    assert decider(threshold=0.5).decide(track(), almost, None, 0.0).label == "with_mask"


def test_label_does_not_flicker() -> None:
    """One contrary crop does not turn a label that many crops made."""
    state = decider()
    for n in range(5):
        state.decide(track(), BARE, None, n / 5)
    assert state.decide(track(), MASK, None, 1.0).label == "without_mask"


def test_label_follows_a_real_change() -> None:
    """Who puts a mask on is masked within a few seconds, and bare no longer."""
    state = decider()
    for n in range(10):
        state.decide(track(), BARE, None, n / 5)
    labels = [state.decide(track(), MASK, None, 2 + n / 5).label for n in range(25)]
    assert labels[-1] == "with_mask"
    changes = [b for a, b in itertools.pairwise(labels) if a != b]
    assert changes in (["unknown", "with_mask"], ["with_mask"])


def test_small_face_weighs_less_than_a_near_one() -> None:
    """A near, clear look outvotes several far ones."""
    state = decider()
    for n in range(3):
        state.decide(track(size=14), MASK, None, n / 5)
    assert state.decide(track(size=96), BARE, None, 0.6).label == "without_mask"


def test_small_face_keeps_what_was_known() -> None:
    """Who walks away keeps the label until the evidence has faded."""
    state = decider(memory_s=2.0)
    state.decide(track(), MASK, None, 0.0)
    assert state.decide(track(size=8), None, "too_small", 1.0).label == "with_mask"
    assert state.decide(track(size=8), None, "too_small", 30.0).reason == "too_small"


def test_evidence_does_not_fade_where_nothing_moves() -> None:
    """A person who stands still stays labelled."""
    state = decider(memory_s=1.0)
    state.decide(track(), MASK, None, 0.0)
    assert state.decide(track(seen=False), None, None, 60.0).label == "with_mask"


def test_tracks_do_not_mix_and_are_forgotten() -> None:
    """Each track has its own evidence, which goes with it."""
    state = decider()
    state.decide(track(1), MASK, None, 0.0)
    assert state.decide(track(2), BARE, None, 0.0).label == "without_mask"
    assert state.history(1).decision.label == "with_mask"
    state.forget([1])
    assert state.history(1).decision.label == "unknown"


def test_hindrances_by_size_and_blur() -> None:
    """The rules say from which size and sharpness a crop is worth classifying."""
    state = decider(min_face_px=12, min_sharpness=10)
    assert state.hinders(track(size=11)) == "too_small"
    assert state.hinders(track(size=12)) is None
    assert state.hinders(track(), 9.0) == "blurred"
    assert state.hinders(track(), 10.0) is None


def test_a_settled_face_is_classified_twice_a_second() -> None:
    """Of five frames a second, once a label stands on evidence enough."""
    asked = rested(decider(), [100.1 + n / 5 for n in range(20)])
    assert asked[:2] == [0, 1]
    assert sum(n >= 5 for n in asked) == 6


def test_settled_faces_are_classified_at_one_moment() -> None:
    """Whenever they came: a batch of one costs nearly what one of several does."""
    moments = [100.1 + n / 5 for n in range(30)]
    state = decider()
    first = [moments[n] for n in rested(state, moments)]
    second = [moments[3:][n] for n in rested(state, moments[3:], number=2)]
    late = [[now_s for now_s in asked if now_s >= moments[10]] for asked in (first, second)]
    assert late[0] == late[1]
    assert len(late[0]) == 8


def test_a_file_that_runs_fast_is_asked_by_frames() -> None:
    """Half a second of the clock may be a minute of it."""
    asked = rested(decider(), [100.1 + n / 1000 for n in range(100)])
    assert max(b - a for a, b in itertools.pairwise(asked)) == MAX_SPARED + 1


def test_frames_without_an_answer_are_not_spared_ones() -> None:
    """Where the device failed, a crowd left no room or all stood still, nothing is known anew."""
    failed, held, asked = decider(), decider(), decider()
    for state in (failed, held, asked):
        for n in range(4):
            state.decide(track(), MASK, None, 100.40 + n / 100)
    for n in range(5):
        assert held.is_settled(1, 100.44 + n / 100)
        held.decide(dataclasses.replace(track(), seen=False), None, None, 100.44 + n / 100)
        assert not failed.is_settled(1, 100.50 + n / 100)
        failed.decide(track(), None, None, 100.50 + n / 100)
    shares = []
    for state in (failed, held, asked):
        state.decide(track(), MASK, None, 100.60)
        shares.append(state.decide(track(), BARE, None, 100.61).score)
    assert shares[0] == pytest.approx(shares[2], abs=0.01)
    assert shares[1] == pytest.approx(shares[2], abs=0.01)


def test_another_opinion_counts_for_itself_alone() -> None:
    """However many frames were spared before it."""
    scores = []
    for spared in (0, 4):
        state = decider()
        for n in range(10):
            state.decide(track(), MASK, None, 100.5 + n / 100)
        for n in range(spared):
            assert state.is_settled(1, 100.6 + n / 100)
            state.decide(track(), None, None, 100.6 + n / 100)
        scores.append(state.decide(track(), BARE, None, 100.7).score)
    assert scores[0] == pytest.approx(scores[1], abs=0.001)


def test_a_short_memory_settles_nothing() -> None:
    """What is forgotten by the next frame has to be asked again."""
    state = decider(memory_s=0.05)
    rested(state, [100.1 + n / 4.5 for n in range(30)])
    assert set(state.history(1).frames) == {"with_mask"}


def test_what_was_spared_counts_as_the_next_classification_says() -> None:
    """So a settled label is as hard to change as one that every frame has confirmed."""
    spared, asked = decider(), decider()
    moments = [100.1 + n / 5 for n in range(20)]
    rested(spared, moments)
    for now_s in moments:
        asked.decide(track(), MASK, None, now_s)

    def until_bare(state: Decider) -> int:
        for n in range(20, 60):
            now_s = 100.1 + n / 5
            settled = state is spared and state.is_settled(1, now_s)
            if state.decide(track(), None if settled else BARE, None, now_s).label != "with_mask":
                return n
        raise AssertionError

    assert abs(until_bare(spared) - until_bare(asked)) <= 2


def test_one_other_opinion_ends_the_rest() -> None:
    """A face that is said to be another than its label is looked at in each frame again."""
    state = decider()
    for n in range(10):
        state.decide(track(), MASK, None, 100.1 + n / 5)
    assert state.is_settled(1, 101.95)
    state.decide(track(), BARE, None, 102.1)
    assert not state.is_settled(1, 102.2)


def test_small_and_unsure_faces_are_never_settled_soon() -> None:
    """Neither a few crops of 12 px, nor many that say now this and now that."""
    small, unsure = decider(), decider()
    for n in range(10):
        small.decide(track(size=12), MASK, None, 100 + n / 5)
        unsure.decide(track(), ALMOST, None, 100 + n / 5)
    assert not small.is_settled(1, 101.8)
    assert unsure.decide(track(), ALMOST, None, 102.0).label == "with_mask"
    assert not unsure.is_settled(1, 102.0)


def test_history_adds_up() -> None:
    """Frames and seconds under each label cover the track's whole life."""
    state = decider()
    for n in range(11):
        state.decide(track(), UNSURE if n < 5 else MASK, None, n / 5)
    history = state.history(1)
    assert sum(history.frames.values()) == 11
    assert sum(history.seconds.values()) == pytest.approx(2.0)
    assert history.frames["with_mask"] > 0
