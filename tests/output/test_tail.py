"""Events can be followed as they come, through outages, and read by people."""

from __future__ import annotations

import io
import json
import queue
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from output.regenerate import PAGE
from output.rig import PERIOD, Rig, wait_for
from service.redis_server import client_of, kill

from worker.output.embedded import RedisServer
from worker.output.tail import coloured, follow, line, print_events

Make = Callable[..., Rig]
DOCUMENTS = Path(__file__).parent / "documents"


@contextmanager
def following(url: str, **options: Any) -> Iterator[queue.SimpleQueue[dict[str, Any]]]:
    """A thread that follows; its documents come by a queue."""
    got: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    stop = threading.Event()

    def run() -> None:
        for document in follow(url, stop=stop, timeout_s=0.4, **options):
            got.put(document)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield got
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def reading(server: RedisServer) -> None:
    """Wait until somebody waits for new entries."""
    with client_of(server) as client:
        wait_for(lambda: any("xread" in c["cmd"] for c in client.client_list()))


def test_new_events_of_all_cameras_come(shared_redis: RedisServer, rig_for: Make) -> None:
    """What was there before is not repeated; a camera that appears later is found."""
    rig = rig_for(shared_redis).start()
    rig.frames(3, "hall")
    rig.drained()
    with following(shared_redis.url) as got:
        reading(shared_redis)
        rig.frames(1, "hall")
        rig.events.gap("hall", 0.0, 1.0, "timeout")
        rig.frames(2, "door")
        ids = {got.get(timeout=10)["event_id"].partition(":")[2] for _ in range(4)}
    assert ids == {"frames:hall:3", "alerts:hall:0", "frames:door:0", "frames:door:1"}


def test_summaries_come_with_all_cameras(shared_redis: RedisServer, rig_for: Make) -> None:
    """What belongs to no single camera is not kept from those who follow everything."""
    rig = rig_for(shared_redis).start()
    with following(shared_redis.url) as got:
        reading(shared_redis)
        rig.events.compliance(PERIOD)
        assert got.get(timeout=10)["zone"] == "till"


def test_what_is_no_event_and_no_stream_is_passed_over(
    shared_redis: RedisServer, rig_for: Make
) -> None:
    """However deep its brackets and large its numbers, the next event comes."""
    with client_of(shared_redis) as client:
        client.set("maskwatch:frames:text", "no stream")
        client.xadd(b"maskwatch:frames:\xff", {"event": "{}"})
    rig = rig_for(shared_redis).start()
    with following(shared_redis.url) as got:
        reading(shared_redis)
        with client_of(shared_redis) as client:
            client.xadd("maskwatch:alerts", {"event": "[" * 100_000})
        rig.frames(1, "hall")
        assert got.get(timeout=10)["camera_id"] == "hall"
    assert "not watched" in line({"schema": "maskwatch.gap/1", "duration_s": 10.0, "reason": "x"})
    assert line({"schema": "maskwatch.gap/1", "duration_s": 10**400, "reason": "x"})


def test_one_camera_can_be_chosen(shared_redis: RedisServer, rig_for: Make) -> None:
    """With a camera named, frames and alerts of others stay out."""
    rig = rig_for(shared_redis).start()
    with following(shared_redis.url, camera="door") as got:
        reading(shared_redis)
        rig.frames(1, "hall")
        rig.events.gap("hall", 0.0, 1.0, "timeout")
        rig.events.gap("door", 0.0, 1.0, "timeout")
        rig.frames(1, "door")
        assert [got.get(timeout=10)["camera_id"] for _ in range(2)] == ["door", "door"]
    assert got.empty()


def test_an_unknown_camera_is_told(
    shared_redis: RedisServer, rig_for: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A misspelt name is waited for, but not in silence."""
    rig = rig_for(shared_redis).start()
    rig.frames(1, "hall")
    rig.drained()
    with following(shared_redis.url, camera="hal"):
        wait_for(lambda: "no event of a camera 'hal' yet" in caplog.text)
    assert "hall" in caplog.text


def test_following_goes_on_after_an_outage(own_redis: RedisServer, rig_for: Make) -> None:
    """With Redis killed and started again, new events come as before."""
    own_redis.start()
    rig = rig_for(own_redis).start()
    with following(own_redis.url) as got:
        reading(own_redis)
        rig.frames(1)
        assert got.get(timeout=10)["seq"] == 0
        kill(own_redis)
        own_redis.start()
        rig.frames(1)
        assert got.get(timeout=10)["seq"] == 1


def test_entries_that_are_no_events_are_skipped(shared_redis: RedisServer) -> None:
    """What others put into a stream does no harm."""
    with following(shared_redis.url) as got, client_of(shared_redis) as client:
        reading(shared_redis)
        client.xadd("maskwatch:alerts", {"what": "ever"})
        client.xadd("maskwatch:alerts", {"event": "{no json"})
        client.xadd("maskwatch:alerts", {"event": "[1]"})
        client.xadd("maskwatch:alerts", {"event": '{"camera_id": "hall"}'})
        assert got.get(timeout=10) == {"camera_id": "hall"}


def test_the_documented_rights_to_read_are_enough(own_redis: RedisServer, rig_for: Make) -> None:
    """A user with the rights that the reference names for readers can follow."""
    [rights] = re.findall(r"A user that only reads:\s+`([^`]+)`", PAGE.read_text(encoding="utf-8"))
    own_redis.start()
    with client_of(own_redis) as admin:
        admin.execute_command("ACL", "SETUSER", "reader", "on", ">pw", *rights.split())
    rig = rig_for(own_redis).start()
    with following(own_redis.url.replace("//", "//reader:pw@")) as got:
        reading(own_redis)
        rig.frames(1)
        assert got.get(timeout=10)["seq"] == 0


def lines() -> dict[str, str]:
    """The line of each example document."""
    documents = (json.loads(path.read_text()) for path in DOCUMENTS.glob("*-1.json"))
    return {d["schema"].removeprefix("maskwatch.")[:-2]: line(d) for d in documents}


def test_each_type_has_a_line() -> None:
    """A line says when, where and what."""
    assert lines() == {
        "frame": "11:33:20.025  hall          2 faces  with_mask 0.99  unknown (too_small)",
        "track": "11:33:20.125  hall          track 12 ends after 4.2 s: with_mask 0.90",
        "violation": "11:33:20.125  hall          violation v3 start in till: without_mask 0.97, "
        "2.0 s",
        "camera": "11:33:20.125  hall          camera down (timeout)",
        "gap": "11:33:20.125  hall          not watched for 60.0 s (timeout)",
        "loss": "11:33:20.125  hall          "
        "110 events of frames lost, seq 110 to 219 (queue_full)",
        "rule": "11:33:20.125  all           too few masks in till: 75% of 8 with a mask, "
        "limit 90%",
        "compliance": "11:33:20.125  all           compliance of till: 75% of 8 with a mask, "
        "blind for 12 s",
    }


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"schema": "maskwatch.frame/1", "camera_id": "h\x1b[31mall\n", "faces": 7},
        {"schema": "maskwatch.frame/2", "camera_id": None, "captured_at": 5},
        {"schema": "maskwatch.track/1", "phase": "end", "track_id": 7},
        {"schema": 3, "text": "ü" * 5_000},
    ],
)
def test_any_document_has_a_harmless_line(document: dict[str, Any]) -> None:
    """Broken or hostile documents give one printable line of bounded length."""
    text = line(document)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 1_000


def test_output_to_a_file_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal there are no colours, and every line is flushed."""
    flushes = []

    class Out(io.StringIO):
        def flush(self) -> None:
            flushes.append(1)

    out = Out()
    document = json.loads((DOCUMENTS / "frame-1.json").read_text())
    print_events([document, document], out)
    assert out.getvalue() == f"{line(document)}\n" * 2
    assert len(flushes) >= 2


def test_json_output_is_the_document() -> None:
    """As JSON the document comes as it was published, a line each."""
    published = (DOCUMENTS / "frame-1.json").read_text()
    out = io.StringIO()
    print_events([json.loads(published)], out, as_json=True)
    assert out.getvalue() == published


def test_labels_have_their_colours() -> None:
    """On a terminal good is green and bad is red."""
    text = coloured(json.loads((DOCUMENTS / "frame-1.json").read_text()))
    assert [(text.plain[s.start : s.end], s.style) for s in text.spans] == [
        ("with_mask 0.99", "green"),
        ("unknown", "grey62"),
    ]
