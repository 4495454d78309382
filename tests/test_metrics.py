"""What is exposed: from the start, at 0, and no longer than its camera."""

from __future__ import annotations

from worker.errors import CAMERA_REASONS
from worker.metrics import EVENT_TYPES, LOSSES, STATES, Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"maskwatch_{name}", labels)


def test_a_camera_is_in_one_state() -> None:
    """The state it is in is 1, all others are 0; ``camera_up`` says the same."""
    metrics = Metrics()
    camera = metrics.add_camera("hall")
    camera.tell("up", None)
    states = {state: value(metrics, "camera_state", camera="hall", state=state) for state in STATES}
    assert states == {state: float(state == "up") for state in STATES}
    assert value(metrics, "camera_up", camera="hall") == 1


def test_a_blind_camera_says_why() -> None:
    """Its reason is 1 for as long as it is down for that."""
    metrics = Metrics()
    camera = metrics.add_camera("hall")
    camera.tell("down", "timeout")
    assert value(metrics, "camera_blind", camera="hall", reason="timeout") == 1
    camera.tell("down", "refused")
    assert value(metrics, "camera_blind", camera="hall", reason="timeout") == 0
    assert value(metrics, "camera_blind", camera="hall", reason="refused") == 1
    camera.tell("up", None)
    assert not any(
        value(metrics, "camera_blind", camera="hall", reason=reason) for reason in CAMERA_REASONS
    )


def test_losses_are_counted_from_nothing() -> None:
    """Each series is there at 0, or the first loss would be no increase."""
    metrics = Metrics()
    for kind in EVENT_TYPES:
        for reason in LOSSES:
            assert value(metrics, "events_lost_total", type=kind, reason=reason) == 0


def test_a_camera_takes_its_series_along() -> None:
    """Once it is removed, nothing of it is exposed."""
    metrics = Metrics()
    metrics.add_camera("hall").remove()
    assert b"hall" not in metrics.exposition()
