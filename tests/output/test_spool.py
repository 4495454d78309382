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
from worker.output.broker import COMMANDS
from worker.output.embedded import RedisServer
from worker.output.event import Event

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
    rig.publisher._backlog.take(200, 0, 0.0)
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
    hand = first.publisher._backlog.take(200, 0, 0.0)
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


def test_a_file_that_breaks_costs_what_it_alone_held(
    own_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """What lies in memory as well goes into the new file; the rest is counted as lost."""
    own_redis.start()
    own_redis.stop()
    rig = rig_for(own_redis, folder=tmp_path).start()
    rig.frames(6_000)
    rig.spooled(6_000)
    path = tmp_path / "spool.db"
    with path.open("r+b") as file:
        file.seek(20 * 8_192)
        file.write(b"\xff" * (path.stat().st_size - 20 * 8_192))
    own_redis.start()
    wait_for(lambda: (False, "corrupt") in rig.counts.disk_said)
    rig.frames(10)
    rig.drained()
    [((kind, reason), lost)] = rig.counts.losses.items()
    assert (kind, reason) == ("frame", "spool_lost")
    found = ids(own_redis, "maskwatch:frames:hall")
    assert len(found) == len(set(found)) == 6_010 - lost
    with client_of(own_redis) as client:
        [told] = [json.loads(document) for _, _, document in entries(client, "maskwatch:alerts")]
    missing = set(range(6_010)) - {int(name.rpartition(":")[2]) for name in found}
    assert missing == set(range(told["first_seq"], told["last_seq"] + 1))
    assert rig.balanced()
    assert len(list(tmp_path.glob("spool.db.corrupt-*"))) == 1


def test_a_full_disk_leaves_events_in_memory(rig_for: Make, tmp_path: Path) -> None:
    """It is told once, and once it has room again all goes there."""
    rig = rig_for(NOWHERE, folder=tmp_path)
    assert rig.spool is not None
    ask = rig.spool._file.connection.execute
    [pages] = ask("PRAGMA page_count").fetchone()
    ask(f"PRAGMA max_page_count = {pages + 2}").fetchall()
    rig.start()
    rig.frames(500)
    wait_for(lambda: (False, "full") in rig.counts.disk_said)
    assert rig.publisher.depth == 500
    assert "full" in rig.publisher.disk_fault
    with rig.publisher._backlog.lock:  # the spool rests between two attempts
        ask("PRAGMA max_page_count = 100000").fetchall()
    rig.spooled(500)
    assert rig.counts.disk_said == [(True, None), (False, "full"), (True, None)]
    assert not rig.counts.losses


def test_when_the_spool_is_full_the_oldest_frames_go_and_it_is_told(
    own_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """Each camera's loss is one range, told before its newer frames; alerts stay."""
    own_redis.start()
    own_redis.stop()
    rig = rig_for(own_redis, folder=tmp_path)
    assert rig.spool is not None
    rig.spool._file.limit_bytes = 2_000_000
    rig.start()
    for _ in range(30):
        rig.frames(100)
        rig.events.track("hall", "start", SUMMARY)
        wait_for(lambda: rig.publisher.depth == 0)
    assert rig.spool.used_bytes <= 2_000_000
    [((kind, reason), lost)] = rig.counts.losses.items()
    assert (kind, reason) == ("frame", "spool_full")
    own_redis.start()
    rig.drained()
    with client_of(own_redis) as client:
        alerts = [json.loads(document) for _, _, document in entries(client, "maskwatch:alerts")]
    found = [int(name.rpartition(":")[2]) for name in ids(own_redis, "maskwatch:frames:hall")]
    told = [event for event in alerts if event["schema"] == "maskwatch.loss/1"]
    missing = set(range(3_000)) - set(found)
    assert len(missing) == lost == sum(event["count"] for event in told)
    assert missing <= set(range(told[0]["first_seq"], told[-1]["last_seq"] + 1))
    assert found == sorted(found)
    assert len(alerts) - len(told) == 30
    assert rig.balanced()


def test_a_loss_of_an_earlier_run_names_it(
    shared_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """What was dropped and not told before the end is told by the next life."""
    first = rig_for(NOWHERE, folder=tmp_path)
    assert first.spool is not None
    first.spool._file.limit_bytes = 1_000_000
    first.start()
    for _ in range(20):
        first.frames(100)
        wait_for(lambda: first.publisher.depth == 0)
    first.close(0.0)
    second = rig_for(shared_redis, folder=tmp_path, run_id=NEXT_RUN).start()
    second.drained()
    with client_of(shared_redis) as client:
        alerts = [json.loads(document) for _, _, document in entries(client, "maskwatch:alerts")]
    assert {event["of_run_id"] for event in alerts} == {"1ngaxyz00000"}
    lost = sum(event["count"] for event in alerts)
    assert lost == sum(first.counts.losses.values()) > 0
    assert len(ids(shared_redis, "maskwatch:frames:hall")) + lost == 2_000


def test_a_journal_alone_is_small(rig_for: Make, tmp_path: Path) -> None:
    """The disk is given back what an outage took of it."""
    rig = rig_for(NOWHERE, folder=tmp_path)
    assert rig.spool is not None
    file = rig.spool._file
    made: list[Event] = []
    rig.events._sink = made.append
    rig.frames(2_000)
    with file.transaction():
        rows = file.add(made)
    with file.transaction():
        file.delete("frames", rows)
    file.shrink(10_000)
    assert file.path.stat().st_size < 200_000


def test_a_server_without_scripts_is_told_once(
    own_redis: RedisServer, rig_for: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Events go there all the same; only repetitions can't be kept out."""
    own_redis.start()
    with client_of(own_redis) as admin:
        rights = [right for right in COMMANDS.split() if "evalsha" not in right]
        admin.execute_command(
            "ACL", "SETUSER", "worker", "on", ">pw", "~maskwatch:*", "&maskwatch:*", *rights
        )
        rig = rig_for(own_redis, folder=tmp_path, username="worker", password="pw").start()
        rig.frames(5)
        rig.drained()
        admin.client_kill_filter(_type="normal", skipme=True)
        rig.frames(5)
        rig.drained()
        assert len(entries(admin, "maskwatch:frames:hall")) == 10
    assert caplog.text.count("does not let this user run scripts") == 1


def test_a_flushed_script_is_loaded_again(
    own_redis: RedisServer, rig_for: Make, tmp_path: Path
) -> None:
    """It costs no event, and no connection."""
    own_redis.start()
    rig = rig_for(own_redis, folder=tmp_path).start()
    rig.frames(5)
    rig.drained()
    with client_of(own_redis) as admin:
        admin.script_flush()
    rig.frames(5)
    rig.drained()
    assert ids(own_redis, "maskwatch:frames:hall") == ids_of("hall", *range(10))
    assert rig.counts.broker_said == [(True, "")]
