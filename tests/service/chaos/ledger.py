"""What a consumer got, held against what it was promised: from the streams alone.

A ``Ledger`` is fed with the entries of the streams in their order, and knows at any time which
numbers are missing untold, what came out of order, what came twice, and in which seconds a
camera was not watched though nobody said so.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import redis

Document = Mapping[str, Any]


class Line(NamedTuple):
    """What ``seq`` counts along."""

    run_id: str
    stream: str
    camera_id: str


class Span(NamedTuple):
    """A time, in seconds since the epoch."""

    start: float
    end: float


class Shot(NamedTuple):
    """An analysed frame: when it arrived, its number, and how many before it were dropped."""

    at: float
    run_id: str
    seq: int
    dropped: int


@dataclass(slots=True)
class Counted:
    """One line as it came."""

    seen: set[int] = field(default_factory=set)
    highest: int = -1


def seconds(instant: str) -> float:
    """RFC 3339 to seconds since the epoch."""
    return datetime.fromisoformat(instant).timestamp()


class Ledger:
    """Every event of one worker, over all of its lives.

    Attributes:
        repeats: entries whose ``event_id`` came before: what de-duplication has to catch.
        duplicates: sentences on what came twice although it was caught.
        disorder: sentences on what came out of order.
        lost: events that loss events tell of, by reason.
        alerts: the documents of the alerts, in order.
    """

    def __init__(self) -> None:
        self.repeats = 0
        self.events = 0
        self.duplicates: list[str] = []
        self.disorder: list[str] = []
        self.lost: defaultdict[str, int] = defaultdict(int)
        self.alerts: list[Document] = []
        self._lines: dict[Line, Counted] = {}
        self._told: defaultdict[Line, list[range]] = defaultdict(list)
        self._losses: list[tuple[Line, range, int]] = []
        self._digests: dict[str, bytes] = {}
        self._happenings: set[tuple[str, ...]] = set()
        self._newest_run: dict[tuple[str, str], str] = {}
        self._shots: defaultdict[str, list[Shot]] = defaultdict(list)
        self._gaps: defaultdict[str, list[Span]] = defaultdict(list)
        self._places: dict[str, str] = {}

    # -- reading

    def read(self, client: redis.Redis, prefix: str = "maskwatch") -> None:
        """Take up what is new in the streams."""
        frames = sorted(client.scan_iter(f"{prefix}:frames:*", count=1000, _type="stream"))
        for key in (*frames, f"{prefix}:alerts", f"{prefix}:compliance"):
            entries: list[Any] = client.xrange(key, min=self._places.get(key, "-"))  # type: ignore[assignment]
            for entry_id, fields in entries:
                self._places[key] = f"({entry_id}"
                self.take(fields["event"])

    def take(self, text: str) -> None:
        """Take up one entry."""
        document: Document = json.loads(text)
        event_id, digest = str(document["event_id"]), hashlib.sha256(text.encode()).digest()
        known = self._digests.setdefault(event_id, digest)
        self.events += 1
        line = Line(*event_id.split(":")[:3])
        if known != digest:
            self.duplicates.append(f"{event_id} came with two contents")
        if document["seq"] in self._counted(line).seen:
            self.repeats += 1
            return
        self._order(line, int(document["seq"]))
        self._content(document)

    def _counted(self, line: Line) -> Counted:
        return self._lines.setdefault(line, Counted())

    def _order(self, line: Line, seq: int) -> None:
        counted = self._counted(line)
        if seq < counted.highest:
            self.disorder.append(f"{line} {seq} came after {counted.highest}")
        counted.seen.add(seq)
        counted.highest = max(counted.highest, seq)
        place = (line.stream, line.camera_id)
        newest = self._newest_run.setdefault(place, line.run_id)
        if line.run_id < newest:
            self.disorder.append(f"{line} {seq} came after the first of run {newest}")
        self._newest_run[place] = max(newest, line.run_id)

    def _content(self, document: Document) -> None:
        kind = str(document["schema"]).removeprefix("maskwatch.").partition("/")[0]
        camera_id = str(document["camera_id"])
        self._once(kind, document)
        if kind == "frame":
            at = seconds(document["captured_at"])
            dropped = sum(document["dropped_since_last"].values())
            self._shots[camera_id].append(Shot(at, document["run_id"], document["seq"], dropped))
            return
        if kind == "compliance":
            return
        self.alerts.append(document)
        if kind == "gap":
            self._gaps[camera_id].append(Span(seconds(document["from"]), seconds(document["to"])))
        if kind == "loss":
            run_id = document.get("of_run_id") or document["run_id"]
            line = Line(run_id, document["stream"], camera_id)
            span = range(document["first_seq"], document["last_seq"] + 1)
            self._told[line].append(span)
            self._losses.append((line, span, document["count"]))
            self.lost[document["reason"]] += document["count"]

    def _once(self, kind: str, document: Document) -> None:
        """What is told under two numbers all the same was told twice.

        Frames have nothing but their number: two may arrive in one millisecond.
        """
        names = {
            "track": ("track_id", "phase"),
            "violation": ("violation_id", "phase", "duration_s"),
            "gap": ("camera_id", "from", "to"),
            "rule": ("rule_id", "phase"),
        }.get(kind)
        if names is None:
            return
        happening = (kind, *(str(document[name]) for name in names))
        if happening in self._happenings:
            self.duplicates.append(f"{document['event_id']} tells {happening} a second time")
        self._happenings.add(happening)

    # -- what is wrong

    def missing(self) -> list[str]:
        """Numbers that never came, and that no loss event tells of."""
        return [
            f"{line} lacks {_ranges(untold)}"
            for line, counted in self._lines.items()
            if (untold := self._holes(line, counted))
        ]

    def _holes(self, line: Line, counted: Counted) -> list[int]:
        told = self._told.get(line, [])
        return [
            seq
            for seq in range(counted.highest + 1)
            if seq not in counted.seen and not any(seq in span for span in told)
        ]

    def contradicted(self) -> list[str]:
        """Losses that were told, of events that came all the same."""
        found = []
        for line, span, count in self._losses:
            missing = sum(seq not in self._counted(line).seen for seq in span)
            if count > missing:
                where = f"{line} {span.start}-{span.stop - 1}"
                found.append(f"{where}: {count} are told to be lost, {missing} are missing")
        return found

    def unwatched(
        self, camera_id: str, *, limit_s: float, slack_s: float, frame_s: float
    ) -> list[str]:
        """Times without a frame, longer than the limit, that nothing explains.

        A gap does, a loss does, and frames that are told to be dropped do for their time.

        Args:
            camera_id: whose.
            limit_s: shorter times without a frame need no explanation.
            slack_s: how much of it may lie outside what is told: clocks, and the frames between
                the last that was seen and the moment from which on it is known to be missed.
            frame_s: time between two frames that are due.
        """
        shots = sorted(self._shots[camera_id])
        gaps = sorted(self._gaps[camera_id])
        found = []
        for before, after in itertools.pairwise(shots):
            blind_s = after.at - before.at
            if blind_s <= limit_s or self._lost_between(camera_id, before, after):
                continue
            untold_s = blind_s - _covered_s(gaps, Span(before.at, after.at))
            untold_s -= after.dropped * frame_s
            if untold_s > slack_s:
                when = datetime.fromtimestamp(before.at).astimezone().isoformat("T", "seconds")
                found.append(
                    f"{camera_id} was blind for {blind_s:.1f} s from {when}, "
                    f"{untold_s:.1f} s of it untold"
                )
        return found

    def _lost_between(self, camera_id: str, before: Shot, after: Shot) -> bool:
        """True where frames were seen, and their events told to be lost."""
        lines = {
            Line(before.run_id, "frames", camera_id): before.seq + 1,
            Line(after.run_id, "frames", camera_id): after.seq - 1,
        }
        return any(seq in span for line, seq in lines.items() for span in self._told.get(line, ()))

    def open_ends(self) -> list[str]:
        """Tracks, violations and rules that began and never ended; none after an ordered end."""
        begun: dict[str, str] = {}
        for document in self.alerts:
            for name in ("violation_id", "rule_id", "track_id"):
                if name in document and "phase" in document:
                    if document["phase"] == "end":
                        begun.pop(document[name], None)
                    else:
                        begun[document[name]] = document["event_id"]
                    break
        return [f"{name} began with {event_id} and never ended" for name, event_id in begun.items()]

    def unique(self, run_id: str) -> int:
        """How many events of a run came."""
        lines = self._lines.items()
        return sum(len(counted.seen) for line, counted in lines if line.run_id == run_id)

    def since(self, count: int) -> Iterator[Document]:
        """The alerts after the first ``count``."""
        yield from self.alerts[count:]


def _covered_s(gaps: Iterable[Span], span: Span) -> float:
    """Seconds of the span that lie in any of the gaps, which are sorted."""
    covered, place = 0.0, span.start
    for gap in gaps:
        start, end = max(gap.start, place), min(gap.end, span.end)
        if end > start:
            covered += end - start
            place = end
    return covered


def _ranges(numbers: list[int]) -> str:
    """``3-5, 8`` of the first few."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    told = [f"{first}-{last}" if last > first else str(first) for first, last in spans[:5]]
    return ", ".join(told) + (", …" if len(spans) > 5 else "")
