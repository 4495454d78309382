"""The metrics by themselves."""

from __future__ import annotations

from worker.metrics import Metrics
from worker.records import LABELS


def lines(metrics: Metrics, name: str) -> list[str]:
    return [row for row in metrics.exposition().decode().splitlines() if row.startswith(name)]


def test_series_of_a_camera_begin_at_zero_and_go_with_it() -> None:
    """Rates start with the first event, and a camera that was removed leaves nothing behind."""
    metrics = Metrics()
    camera = metrics.add_camera("hall")
    assert 'maskwatch_frames_analysed_total{camera="hall"} 0.0' in lines(metrics, "maskwatch_")
    camera.remove()
    assert not [row for row in lines(metrics, "maskwatch_") if 'camera="hall"' in row]


def test_blind_camera_shows_no_faces() -> None:
    """What was visible before a camera went down is visible no longer."""
    metrics = Metrics()
    camera = metrics.add_camera("hall")
    camera.tell("up", None)
    camera.visible["with_mask"].set(3)
    camera.tell("down", "timeout")
    shown = lines(metrics, "maskwatch_faces_visible")
    assert len(shown) == len(LABELS)
    assert all(row.endswith(" 0.0") for row in shown)


def test_no_created_series() -> None:
    """The exposition holds no second series a counter that nobody reads."""
    metrics = Metrics()
    metrics.add_camera("hall")
    assert not [
        row
        for row in lines(metrics, "maskwatch_")
        if "_created" in row.split("{")[0] and "events_created" not in row
    ]
