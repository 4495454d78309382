"""A consumer gets every event at least once and in order, and is told what it did not get."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from output.rig import MODEL, PERIOD, wait_for
from output.stream import LATER_RUN, RUN, Clock, Stream, carry, read_all, seqs
from service.redis_server import client_of, kill

from worker.errors import ConfigError
from worker.output import broker
from worker.output.broker import BrokerFaultError
from worker.output.consume import (
    AsyncConsumer,
    Consumer,
    Delivery,
    EventsLost,
    FrameEvent,
    GroupLost,
    Hole,
    NewRun,
    Notice,
    NotWatched,
    Trimmed,
    UnknownSchema,
    Unreadable,
    _raw_replies,
)
from worker.output.embedded import RedisServer
from worker.output.event import EventMaker, Loss
from worker.output.reading.delivery import Reading
from worker.output.reading.group import Member
from worker.output.reading.inspection import trimmed_unread
from worker.output.reading.sequence import Marks

DOCUMENTS = sorted((Path(__file__).parent / "documents").glob("*.json"))
FRAMES = "maskwatch:frames:hall"
both_kinds = pytest.mark.parametrize("kind", ["sync", "async"])


@pytest.fixture
def stream(shared_redis: RedisServer) -> Iterator[Stream]:
    with client_of(shared_redis) as client:
        yield Stream(client)


@both_kinds
def test_every_event_comes_typed_and_in_order(
    stream: Stream, shared_redis: RedisServer, kind: str
) -> None:
    """Once each; what is acknowledged is done with in Redis."""
    stream.frames(1_200)
    got, notices = read_all(shared_redis, kind=kind)
    assert seqs(got) == list(range(1_200))
    assert all(isinstance(delivery.event, FrameEvent) for delivery in got)
    assert notices == []
    assert stream.pending() == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cameras": "entrance"}, "write a list, such as"),
        ({"cameras": ["front door"]}, "write a list, such as"),
        ({"start": "newest"}, "neither 'new' nor 'oldest'"),
        ({"url": "redis://127.0.0.1:1/0?ssl=true"}, "cannot be used"),
        ({"url": "redis://127.0.0.1:1/events"}, "the database is a number"),
    ],
)
def test_what_would_go_wrong_in_silence_is_refused(options: dict[str, Any], sentence: str) -> None:
    """Before anything is connected."""
    for kind in (Consumer, AsyncConsumer):
        with pytest.raises(ConfigError, match=sentence):
            kind(group="g", name="n", **options)


@both_kinds
def test_what_was_not_acknowledged_comes_again(
    stream: Stream, shared_redis: RedisServer, kind: str
) -> None:
    """An earlier life's events come first, marked, then those it had not taken."""
    stream.frames(700)
    first, _ = read_all(shared_redis, kind=kind, limit=3)
    got, notices = read_all(shared_redis, kind=kind)
    assert seqs(first) + seqs(got) == list(range(700))
    assert got[0].redelivered
    assert not got[-1].redelivered
    assert notices == []


def test_only_what_comes_from_now_on(stream: Stream, shared_redis: RedisServer) -> None:
    """A new group begins at what is new, an old one where it was; nothing counts as trimmed."""
    stream.frames(3)
    assert read_all(shared_redis, start="new")[0] == []
    stream.frames(2)
    got, notices = read_all(shared_redis, start="new")
    assert seqs(got) == [3, 4]
    assert notices == []


def test_members_of_a_group_share(stream: Stream, shared_redis: RedisServer) -> None:
    """Each event goes to one of them, and what the other got is no hole."""
    got: list[Delivery] = []
    notices: list[Notice] = []
    stream.frames(600)
    options: dict[str, Any] = {
        "group": "door", "start": "oldest", "streams": ["frames"], "on_notice": notices.append,
    }  # fmt: skip
    with (
        Consumer(shared_redis.url, name="a", **options) as a,
        Consumer(shared_redis.url, name="b", **options) as b,
    ):
        for consumer, count in ((a, 500), (b, 100)):
            got += [next(consumer) for _ in range(count)]
        stream.frames(600)
        for consumer, count in ((b, 500), (a, 100)):
            got += [next(consumer) for _ in range(count)]
    assert seqs(got) == list(range(1_200))
    assert notices == []


def test_a_dead_members_events_are_taken_over(stream: Stream, shared_redis: RedisServer) -> None:
    """They go to another one once they lay idle for too long, and not before."""
    stream.frames(3)
    read_all(shared_redis, name="dead", ack=False)
    assert read_all(shared_redis, name="heir")[0] == []
    ids = [entry[0] for entry in stream.client.xrange(FRAMES)]  # type: ignore[union-attr]
    stream.client.xclaim(FRAMES, "door", "dead", 0, ids, idle=120_000)
    got, notices = read_all(shared_redis, name="heir")
    assert seqs(got) == [0, 1, 2]
    assert all(delivery.redelivered for delivery in got)
    assert notices == []
    assert stream.pending() == 0


def test_what_was_published_twice_comes_once(stream: Stream, shared_redis: RedisServer) -> None:
    """A batch that was sent again repeats its events under new entry ids."""
    for event in [*(batch := stream.frames(3)), *stream.made(2)]:
        stream.write(event)
    got, notices = read_all(shared_redis)
    assert seqs(got) == [0, 1, 2, 3, 4]
    assert len(batch) == 3
    assert notices == []
    assert stream.pending() == 0


def test_a_hole_is_told_before_the_event_after_it(
    stream: Stream, shared_redis: RedisServer
) -> None:
    """Within what one consumer reads."""
    stream.frames(2)
    stream.made(3)
    stream.frames(1)
    got, notices = read_all(shared_redis)
    assert seqs(got) == [0, 1, 5]
    assert notices == [Hole("frames", "hall", RUN, 2, 4)]


def test_a_hole_is_told_after_a_restart(stream: Stream, shared_redis: RedisServer) -> None:
    """The stream itself says what came before the first event of a new life."""
    stream.frames(2)
    read_all(shared_redis)
    stream.made(1)
    stream.frames(1)
    assert read_all(shared_redis)[1] == [Hole("frames", "hall", RUN, 2, 2)]


def test_events_missing_at_the_begin_of_a_run_are_told(
    stream: Stream, shared_redis: RedisServer
) -> None:
    """Counting begins at 0 with each run, and the new run is told as well."""
    stream.frames(2)
    stream.made(2, run=LATER_RUN)
    stream.frames(1, run=LATER_RUN)
    got, notices = read_all(shared_redis)
    assert seqs(got) == [0, 1, 2]
    assert notices == [
        Hole("frames", "hall", LATER_RUN, 0, 1),
        NewRun("lobby", LATER_RUN, RUN),
    ]


def test_two_workers_do_not_look_like_holes(stream: Stream, shared_redis: RedisServer) -> None:
    """What belongs to no single camera comes from every worker, each with numbers of its own."""
    other = EventMaker(worker_id="yard", run_id=LATER_RUN, model=MODEL, sink=lambda _event: None)
    for maker in (stream.maker(), other, stream.maker(), other):
        stream.write(maker.compliance(PERIOD))
    first, _ = read_all(shared_redis, limit=2)
    rest, notices = read_all(shared_redis)
    assert len(first + rest) == 4
    assert notices == []


def test_a_loss_and_a_gap_are_told(stream: Stream, shared_redis: RedisServer) -> None:
    """As notices, and as the events they are."""
    maker = stream.maker()
    stream.write(maker.loss(Loss("hall", "frames", 3, 5, 3, "queue_full")))
    stream.write(maker.gap("hall", 1_700_000_000.0, 1_700_000_060.0, "timeout"))
    got, notices = read_all(shared_redis)
    assert [type(notice) for notice in notices] == [EventsLost, NotWatched]
    assert [notice.event for notice in notices if isinstance(notice, EventsLost | NotWatched)] == [
        delivery.event for delivery in got
    ]


def test_what_was_trimmed_unread_is_told_once(stream: Stream, shared_redis: RedisServer) -> None:
    """The consumer was away for longer than the stream is kept; how many it missed is known."""
    stream.frames(4)
    read_all(shared_redis)
    stream.frames(20)
    stream.client.xtrim(FRAMES, maxlen=5, approximate=False)
    got, notices = read_all(shared_redis)
    assert seqs(got) == [19, 20, 21, 22, 23]
    assert notices == [Trimmed(FRAMES, 15)]
    assert read_all(shared_redis) == ([], [])


def test_trimming_what_was_read_is_no_loss(stream: Stream, shared_redis: RedisServer) -> None:
    """However much of it is gone, and after a loss as well."""
    stream.frames(10)
    stream.client.xtrim(FRAMES, maxlen=4, approximate=False)
    assert read_all(shared_redis)[1] == [Trimmed(FRAMES, 6)]
    stream.client.xtrim(FRAMES, maxlen=0, approximate=False)
    assert read_all(shared_redis) == ([], [])
    stream.frames(1)
    got, notices = read_all(shared_redis)
    assert seqs(got) == [10]
    assert notices == []


def test_what_was_trimmed_unacknowledged_is_told(stream: Stream, shared_redis: RedisServer) -> None:
    """It was handed out, nobody said that it was done, and now it is gone."""
    stream.frames(3)
    read_all(shared_redis, ack=False)
    stream.client.xtrim(FRAMES, maxlen=1, approximate=False)
    got, notices = read_all(shared_redis)
    assert seqs(got) == [2]
    assert notices == [Trimmed(FRAMES, 2, taken=True)]
    assert stream.pending() == 0


def test_a_group_that_redis_forgot_is_told(stream: Stream, shared_redis: RedisServer) -> None:
    """It is made anew; what comes then comes, and what is missing is told."""
    notices: list[Notice] = []
    stream.frames(2)
    with Consumer(
        shared_redis.url, group="door", name="a", start="oldest", on_notice=notices.append,
        streams=["frames"], timeout_s=0.4,
    ) as consumer:  # fmt: skip
        got = [next(consumer) for _ in range(2)]
        stream.client.flushall()
        stream.made(1)
        stream.frames(2)
        got += [next(consumer) for _ in range(2)]
    assert seqs(got) == [0, 1, 3, 4]
    assert notices == [GroupLost(FRAMES, "door"), Hole("frames", "hall", RUN, 2, 2)]


def test_a_newer_schema_is_told_with_its_document(
    stream: Stream, shared_redis: RedisServer
) -> None:
    """Whoever can make use of it has it whole; the next event is read as ever."""
    document = json.dumps({"schema": "maskwatch.frame/2", "heads": []})
    stream.raw("frames:hall", {"type": "frame", "event": document})
    stream.frames(1)
    got, notices = read_all(shared_redis)
    assert seqs(got) == [0]
    [notice] = notices
    assert isinstance(notice, UnknownSchema)
    assert (notice.schema, notice.document) == ("maskwatch.frame/2", document.encode())
    assert stream.pending() == 0


def test_an_event_of_a_newer_schema_is_no_hole(stream: Stream, shared_redis: RedisServer) -> None:
    """What every event begins with is read from it all the same, in this life and the next."""
    for _ in range(2):
        stream.frames(1)
        [event] = stream.made(1)
        document = {**json.loads(event.document), "schema": "maskwatch.frame/2"}
        stream.raw("frames:hall", {"type": "frame", "event": json.dumps(document)})
    _, notices = read_all(shared_redis, limit=2)
    stream.frames(1)
    _, later = read_all(shared_redis)
    assert {type(notice) for notice in [*notices, *later]} == {UnknownSchema}


def test_new_optional_fields_are_let_pass(stream: Stream, shared_redis: RedisServer) -> None:
    """What is added under the same number, on top or within, does no harm."""
    [event] = stream.made(1)
    document = json.loads(event.document)
    document["added"] = document["faces"][0]["added"] = document["counts"]["added"] = {"x": 1}
    stream.raw("frames:hall", {"type": "frame", "event": json.dumps(document)})
    got, notices = read_all(shared_redis)
    assert notices == []
    assert isinstance(got[0].event, FrameEvent)
    assert json.loads(got[0].document)["added"] == {"x": 1}


BROKEN = {
    "cut off": b'{"schema":"maskwatch.frame/1","event_id":"1',
    "no JSON": b"\xff\x00",
    "too deep": b"[" * 100_000,
    "no object": b"[1]",
    "no schema": b'{"event_id":"1"}',
    "another's schema": b'{"schema":"elsewhere.frame/1"}',
    "a field missing": b'{"schema":"maskwatch.gap/1","event_id":"1:alerts:hall:0"}',
    "no number": b'{"schema":"maskwatch.frame/one"}',
    "a schema that is none": b'{"schema":7}',
}


@pytest.mark.parametrize("document", BROKEN.values(), ids=BROKEN)
def test_what_is_no_event_is_told(
    stream: Stream, shared_redis: RedisServer, document: bytes
) -> None:
    """It is skipped, but not silently, and what it holds does not stand in the sentence."""
    stream.raw("frames:hall", {"type": "frame", "event": document})
    stream.frames(1)
    got, [notice] = read_all(shared_redis)
    assert seqs(got) == [0]
    assert isinstance(notice, Unreadable)
    assert notice.document == document
    assert len(str(notice)) < 200
    assert stream.pending() == 0


def test_an_entry_without_a_document_is_told(stream: Stream, shared_redis: RedisServer) -> None:
    """Somebody else wrote into the stream."""
    stream.raw("frames:hall", {"hello": "world"})
    _, [notice] = read_all(shared_redis)
    assert isinstance(notice, Unreadable)


def test_a_notice_that_could_not_be_handled_comes_again(
    stream: Stream, shared_redis: RedisServer
) -> None:
    """An exception of the callback leaves the iteration, and the entry unacknowledged."""
    stream.raw("frames:hall", {"hello": "world"})

    def refuse(notice: Notice) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        read_all(shared_redis, on_notice=refuse)
    assert stream.pending() == 1
    assert len(read_all(shared_redis)[1]) == 1


def test_without_a_callback_notices_are_logged(
    stream: Stream, shared_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody who forgot to ask misses them."""
    stream.made(1)
    stream.frames(1)
    stream.made(1)
    stream.frames(1)
    with Consumer(shared_redis.url, group="door", name="a", start="oldest") as consumer:
        for _ in range(2):
            next(consumer)
    assert "1 events of camera hall are missing from frames: seq 2 to 2" in caplog.text


def test_old_events_can_be_dropped(stream: Stream, shared_redis: RedisServer) -> None:
    """After an outage, for those who act on what is now."""
    old = stream.maker().frame(frame_long_ago(), [], "ran")
    stream.write(old)
    stream.frames(1)
    got, notices = read_all(shared_redis, max_age_s=60)
    assert seqs(got) == [1]
    assert notices == []
    assert stream.pending() == 0


def frame_long_ago() -> Any:
    from output.rig import frame_of

    return frame_of("hall", captured_at=1_700_000_000.0)


def test_only_some_cameras(stream: Stream, shared_redis: RedisServer) -> None:
    """Frames and alerts of the others are not handed out, and nothing is left over."""
    stream.frames(1, "hall")
    stream.frames(1, "yard")
    stream.write(stream.maker().gap("yard", 1.0, 2.0, "timeout"))
    got, _ = read_all(shared_redis, cameras=["hall"])
    assert [delivery.event.camera_id for delivery in got] == ["hall"]
    assert stream.pending("alerts") == 0


def test_a_camera_that_appears_later_is_read_from_its_beginning(
    stream: Stream, shared_redis: RedisServer
) -> None:
    """Also by a group that began at what is new."""
    alerts: Any = "maskwatch:alerts"

    def appear() -> None:
        wait_for(lambda: bool(stream.client.exists(alerts) and stream.client.xinfo_groups(alerts)))
        stream.frames(2, "yard")

    stream.frames(2, "hall")
    thread = threading.Thread(target=appear)
    options: dict[str, Any] = {"group": "door", "name": "a", "start": "new", "timeout_s": 0.4}
    with Consumer(shared_redis.url, **options) as consumer:
        thread.start()
        got = [next(consumer) for _ in range(2)]
    thread.join(5)
    assert [delivery.event.camera_id for delivery in got] == ["yard", "yard"]


def test_an_awaiting_consumer_may_be_cancelled(stream: Stream, shared_redis: RedisServer) -> None:
    """As ``wait_for`` does; nothing gets lost, and nothing comes out of order."""
    got: list[int] = []

    async def read() -> None:
        options: dict[str, Any] = {"group": "door", "name": "a", "start": "oldest"}
        async with AsyncConsumer(shared_redis.url, **options) as consumer:
            for n in range(3):
                stream.frames(20)
                while len(got) < 20 * (n + 1):
                    with contextlib.suppress(TimeoutError):
                        delivery = await asyncio.wait_for(anext(consumer), 0.3)
                        got.append(delivery.event.seq)
                        delivery.ack()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(consumer), 0.3)

    asyncio.run(read())
    assert got == list(range(60))


def test_what_waits_here_is_not_left_behind(stream: Stream, shared_redis: RedisServer) -> None:
    """Slow work keeps its hold on what was read; what another took meanwhile is let go."""
    clock = Clock()
    reading = Reading("maskwatch", "door", "slow", ["frames"], None, "oldest", 60.0, None, 10)
    member = Member(reading, print, clock=clock)
    stream.frames(4)
    with broker.client(broker.settings_of(shared_redis.url), "test") as client:
        _raw_replies(client)
        carry(client, member.turn())
        first = member.next()
        ids = [entry[0] for entry in stream.client.xrange(FRAMES)]  # type: ignore[union-attr]
        stream.client.xclaim(FRAMES, "door", "slow", 0, ids, idle=50_000)
        stream.client.xclaim(FRAMES, "door", "quick", 0, [ids[2]])
        clock.now_s += 30
        carry(client, member.upkeep())
    rest = [member.next(), member.next(), member.next()]
    assert [d and d.event.seq for d in (first, *rest)] == [0, 1, 3, None]
    idle: Any = stream.client.xpending_range(FRAMES, "door", "-", "+", 10, "slow")
    assert [p["time_since_delivered"] < 30_000 for p in idle] == [False, True, True]


def test_memory_is_bounded() -> None:
    """Marks of cameras that are no more do not pile up; those in use stay."""
    marks = Marks(remembered=10)
    for seq in range(100):
        marks.note(("frames", f"camera-{seq}", RUN), seq)
        marks.note(("frames", "hall", RUN), seq)
    assert len(marks._highest) <= 10
    assert marks.highest(("frames", "hall", RUN)) == 99


@both_kinds
def test_a_consumer_may_be_there_before_the_worker(
    stream: Stream, shared_redis: RedisServer, kind: str
) -> None:
    """With no stream yet it waits without haste, and then gets everything."""
    options: dict[str, Any] = {"streams": ["frames"], "start": "new", "kind": kind}
    timer = threading.Timer(0.2, lambda: stream.frames(3))
    timer.start()
    got, notices = read_all(shared_redis, stop_when_idle_s=4, limit=3, **options)
    timer.join()
    assert seqs(got) == [0, 1, 2]
    assert notices == []


def test_waiting_for_a_worker_asks_little(stream: Stream, shared_redis: RedisServer) -> None:
    """One look, then a pause."""
    before: Any = stream.client.info("stats")["total_commands_processed"]
    assert read_all(shared_redis, streams=["frames"], stop_when_idle_s=0.5) == ([], [])
    after: Any = stream.client.info("stats")["total_commands_processed"]
    assert after - before < 50


def test_keys_of_others_do_no_harm(stream: Stream, shared_redis: RedisServer) -> None:
    """One that only looks like a stream of frames is left alone."""
    stream.client.set("maskwatch:frames:text", "no stream")
    stream.client.execute_command("XADD", b"maskwatch:frames:\xff", "*", "a", "b")
    stream.frames(1)
    got, notices = read_all(shared_redis)
    assert seqs(got) == [0]
    assert notices == []


def test_a_server_that_does_not_count_tells_of_trimming_without_a_number() -> None:
    """Before Redis 7, whose XINFO has neither what was added nor what was read."""
    talk = trimmed_unread(
        b"k",
        {b"first-entry": [b"9-0", []], b"last-generated-id": b"12-0", b"length": 4},
        {b"name": b"door", b"last-delivered-id": b"3-0"},
    )
    assert next(talk) == ("XGROUP", "SETID", b"k", b"door", b"8-%d" % ((1 << 64) - 1))
    with pytest.raises(StopIteration) as end:
        talk.send(b"OK")
    assert end.value.value == Trimmed("k", None)


def test_redis_may_go_and_come(own_redis: RedisServer) -> None:
    """The iteration waits, takes up what the broken connection swallowed, and goes on."""
    own_redis.start()
    got: list[int] = []
    notices: list[Notice] = []
    consumer = Consumer(
        own_redis.url, group="door", name="a", streams=["frames"], on_notice=notices.append,
        start="oldest", timeout_s=0.4,
    )  # fmt: skip

    def read() -> None:
        for delivery in consumer:
            got.append(delivery.event.seq)
            delivery.ack()

    with client_of(own_redis) as client:
        stream = Stream(client)
        stream.frames(2)
        thread = threading.Thread(target=read)
        thread.start()
        wait_for(lambda: got == [0, 1])
    kill(own_redis)
    wait_for(lambda: consumer.tally.outages == 1)
    own_redis.start()
    with client_of(own_redis) as client:
        stream.client = client
        stream.frames(2)
        wait_for(lambda: got == [0, 1, 2, 3])
    consumer.stop()
    thread.join(5)
    consumer.close()
    assert not thread.is_alive()
    assert [type(notice) for notice in notices] == [GroupLost]


def test_a_wrong_password_is_told_without_it(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The first connection says so, instead of waiting for ever."""
    own_redis._password = "right"
    own_redis.start()
    url = f"redis://:s3cr3t-word@127.0.0.1:{own_redis.port}/0"
    with (
        Consumer(url, group="door", name="a") as consumer,
        pytest.raises(BrokerFaultError, match="password") as fault,
    ):
        next(consumer)
    assert "s3cr3t" not in f"{fault.value!r}{fault.value}{fault.value.__cause__}{caplog.text}"


def test_missing_rights_are_named(own_redis: RedisServer) -> None:
    """The rights that a consumer needs suffice, and none less."""
    from worker.output.reading.group import COMMANDS

    own_redis.start()
    rule = f"on >word ~maskwatch:* resetchannels {COMMANDS}"
    url = f"redis://reader:word@127.0.0.1:{own_redis.port}/0"
    with client_of(own_redis) as client:
        client.execute_command("ACL", "SETUSER", "reader", *rule.split())
        stream = Stream(client)
        stream.frames(1)
        with Consumer(url, group="door", name="a", start="oldest", timeout_s=0.4) as consumer:
            next(consumer).ack()
        assert stream.pending() == 0
        client.execute_command("ACL", "SETUSER", "reader", "-xreadgroup")
        with (
            Consumer(url, group="door", name="a") as consumer,
            pytest.raises(BrokerFaultError, match=r"\+xreadgroup"),
        ):
            next(consumer)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://127.0.0.1"},
        {"group": "a b"},
        {"name": ""},
        {"streams": ["faces"]},
        {"streams": "frames"},
        {"claim_idle_s": 0},
        {"max_age_s": -1},
        {"prefix": "a*"},
        {"timeout_s": 0},
    ],
)
def test_wrong_options_are_refused_before_anything_starts(options: dict[str, Any]) -> None:
    """As a sentence that names the option."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        Consumer(**{"group": "door", "name": "a", **options})


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_document_ever_published_is_read(
    stream: Stream, shared_redis: RedisServer, path: Path
) -> None:
    """The compatibility promise: old events, byte for byte, by today's consumer."""
    document = path.read_bytes().rstrip(b"\n")
    fields = json.loads(document)
    kind = fields["schema"].removeprefix("maskwatch.").partition("/")[0]
    key = {"frame": "frames:hall", "compliance": "compliance"}.get(kind, "alerts")
    stream.raw(key, {"type": kind, "event": document})
    got, notices = read_all(shared_redis)
    assert [delivery.document for delivery in got] == [document]
    assert got[0].event.event_id == fields["event_id"]
    assert not [notice for notice in notices if isinstance(notice, UnknownSchema | Unreadable)]


def test_nothing_heavy_is_imported() -> None:
    """A consumer needs neither pictures nor networks."""
    code = (
        "import sys, worker.output.consume\n"
        "heavy = {'torch', 'cv2', 'av', 'onnxruntime', 'PIL', 'matplotlib'}\n"
        "sys.exit(' '.join(heavy & {name.split('.')[0] for name in sys.modules}) or None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_redis_types_stay_inside() -> None:
    """Whoever consumes needs no name of redis-py."""
    import worker.output.consume as consume

    assert not [name for name in consume.__all__ if isinstance(getattr(consume, name), type(redis))]
