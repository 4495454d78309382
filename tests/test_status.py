"""What a worker tells of its cameras to whoever may see the page."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

from fakes import ArrayPicture, noise

from worker.config import Camera
from worker.history import CameraHistory
from worker.output.event import Event
from worker.pipeline import Seen
from worker.records import CameraStatus
from worker.status import WorkerView


def view(**camera: Any) -> tuple[WorkerView, Any]:
    """The view of a worker with one camera that nothing runs behind."""
    run = SimpleNamespace(
        camera_id="gate",
        camera=Camera(**{"url": "rtsp://192.0.2.7/stream", **camera}),
        condition=CameraStatus("gate", "down", 10.0, "stalled", "it fell silent"),
        history=CameraHistory(),
        seen=None,
        looked=None,
    )
    service = SimpleNamespace(cameras={"gate": run})
    return WorkerView(cast("Any", service), cast("Any", None), cast("Any", None), "cpu"), run


def test_configuration_of_a_camera_holds_no_secret() -> None:
    """Neither user nor password nor the address's query, wherever they were written."""
    worker, _ = view(
        url="rtsp://192.0.2.7/stream?token=qu3ry", username="us3r", password="passw0rd"
    )
    told = json.dumps(worker.camera("gate"))
    assert '"analyse_fps": 5.0' in told
    assert '"address": "rtsp://192.0.2.7/stream"' in told
    for secret in ("qu3ry", "us3r", "passw0rd"):
        assert secret not in told


def test_detail_changes_and_events_are_told() -> None:
    """Why it is blind, since when, and what happened last."""
    worker, run = view()
    run.history.status(run.condition)
    run.history.event(Event("alerts", "gate", "camera", 0, "id", b'{"state": "down"}', 1.0, 1.0))
    told = worker.camera("gate")
    assert told is not None
    assert told["detail"] == "it fell silent"
    assert told["changes"][0]["reason"] == "stalled"
    assert told["events"] == [{"state": "down"}]


def test_unknown_camera_is_not_told_of() -> None:
    """There is nothing to say, and no picture."""
    worker, _ = view()
    assert not worker.knows("elsewhere")
    assert worker.camera("elsewhere") is None
    assert worker.last_look("elsewhere") is None


def test_last_look_is_the_frame_that_was_detected_on() -> None:
    """Its picture, its faces and its time belong together."""
    worker, run = view()
    assert worker.last_look("gate") is None
    run.looked = Seen(12.5, (), looked=True, picture=ArrayPicture(noise()))
    look = worker.last_look("gate")
    assert look is not None
    assert look.at == 12.5
    assert look.picture is run.looked.picture
