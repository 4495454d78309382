"""The simulated worker publishes what a real one might, and goes wrong only as it is told to."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest
from output.rig import FACE, MODEL, frame_of
from output.stream import read_all
from service.redis_server import _shared_server, client_of, shared_redis

from worker.crowd import Crowd
from worker.errors import ConfigError, WorkError
from worker.faulty import FAULTS, FaultySink
from worker.output.broker import settings_of
from worker.output.consume import (
    EventsLost,
    FrameEvent,
    Hole,
    NewRun,
    NotWatched,
    UnknownSchema,
    Unreadable,
)
from worker.output.embedded import RedisServer
from worker.output.event import Event, EventMaker
from worker.simulate import Plan, Simulation, faults_named, run_simulation

__all__ = ["_shared_server", "shared_redis"]


def simulated(server: RedisServer, plan: Plan) -> Any:
    return Simulation(plan, settings_of(server.url)).run(threading.Event())


def test_a_crowd_comes_through_whole(shared_redis: RedisServer) -> None:
    """Without faults every event is read, nothing is told, and tracks that begin also end."""
    totals = simulated(shared_redis, Plan(cameras=3, rate=300, seconds=1.0))
    got, notices = read_all(shared_redis)
    assert Counter(d.event.schema_.split(".")[1][:-2] for d in got) == totals.sent
    assert notices == []
    tracks = Counter(
        (event["phase"])
        for event in map(json.loads, (d.document for d in got))
        if "frames" in event
    )
    assert tracks["start"] == tracks["end"] > 0


def test_every_fault_is_told_to_the_consumer(shared_redis: RedisServer) -> None:
    """As many notices of each kind as there were faults, and not one more."""
    plan = Plan(cameras=3, rate=400, seconds=1.5, faults=FAULTS, fault_every_s=(0.2, 0.4))
    faults = simulated(shared_redis, plan).faults
    got, notices = read_all(shared_redis)
    told = Counter(type(notice) for notice in notices)
    assert set(faults) == set(FAULTS)
    assert told[UnknownSchema] == faults["newer"]
    assert told[Unreadable] == faults["broken"]
    assert told[NewRun] == faults["restart"]
    assert told[EventsLost] > 0
    assert told[NotWatched] > 0
    holes = [n for n in notices if isinstance(n, Hole) and n.stream == "frames"]
    missing = sum(hole.last_seq - hole.first_seq + 1 for hole in holes)
    numbers: dict[tuple[str, str], list[int]] = {}
    for event in (delivery.event for delivery in got if isinstance(delivery.event, FrameEvent)):
        numbers.setdefault((event.run_id, event.camera_id), []).append(event.seq)
    assert missing == sum(max(seqs) + 1 - len(seqs) for seqs in numbers.values()) > 0
    assert len({delivery.event.event_id for delivery in got}) == len(got)


def test_the_same_seed_brings_the_same_people() -> None:
    """To the last face; another seed brings others."""

    def looks(seed: str) -> list[Any]:
        crowd = Crowd(seed, itertools.count())
        return [crowd.step(moment / 10, 0.0) for moment in range(200)]

    assert looks("1 hall") == looks("1 hall")
    assert looks("1 hall") != looks("2 hall")


def test_people_are_as_the_venue_has_them() -> None:
    """All labels occur, most wear a mask, and boxes stay near the picture."""
    crowd = Crowd("1", itertools.count(), people=20)
    labels: Counter[str] = Counter()
    for moment in range(300):
        for face in crowd.step(moment / 5, 0.0).faces:
            labels[face.decision.label] += 1
            assert -100 < face.track.box.x1 < 1_300
            assert face.probabilities is None or sum(face.probabilities) == pytest.approx(1)
    assert set(labels) == {"with_mask", "without_mask", "mask_worn_incorrectly", "unknown"}
    assert labels["with_mask"] > labels["without_mask"]


class Way:
    """A sink, the maker before it, and what came out."""

    def __init__(self) -> None:
        self.out: list[Event] = []
        self.sink = FaultySink(self.out.append)
        self.make = EventMaker(worker_id="w", run_id="r", model=MODEL, sink=self.sink)

    def frames(self, n: int) -> None:
        for _ in range(n):
            self.make.frame(frame_of("hall"), [FACE], "ran")

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.out]


def test_frames_vanish_untold() -> None:
    """A hole, and no loss to tell of."""
    way = Way()
    way.frames(1)
    way.sink.vanish("hall", 2)
    way.frames(3)
    assert way.seqs == [0, 3]
    assert way.sink.losses() == []


def test_frames_are_lost_and_told() -> None:
    """The range is known once it is over, and told once."""
    way = Way()
    way.sink.lose("hall", 2)
    way.frames(1)
    assert way.sink.losses() == []
    way.frames(2)
    [loss] = way.sink.losses()
    assert (loss.first_seq, loss.last_seq, loss.count) == (0, 1, 2)
    assert way.sink.losses() == []
    assert way.seqs == [2]


def test_frames_come_late_in_their_order() -> None:
    """All at once, before the newer ones."""
    way = Way()
    way.sink.hold("hall")
    way.frames(2)
    assert way.seqs == []
    way.sink.release("hall")
    way.frames(1)
    assert way.seqs == [0, 1, 2]


def test_frames_come_twice() -> None:
    """The same events, as after a doubtful connection."""
    way = Way()
    way.frames(7)
    way.sink.repeat("hall")
    assert way.seqs == [0, 1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6]


def test_duplicates_reach_redis(shared_redis: RedisServer) -> None:
    """So that a consumer's own care is tried: the same event stands in the stream twice."""
    plan = Plan(cameras=1, rate=200, seconds=1.5, faults=("duplicate",), fault_every_s=(0.2, 0.4))
    Simulation(plan, settings_of(shared_redis.url)).run(threading.Event())
    with client_of(shared_redis) as client:
        entries = client.xrange("maskwatch:frames:simulated-1")
    ids = [json.loads(fields["event"])["event_id"] for _, fields in entries]
    assert len(set(ids)) < len(ids)


def test_a_fault_that_is_none_is_refused() -> None:
    """With the names of those that are."""
    assert faults_named(["all"]) == FAULTS
    assert faults_named(["late", "hole"]) == ("hole", "late")
    with pytest.raises(ConfigError, match="hole, duplicate"):
        faults_named(["flood"])


def test_the_command_needs_nothing_but_python() -> None:
    """It publishes to a Redis of its own and says what came of it."""
    options = ["--embedded", "--seconds", "0.5", "--rate", "100", "--fault", "duplicate"]
    result = subprocess.run(
        [sys.executable, "-m", "worker", "simulate", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "published" in result.stdout


def test_a_redis_that_takes_nothing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever builds on the events learns that there were none."""
    monkeypatch.setattr("worker.simulate.DRAIN_S", 0.1)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    settings = settings_of("redis://127.0.0.1:1/0")
    with pytest.raises(WorkError, match="is it running"):
        run_simulation(Plan(rate=50, seconds=0.2), settings, lambda _text: None)
