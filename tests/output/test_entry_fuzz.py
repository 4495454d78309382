"""Whatever stands in a stream: an event that keeps its schema, or a notice, never an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from output.stream import read_all
from service.redis_server import client_of

from worker.output.consume import Unreadable
from worker.output.embedded import RedisServer
from worker.output.reading.entry import read_entry
from worker.output.reading.notices import UnknownSchema
from worker.output.wire import Event

DOCUMENTS = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("documents/*.json"))]
TREES = [json.loads(document) for document in DOCUMENTS]
FUZZ = settings(max_examples=200, deadline=None, derandomize=True)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["maskwatch.frame/1", "maskwatch.frame/2", "NaN", "9999-99-99T00:00:00Z"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def damaged_bytes(draw: st.DrawFn) -> bytes:
    """A document with bytes of it exchanged, and perhaps its end missing."""
    document = bytearray(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(0, 4))):
        document[draw(st.integers(0, len(document) - 1))] = draw(st.integers(0, 255))
    return bytes(document[: len(document) - draw(st.integers(0, 20))])


@st.composite
def damaged_trees(draw: st.DrawFn) -> bytes:
    """A document with other values in some places, and other keys beside them."""
    tree: dict[str, Any] = dict(draw(st.sampled_from(TREES)))
    for _ in range(draw(st.integers(1, 3))):
        tree[draw(st.sampled_from(sorted(tree)) | st.text(max_size=8))] = draw(VALUES)
    return json.dumps(tree).encode()


@FUZZ
@given(damaged_bytes() | damaged_trees() | st.binary(max_size=80))
@example(b"[" * 100_000)
@example(b'{"schema": "maskwatch.frame/1"' + b', "a": [' * 10_000)
@example(b'{"schema": 1e999}')
@example(b'{"schema":"maskwatch.frame/1","seq":' + b"9" * 5_000 + b"}")
@example(b'{"schema":"maskwatch.frame/1","schema":"maskwatch.loss/1"}')
@example(b"\xff\xfe{}")
def test_any_document_is_an_event_or_a_notice(document: bytes) -> None:
    """The notice names the place and not the value, so that no log is filled by it."""
    found = read_entry("maskwatch:alerts", "1-1", {b"type": b"?", b"event": document})
    assert isinstance(found, Event | Unreadable | UnknownSchema)
    if isinstance(found, Event):
        again = found.model_dump_json(by_alias=True)
        assert type(found).model_validate_json(again) == found
    elif isinstance(found, Unreadable):
        assert len(found.fault) < 200


def test_a_consumer_passes_over_what_it_cannot_read(shared_redis: RedisServer) -> None:
    """Whole entries, too, that are no events: all of them are done with, and it reads on."""
    with client_of(shared_redis) as client:
        for n, document in enumerate(DOCUMENTS * 20):
            damaged = bytearray(document)
            damaged[n * 7 % len(damaged)] ^= 1 << n % 8
            client.xadd("maskwatch:frames:hall", {"type": "frame", "event": bytes(damaged)})
        client.xadd("maskwatch:frames:hall", {"odd": b"\xff"})
        got, notices = read_all(shared_redis)
        assert len(got) + sum(isinstance(n, Unreadable | UnknownSchema) for n in notices) > 0
        summary: Any = client.xpending("maskwatch:frames:hall", "door")
        assert summary["pending"] == 0
