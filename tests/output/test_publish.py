"""Events reach a real Redis whatever it does, in order, the same bytes, none silently lost."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from output.rig import PERIOD, SUMMARY, Rig, entries, frame_of, wait_for
from service.proxy import Proxy
from service.redis_server import client_of, kill

from worker.output.broker import COMMANDS
from worker.output.embedded import RedisServer

Make = Callable[..., Rig]


def seqs(documents: list[str]) -> list[int]:
    """The seq of each document, repeats left out as a consumer leaves them out."""
    return list(dict.fromkeys(json.loads(document)["seq"] for document in documents))


def documents(server: RedisServer, key: str, password: str | None = None) -> list[str]:
    """The documents of a stream."""
    with client_of(server, password) as client:
        return [document for _, _, document in entries(client, key)]


def test_each_event_reaches_its_stream(shared_redis: RedisServer, rig_for: Make) -> None:
    """Type and document stand in the stream of the event, byte for byte."""
    rig = rig_for(shared_redis).start()
    frame = rig.events.frame(frame_of("hall"), [], "ran")
    track = rig.events.track("hall", "start", SUMMARY)
    period = rig.events.compliance(PERIOD)
    rig.drained()
    with client_of(shared_redis) as client:
        for key, event in (("frames:hall", frame), ("alerts", track), ("compliance", period)):
            [(_, kind, document)] = entries(client, f"maskwatch:{key}")
            assert (kind, document.encode()) == (event.type, event.document)


def test_order_holds_per_camera(shared_redis: RedisServer, rig_for: Make) -> None:
    """Several threads make events of the same cameras; each stream is in order of seq."""
    rig = rig_for(shared_redis).start()
    threads = [threading.Thread(target=rig.frames, args=(150, c)) for c in ("hall", "door") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rig.drained()
    for camera in ("hall", "door"):
        found = documents(shared_redis, f"maskwatch:frames:{camera}")
        assert [json.loads(d)["seq"] for d in found] == list(range(300))
    assert rig.balanced()


def test_waits_for_a_redis_that_is_not_there_yet(own_redis: RedisServer, rig_for: Make) -> None:
    """Started before Redis, the publisher delivers all once it comes, and says what was wrong."""
    own_redis.start()
    own_redis.stop()
    rig = rig_for(own_redis).start()
    rig.frames(300)
    rig.down("refused")
    own_redis.start()
    rig.drained()
    assert seqs(documents(own_redis, "maskwatch:frames:hall")) == list(range(300))
    assert rig.counts.latencies == [None] * 300
    assert rig.counts.broker_said == [(False, "refused"), (True, "")]


def test_survives_the_death_of_redis(own_redis: RedisServer, rig_for: Make) -> None:
    """A server that is killed and comes back empty gets all that it had not confirmed."""
    own_redis.start()
    rig = rig_for(own_redis).start()
    rig.frames(100)
    rig.drained()
    feeder = threading.Thread(target=rig.frames, args=(400,))
    feeder.start()
    kill(own_redis)
    confirmed = len(rig.counts.sent)
    feeder.join()
    own_redis.start()
    rig.drained()
    found = seqs(documents(own_redis, "maskwatch:frames:hall"))
    assert found == list(range(found[0], 500))
    assert found[0] <= confirmed
    assert rig.balanced()
    assert not rig.counts.losses


def test_a_redis_that_hangs_is_left_and_tried_again(
    shared_redis: RedisServer, rig_for: Make
) -> None:
    """While Redis answers nobody, the publisher times out; then all is there, in order."""
    rig = rig_for(shared_redis, timeout_s=0.2).start()
    rig.frames(10)
    rig.drained()
    with client_of(shared_redis) as client:
        client.client_pause(1_000)
    rig.frames(300)
    rig.down("timeout")
    rig.drained()
    assert seqs(documents(shared_redis, "maskwatch:frames:hall")) == list(range(310))
    assert rig.balanced()


def test_what_was_not_confirmed_is_sent_again_byte_for_byte(
    shared_redis: RedisServer, rig_for: Make
) -> None:
    """Where the answer got lost, the events are sent again, and Redis takes each once."""
    with Proxy(shared_redis.port) as proxy:
        rig = rig_for(f"redis://127.0.0.1:{proxy.port}/0").start()
        rig.frames(1)
        rig.drained()
        proxy.swallow_answers()
        rig.frames(20)
        wait_for(lambda: (False, "gone") in rig.counts.broker_said)
        rig.drained()
    found = documents(shared_redis, "maskwatch:frames:hall")
    assert [json.loads(document)["seq"] for document in found] == list(range(21))
    assert len(rig.counts.sent) == 21


def test_a_hundred_broken_connections_leave_nothing_behind(
    shared_redis: RedisServer, rig_for: Make
) -> None:
    """Cut off again and again in mid-work, it loses nothing and holds one descriptor as before."""
    rig = rig_for(shared_redis).start()
    rig.frames(1)
    rig.drained()
    before = _open_files()
    with client_of(shared_redis) as admin:
        for _ in range(100):
            rig.frames(5)
            admin.client_kill_filter(_type="normal", skipme=True)
        rig.drained()
    assert _open_files() <= before + 1
    assert seqs(documents(shared_redis, "maskwatch:frames:hall")) == list(range(501))
    assert (False, "gone") in rig.counts.broker_said
    assert rig.balanced()
    assert not rig.counts.losses


def test_a_wrong_password_is_told_and_tried_again(
    own_redis: RedisServer, rig_for: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """With a wrong password events wait; they go once it is right. No password is logged."""
    caplog.set_level(logging.DEBUG)
    own_redis.start()
    with client_of(own_redis) as admin:
        admin.config_set("requirepass", "right one")
        rig = rig_for(own_redis, password="s3cret").start()
        rig.frames(5)
        rig.down("unauthorised")
        admin.config_set("requirepass", "s3cret")
        rig.drained()
    assert seqs(documents(own_redis, "maskwatch:frames:hall", "s3cret")) == list(range(5))
    assert "s3cret" not in caplog.text
    assert caplog.text.count("does not accept the user or the password") == 1


def test_the_documented_rights_are_enough(own_redis: RedisServer, rig_for: Make) -> None:
    """A user with the rights that the reference names can do all that is needed."""
    own_redis.start()
    with client_of(own_redis) as admin:
        rights = ("~maskwatch:*", "&maskwatch:*", *COMMANDS.split())
        admin.execute_command("ACL", "SETUSER", "worker", "on", ">pw", *rights)
        rig = rig_for(own_redis, username="worker", password="pw")
        rig.state()
        rig.start().frames(5)
        rig.drained()
        rig.publisher._writer.trim(["hall"])
        assert rig.counts.broker_said == [(True, "")]
        assert len(entries(admin, "maskwatch:frames:hall")) == 5


def test_missing_rights_are_told(
    own_redis: RedisServer, rig_for: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A user that may not write is told which rights it needs, without the event in the text."""
    own_redis.start()
    with client_of(own_redis) as admin:
        admin.execute_command(
            "ACL",
            "SETUSER",
            "worker",
            "on",
            ">pw",
            "~*",
            "&*",
            "+@read",
            "+@connection",
            "+@transaction",
            "+time",
            "+info",
        )
        rig = rig_for(own_redis, username="worker", password="pw").start()
        rig.frames(5)
        rig.down("forbidden")
        assert "+xadd" in caplog.text
        assert "maskwatch.frame/1" not in caplog.text
        admin.execute_command("ACL", "SETUSER", "worker", *COMMANDS.split())
        rig.drained()


@pytest.mark.parametrize(
    ("reason", "spoil", "mend"),
    [
        ("read_only", ["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
        (
            "out_of_memory",
            ["CONFIG", "SET", "maxmemory", "1"],
            ["CONFIG", "SET", "maxmemory", "0"],
        ),
    ],
)
def test_a_redis_that_takes_no_writes_is_waited_for(
    own_redis: RedisServer, rig_for: Make, reason: str, spoil: list[str], mend: list[str]
) -> None:
    """As replica or without memory it counts as down, steadily, until it takes events again."""
    own_redis.start()
    rig = rig_for(own_redis).start()
    rig.frames(5)
    rig.drained()
    with client_of(own_redis) as admin:
        admin.execute_command(*spoil)
        rig.frames(500)
        rig.down(reason)
        before = _connections(admin)
        wait_for(lambda: _connections(admin) >= before + 3)  # none of which may count as up
        admin.execute_command(*mend)
    rig.drained()
    assert rig.counts.broker_said == [(True, ""), (False, reason), (True, "")]
    assert seqs(documents(own_redis, "maskwatch:frames:hall")) == list(range(505))


def test_when_full_the_oldest_frames_go_and_it_is_told(
    own_redis: RedisServer, rig_for: Make
) -> None:
    """Overflow costs the oldest frames; a loss event names them before newer frames come."""
    own_redis.start()
    own_redis.stop()
    rig = rig_for(own_redis, queue_events=100)
    for _ in range(200):
        rig.frames(1, "hall")
        rig.frames(1, "door")
    for _ in range(10):
        rig.events.track("hall", "start", SUMMARY)
    assert rig.counts.losses == {("frame", "queue_full"): 310}
    own_redis.start()
    rig.start()
    rig.drained()
    with client_of(own_redis) as client:
        alerts = entries(client, "maskwatch:alerts")
        first_frame = min(
            entries(client, f"maskwatch:frames:{camera}")[0][0] for camera in ("hall", "door")
        )
    assert [kind for _, kind, _ in alerts] == ["track"] * 10 + ["loss"] * 2
    losses = [json.loads(document) for _, _, document in alerts[10:]]
    for camera in ("hall", "door"):
        [loss] = [loss for loss in losses if loss["camera_id"] == camera]
        found = seqs(documents(own_redis, f"maskwatch:frames:{camera}"))
        assert (loss["first_seq"], loss["last_seq"]) == (0, found[0] - 1)
        assert loss["count"] == found[0]
        assert found == list(range(found[0], 200))
    assert _ms(alerts[-1][0]) <= _ms(first_frame)
    assert rig.balanced()


def test_alerts_outlive_all_frames(own_redis: RedisServer, rig_for: Make) -> None:
    """Alerts are given up only when nothing else is left."""
    own_redis.start()
    own_redis.stop()
    rig = rig_for(own_redis, queue_events=100)
    rig.frames(50)
    for _ in range(120):
        rig.events.track("hall", "start", SUMMARY)
    assert rig.counts.losses == {("frame", "queue_full"): 50, ("track", "queue_full"): 20}


def test_a_key_of_another_type_costs_only_its_own_events(
    shared_redis: RedisServer, rig_for: Make
) -> None:
    """What one key refuses is lost, counted and told; others go on, and it once it is mended."""
    with client_of(shared_redis) as client:
        client.set("maskwatch:frames:hall", "mine")
        client.set("maskwatch:camera:hall", "mine too")
        rig = rig_for(shared_redis).start()
        rig.state()
        rig.frames(3, "hall")
        rig.frames(3, "door")
        rig.drained()
        wait_for(lambda: any(kind == "loss" for _, kind, _ in entries(client, "maskwatch:alerts")))
        client.delete("maskwatch:frames:hall")
        rig.frames(2, "hall")
        rig.drained()
    assert rig.counts.losses == {("frame", "rejected"): 3}
    assert seqs(documents(shared_redis, "maskwatch:frames:door")) == [0, 1, 2]
    assert seqs(documents(shared_redis, "maskwatch:frames:hall")) == [3, 4]
    assert rig.counts.broker_said == [(True, "")]


def test_part_of_a_transaction_can_be_refused(
    shared_redis: RedisServer, rig_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without scripts: what a transaction left undone for a while is sent again, the rest not."""
    monkeypatch.setattr("worker.output.append.prepare", lambda _client, _marks: None)
    rig = rig_for(shared_redis)
    real_send = rig.publisher._writer.send
    refusals: list[Exception | None] = [None, redis.ReadOnlyError("You can't write"), None]

    def send_but_one(events: Any, live: Any, states: Any) -> list[Exception | None]:
        monkeypatch.setattr(rig.publisher._writer, "send", real_send)
        real_send([events[0], events[2]], live, states)
        return refusals

    monkeypatch.setattr(rig.publisher._writer, "send", send_but_one)
    rig.frames(3)
    rig.start()
    rig.drained()
    found = documents(shared_redis, "maskwatch:frames:hall")
    assert [json.loads(document)["seq"] for document in found] == [0, 2, 1]
    assert (False, "read_only") in rig.counts.broker_said
    assert len(rig.counts.sent) == 3


def test_the_hash_shows_the_camera(shared_redis: RedisServer, rig_for: Make) -> None:
    """State, last frame, counts and validity stand in the camera's hash."""
    rig = rig_for(shared_redis)
    rig.frames(3)
    rig.state()
    rig.start()
    rig.drained()
    with client_of(shared_redis) as client:
        wait_for(lambda: bool(client.exists("maskwatch:camera:hall")))
        shown: Any = client.hgetall("maskwatch:camera:hall")
        assert 0 < int(client.ttl("maskwatch:camera:hall")) <= 86_400  # type: ignore[arg-type]
    assert shown["state"] == "up"
    assert shown["seq"] == "2"
    assert shown["with_mask"] == "1"
    assert shown["fps"] == "5.00"
    assert shown["last_frame_at"] < shown["valid_until"]


def test_after_an_ordered_stop_the_cameras_are_blind(
    shared_redis: RedisServer, rig_for: Make
) -> None:
    """The last thing that is written ends the validity of every state."""
    rig = rig_for(shared_redis)
    rig.state()
    rig.start()
    with client_of(shared_redis) as client:
        wait_for(lambda: bool(client.exists("maskwatch:camera:hall")))
        rig.close()
        until = str(client.hget("maskwatch:camera:hall", "valid_until"))
    assert until <= time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())


def test_the_live_channel_has_new_frames_only(own_redis: RedisServer, rig_for: Make) -> None:
    """After an outage the stream gets all, the live channel only what is news."""
    own_redis.start()
    shift = [0.0]
    rig = rig_for(own_redis, clock=lambda: time.monotonic() + shift[0])
    rig.frames(5)
    shift[0] = 10.0  # ten seconds later …
    with client_of(own_redis) as client, client.pubsub() as channel:
        channel.subscribe("maskwatch:live:hall")
        wait_for(lambda: channel.get_message() is not None)
        rig.start()
        rig.drained()
        shift[0] = 0.0
        fresh = rig.events.frame(frame_of("hall"), [], "ran")
        heard: list[Any] = []
        wait_for(lambda: heard.append(channel.get_message()) or heard[-1] is not None)  # type: ignore[func-returns-value]
    assert heard[-1]["data"].encode() == fresh.document
    assert len(documents(own_redis, "maskwatch:frames:hall")) == 6


def test_streams_are_trimmed_by_the_age_of_arrival(
    shared_redis: RedisServer, rig_for: Make
) -> None:
    """Entries older than the limit go, by the server's clock, whatever clock the worker has."""
    with client_of(shared_redis) as client:
        old = int(time.time() * 1_000) - 3_700_000
        for n in range(1_000):
            client.xadd("maskwatch:frames:hall", {"event": "old"}, id=f"{old}-{n + 1}")
        rig = rig_for(shared_redis, clock=lambda: time.monotonic() + 1e6).start()
        rig.frames(1)
        rig.drained()
        assert int(client.xlen("maskwatch:frames:hall")) < 200  # type: ignore[arg-type]
        rig.publisher._writer.trim(["hall"])
        assert len(entries(client, "maskwatch:frames:hall")) == 1


def test_latency_counts_from_the_capture(shared_redis: RedisServer, rig_for: Make) -> None:
    """An event that did not wait for Redis is measured from the arrival of its frame."""
    rig = rig_for(shared_redis).start()
    wait_for(lambda: rig.publisher.connected)
    rig.frames(1)
    rig.drained()
    [latency] = rig.counts.latencies
    assert latency is not None
    assert latency > 0


def test_close_publishes_what_waits(shared_redis: RedisServer, rig_for: Make) -> None:
    """An ordered stop loses nothing while Redis is there."""
    rig = rig_for(shared_redis)
    rig.frames(1_000)
    rig.start()
    rig.close()
    assert len(documents(shared_redis, "maskwatch:frames:hall")) == 1_000
    assert not rig.counts.losses
    assert rig.publisher.depth == 0


def test_close_without_redis_counts_what_is_lost(own_redis: RedisServer, rig_for: Make) -> None:
    """With Redis away the stop ends at its deadline; what is left, or comes later, is lost."""
    own_redis.start()
    own_redis.stop()
    rig = rig_for(own_redis).start()
    rig.frames(30)
    rig.down("refused")
    rig.close(0.2)
    rig.frames(1)
    assert rig.counts.losses == {("frame", "shutdown"): 31}
    assert rig.balanced()


@pytest.mark.parametrize(
    ("answer", "reason"), [(b"", "timeout"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_redis")]
)
def test_what_is_no_redis_is_told(rig_for: Make, answer: bytes, reason: str) -> None:
    """Something that is silent, or speaks another language, is named for what it is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_all() -> None:
            held = []
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    break
                connection.sendall(answer)
                held.append(connection)
            for connection in held:
                connection.close()

        answering = threading.Thread(target=answer_all, daemon=True)
        answering.start()
        rig = rig_for(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", timeout_s=0.1).start()
        rig.down(reason)
        rig.close(0.0)
        listener.shutdown(socket.SHUT_RDWR)
        answering.join(5)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _connections(client: redis.Redis) -> int:
    about: Any = client.info("stats")
    return int(about["total_connections_received"])


def _ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
