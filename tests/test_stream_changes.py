"""A stream that goes on in another size, from the decoder to the events."""

from __future__ import annotations

import json
from pathlib import Path

import redis
from capture.clips import make_clip

from worker.config import Camera, Http, Settings
from worker.config import Redis as RedisSettings
from worker.output.embedded import embedded_redis
from worker.process import Worker
from worker.service import Service
from worker.venue import Zone

CORNERS = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9)]


def test_the_resolution_changes_under_all_stages(tmp_path: Path) -> None:
    """Region, zone, motion gate and events follow the new size, and no frame is lost."""
    small = make_clip(tmp_path / "small.h264", size=(320, 180), seconds=1)
    large = make_clip(tmp_path / "large.h264", size=(480, 360), seconds=1)
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with embedded_redis() as server:
        Service(
            Settings(
                worker=Worker(worker_id="test"),
                cameras={"hall": Camera(url=str(both), region=CORNERS)},
                zones={"till": Zone(cameras={"hall": CORNERS})},
                redis=RedisSettings(url=server.url),
                http=Http(port=0),
            )
        ).run()
        with redis.Redis.from_url(server.url) as client:
            entries = client.xrange("maskwatch:frames:hall")
    events = [json.loads(fields[b"event"]) for _, fields in entries]
    assert [(e["width"], e["height"]) for e in events] == [(320, 180)] * 5 + [(480, 360)] * 5
    assert all(event["dropped_since_last"] == {} for event in events)
