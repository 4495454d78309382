"""What Redis does not take waits on disk, in order, and is there after the worker is gone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from output.rig import SUMMARY, Rig, entries, wait_for
from service.redis_server import client_of

from worker.errors import ConfigError
from worker.output.embedded import RedisServer

Make = Callable[..., Rig]

NOWHERE = "redis://127.0.0.1:1/0"
NEXT_RUN = "1ngaxyz00001"


def ids(server: RedisServer, key: str) -> list[str]:
    """The id of each event of a stream, as it lies there."""
    with client_of(server) as client:
        return [json.loads(document)["event_id"] for _, _, document in entries(client, key)]


def ids_of(camera: str, *numbers: int, run_id: str = "1ngaxyz00000") -> list[str]:
    """The ids of frame events."""
    return [f"{run_id}:frames:{camera}:{n}" for n in numbers]


def test_what_redis_does_not_take_goes_to_disk(rig_for: Make, tmp_path: Path) -> None:
    """With Redis away, nothing stays in memory alone, and all is accounted for."""
    rig = rig_for(NOWHERE, folder=tmp_path).start()
    rig.frames(30)
    rig.events.track("hall", "start", SUMMARY)
    rig.spooled(31)
    assert rig.balanced()


def test_a_prompt_redis_leaves_the_disk_alone(
    shared_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """What is confirmed at once is never written."""
    rig = rig_for(shared_redis, folder=tmp_path).start()
    wait_for(lambda: rig.publisher.connected)
    for _ in range(20):
        rig.frames(5)
        rig.drained()
    assert rig.counts.replays == 0


def test_a_publisher_that_hangs_does_not_keep_events_from_the_disk(
    rig_for: Make, tmp_path: Path
) -> None:
    """What is in hand is written as well as what waits."""
    rig = rig_for(NOWHERE, folder=tmp_path)
    rig.frames(300)
    rig.publisher._backlog.take(200, 0)
    rig.start_disk()
    rig.spooled(300)


def test_order_holds_through_disk_and_memory(
    own_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """What comes while the disk is emptied queues behind it."""
    own_redis.start()
    own_redis.stop()
    rig = rig_for(own_redis, folder=tmp_path).start()
    rig.frames(2_500)
    rig.spooled(2_500)
    own_redis.start()
    wait_for(lambda: rig.publisher.connected)
    for _ in range(50):
        rig.frames(10)
    rig.drained()
    assert ids(own_redis, "maskwatch:frames:hall") == ids_of("hall", *range(3_000))
    assert rig.balanced()
    assert not rig.counts.losses


def test_the_next_life_publishes_what_the_last_one_left(
    shared_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """The same bytes come, before anything new, and count as recovered."""
    first = rig_for(NOWHERE, folder=tmp_path).start()
    first.frames(700)
    first.spooled(700)
    made = [w.event.document for w in first.publisher._backlog._lanes["frames"].window]
    first.close(0.0)
    assert not first.counts.losses
    second = rig_for(shared_redis, folder=tmp_path, run_id=NEXT_RUN)
    second.frames(10)
    second.start()
    second.drained()
    with client_of(shared_redis) as client:
        found = [document.encode() for _, _, document in entries(client, "maskwatch:frames:hall")]
    assert found[:700] == made
    assert len(found) == 710
    assert second.counts.found == {"frame": 700}
    assert second.counts.replays >= 700
    assert second.balanced()


def test_an_ordered_stop_without_redis_loses_nothing(rig_for: Make, tmp_path: Path) -> None:
    """It does not wait for Redis either, once all is on disk."""
    rig = rig_for(NOWHERE, folder=tmp_path).start()
    rig.frames(50)
    rig.down("refused")
    began = time.monotonic()
    rig.close(30.0)
    assert time.monotonic() - began < 10
    assert not rig.counts.losses
    assert rig.publisher.spooled == 50


def test_what_arrived_before_a_death_is_not_published_twice(
    shared_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """An event whose confirmation nobody heard is on disk and in Redis: it stays one."""
    first = rig_for(shared_redis, folder=tmp_path)
    first.frames(20)
    first.publisher._writer.connect()
    hand = first.publisher._backlog.take(200, 0)
    first.publisher._writer.send([w.event for w in hand], [], {})  # and then it hears nothing
    first.start_disk()
    first.spooled(20)
    first.close(0.0)
    second = rig_for(shared_redis, folder=tmp_path, run_id=NEXT_RUN).start()
    second.drained()
    assert ids(shared_redis, "maskwatch:frames:hall") == ids_of("hall", *range(20))
    assert second.balanced()


def test_the_pace_of_a_replay_is_kept(
    shared_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """What waited is sent so many a second; what comes meanwhile does not make it endless."""
    first = rig_for(NOWHERE, folder=tmp_path).start()
    first.frames(300)
    first.spooled(300)
    first.close(0.0)
    second = rig_for(shared_redis, folder=tmp_path, run_id=NEXT_RUN, replay_per_s=200).start()
    wait_for(lambda: len(second.counts.sent) >= 50)
    assert second.publisher.spooled >= 100
    second.frames(100)
    second.drained()
    assert len(ids(shared_redis, "maskwatch:frames:hall")) == 400


def test_two_workers_do_not_share_a_folder(rig_for: Make, tmp_path: Path) -> None:
    """The second one is refused, with what to do about it."""
    rig_for(NOWHERE, folder=tmp_path)
    with pytest.raises(ConfigError, match="another worker uses"):
        rig_for(NOWHERE, folder=tmp_path)


def test_a_folder_that_cannot_be_made_is_told(rig_for: Make, tmp_path: Path) -> None:
    """It is a fault of the configuration, with its key."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"worker\.state_dir: .*cannot be made"):
        rig_for(NOWHERE, folder=tmp_path / "file" / "state")


def test_a_broken_file_is_set_aside(
    rig_for: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is no database any more is kept for a look, and the worker starts."""
    (tmp_path / "spool.db").write_bytes(b"not a database, but long enough" * 100)
    rig = rig_for(NOWHERE, folder=tmp_path).start()
    rig.frames(3)
    rig.spooled(3)
    assert len(list(tmp_path.glob("spool.db.corrupt-*"))) == 1
    assert "is no database any more" in caplog.text
    assert rig.counts.disk_said == [(False, "corrupt"), (True, None)]
