"""Periods, limits and violations of all cameras become events, metrics and the page's document."""

from __future__ import annotations

import json
import math
from typing import Any

from worker.config import Camera, Settings
from worker.metrics import Metrics
from worker.output.event import Event, EventMaker
from worker.output.wire import Model
from worker.records import Box, Decision, Face, Label, Track
from worker.rulebook import Rulebook
from worker.venue import Compliance, Violations, Zone
from worker.zone_status import zones_hour, zones_now

T0 = 1_795_520_040.0
LEFT = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]


class Rig:
    """A rulebook over two cameras and one zone that both see."""

    def __init__(self, **compliance: Any) -> None:
        self.events: list[Event] = []
        self.metrics = Metrics()
        self.settings = settings = Settings(
            cameras={name: Camera(url="rtsp://host/path") for name in ("hall", "door")},
            zones={"left": Zone(cameras={"hall": LEFT, "door": LEFT}, min_dwell_s=0)},
            violations=Violations(enter_s=0, leave_s=0),
            compliance=Compliance(**{"min_persons": 2, **compliance}),
        )
        maker = EventMaker(
            worker_id="test",
            run_id="0000000run",
            model=Model(name="m", version="1", digest="0" * 64),
            sink=self.events.append,
        )
        self.book = Rulebook(settings, maker, self.metrics, 0.0, T0)
        self.rules = {name: self.book.of(name) for name in settings.cameras}

    def change(self, at_s: float, *cameras: str, **zones: Zone) -> None:
        """These are the cameras and zones from now on."""
        named = {name: Camera(url="rtsp://host/path") for name in cameras}
        settings = self.settings.model_copy(update={"cameras": named, "zones": zones})
        self.book.change(settings, at_s, T0 + at_s)

    def see(self, camera: str, track: int, label: Label, at_s: float = 1.0) -> None:
        """A frame with one face in the zone, as a pipeline would pass it on."""
        rules = self.rules[camera]
        of = Track(track, Box(0, 0, 20, 20), 0.9, 3, True, True, T0)
        faces = [Face(of, Decision(label, 0.9), None)]
        inside = rules.zones.locate([of], (100, 100), at_s)
        rules.compliance.saw(faces, inside)
        for change in rules.violations.watch(faces, inside, at_s, T0 + at_s):
            rules.told(change)

    def documents(self, kind: str) -> list[dict[str, Any]]:
        found = [json.loads(event.document) for event in self.events]
        return [event for event in found if event["schema"] == f"maskwatch.{kind}/1"]

    def value(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(f"maskwatch_{name}", labels)
        assert value is not None
        return value

    def zone(self, name: str, at_s: float) -> dict[str, Any]:
        """The zone in the document of the live page, which is fit for JSON."""
        zones = zones_now(self.book, "0000000run", at_s, T0 + at_s)
        json.dumps(zones, allow_nan=False)
        return next(zone for zone in zones if zone["zone"] == name)


def test_a_zone_adds_up_its_cameras() -> None:
    """Persons of several cameras are one sum, told each period."""
    rig = Rig()
    rig.see("hall", 1, "with_mask")
    rig.see("door", 2, "without_mask")
    rig.book.tick(59.0, T0 + 59)
    assert rig.events == []
    rig.book.tick(60.0, T0 + 60)
    everywhere, left = rig.documents("compliance")
    assert (everywhere["zone"], left["zone"], left["cameras"]) == ("all", "left", ["hall", "door"])
    assert (left["rate"], left["denominator"]) == (0.5, 2)
    assert rig.value("compliance_persons_total", zone="left", label="with_mask") == 1
    assert rig.value("compliance_rate", zone="left") == 0.5
    assert rig.value("compliance_judged_persons", zone="left") == 2
    assert rig.value("compliance_blind_seconds_total", zone="all", camera="door") == 60


def test_no_rate_is_no_number() -> None:
    """Where too few were judged the gauge is NaN, at the start as later."""
    rig = Rig()
    assert math.isnan(rig.value("compliance_rate", zone="left"))
    rig.see("hall", 1, "with_mask")
    rig.book.tick(60.0, T0 + 60)
    assert math.isnan(rig.value("compliance_rate", zone="left"))
    assert rig.value("compliance_judged_persons", zone="left") == 1


def test_a_low_rate_is_an_event_and_a_gauge() -> None:
    """Until the worker stops, at the latest; the cut period is told first."""
    rig = Rig(limit=0.9, limit_periods=1)
    rig.see("hall", 1, "without_mask")
    rig.see("hall", 2, "with_mask")
    rig.book.tick(60.0, T0 + 60)
    assert rig.value("compliance_low", zone="left") == 1
    assert rig.zone("left", 61.0)["low_since"] == T0
    rig.book.stop(70.0, T0 + 70)
    assert rig.value("compliance_low", zone="left") == 0
    told = [(e["zone"], e["phase"], e["end_reason"]) for e in rig.documents("rule")]
    assert told[0] == ("all", "start", None)
    assert told[-1] == ("left", "end", "stopped")
    assert len(rig.documents("compliance")) == 4


def test_violations_are_counted_and_shown_while_they_last() -> None:
    """A counter, a gauge that falls again, and the live page's list."""
    rig = Rig()
    rig.see("hall", 1, "without_mask", 1.0)
    rig.see("door", 2, "mask_worn_incorrectly", 2.0)
    shown = rig.zone("left", 3.0)["violations"]
    assert [(v["camera_id"], v["kind"], v["track_id"]) for v in shown] == [
        ("door", "mask_worn_incorrectly", "0000000run-2"),
        ("hall", "without_mask", "0000000run-1"),
    ]
    assert rig.zone("all", 3.0)["violations"] == []
    rig.see("hall", 1, "with_mask", 4.0)
    assert [v["camera_id"] for v in rig.zone("left", 5.0)["violations"]] == ["door"]
    assert rig.value("violations_total", zone="left", kind="without_mask") == 1
    assert rig.value("violations_active", zone="left", kind="without_mask") == 0
    assert rig.value("violations_active", zone="left", kind="mask_worn_incorrectly") == 1
    assert rig.value("violations_total", zone="left", kind="mask_worn_incorrectly") == 1


def _with_a_zone_that_came_back() -> Rig:
    """It went and came back while a violation lasted in it that began at 1.0."""
    rig = Rig()
    rig.see("hall", 1, "without_mask", 1.0)
    rig.change(2.0, "hall", "door")
    rig.change(3.0, "hall", "door", **rig.settings.zones)
    return rig


def test_a_zone_that_comes_back_begins_at_none() -> None:
    """A violation whose start was told to a gauge that went is not taken from the new one."""
    rig = _with_a_zone_that_came_back()
    rig.see("hall", 1, "with_mask", 4.0)
    assert rig.value("violations_active", zone="left", kind="without_mask") == 0
    rig.see("door", 2, "without_mask", 5.0)
    assert rig.value("violations_active", zone="left", kind="without_mask") == 1


def test_a_zone_that_comes_back_counts_what_goes_on_in_it() -> None:
    """From the next update on, until the end."""
    rig = _with_a_zone_that_came_back()
    rig.see("hall", 1, "without_mask", 1.0 + rig.settings.violations.update_s)
    assert rig.value("violations_active", zone="left", kind="without_mask") == 1
    assert rig.value("violations_total", zone="left", kind="without_mask") == 0
    rig.see("hall", 1, "with_mask", 20.0)
    assert rig.value("violations_active", zone="left", kind="without_mask") == 0


def test_every_series_is_there_from_the_start() -> None:
    """At 0, so that the first increase is one; no label but zones, cameras, kinds and labels."""
    rig = Rig()
    for zone in ("all", "left"):
        assert rig.value("violations_total", zone=zone, kind="without_mask") == 0
        assert rig.value("compliance_persons_total", zone=zone, label="unknown") == 0
        assert rig.value("compliance_blind_seconds_total", zone=zone, camera="hall") == 0
        assert rig.value("compliance_low", zone=zone) == 0


def test_the_page_sees_zones_and_their_hour() -> None:
    """Where a zone lies, its present period, its last one, and those before."""
    rig = Rig()
    for n in range(3):
        rig.see("hall", n, "with_mask", 60.0 * n + 1)
        rig.book.tick(60.0 * (n + 1), T0 + 60 * (n + 1))
    rig.see("hall", 9, "unknown", 185.0)
    left = rig.zone("left", 186.0)
    assert left["polygons"] == {"hall": LEFT, "door": LEFT}
    assert (left["anchor"], left["limit"], left["low"]) == ("face", None, False)
    assert (left["last"]["from"], left["last"]["denominator"]) == (T0 + 120, 1)
    assert left["present"]["persons"]["unknown"] == 1
    hour = zones_hour(rig.book)
    assert [summary["from"] - T0 for summary in hour["left"]] == [0, 60, 120]
    json.dumps(hour, allow_nan=False)
    assert rig.zone("all", 186.0)["polygons"] == {}


def test_a_zone_that_goes_is_told_of_for_the_last_time() -> None:
    """Its period is cut short, its rule and its series end; a face on its way disturbs nothing."""
    rig = Rig(limit=0.9, limit_periods=1)
    rig.see("hall", 1, "without_mask")
    rig.see("hall", 2, "without_mask")
    rig.book.tick(60.0, T0 + 60)
    rig.see("hall", 1, "without_mask", 61.0)
    rig.change(70.0, "hall", "door")
    cut = rig.documents("compliance")[-1]
    assert (cut["zone"], cut["duration_s"], cut["persons"]["without_mask"]) == ("left", 10.0, 1)
    ended = [e for e in rig.documents("rule") if e["phase"] == "end"]
    assert [(e["zone"], e["end_reason"]) for e in ended] == [("left", "stopped")]
    assert 'zone="left"' not in rig.metrics.exposition().decode()
    rig.see("hall", 3, "without_mask", 71.0)
    rig.book.tick(120.0, T0 + 120)
    assert rig.documents("compliance")[-1]["zone"] == "all"
    assert [zone["zone"] for zone in zones_now(rig.book, "0000000run", 121.0, T0 + 121)] == ["all"]


def test_a_zone_that_comes_has_its_own_first_period() -> None:
    """It is as long as the zone was there; the periods of others are not cut."""
    rig = Rig()
    more = Zone(cameras={"door": LEFT}, min_dwell_s=0)
    rig.change(20.0, "hall", "door", left=rig.settings.zones["left"], more=more)
    rig.rules["door"] = rig.book.of("door")
    rig.see("door", 1, "with_mask", 30.0)
    assert rig.documents("compliance") == []
    rig.book.tick(60.0, T0 + 60)
    told = {e["zone"]: (e["duration_s"], e["persons"]["seen"]) for e in rig.documents("compliance")}
    assert told == {"all": (60.0, 1), "left": (60.0, 1), "more": (40.0, 1)}
    rig.book.tick(120.0, T0 + 120)
    assert {e["duration_s"] for e in rig.documents("compliance")[3:]} == {60.0}


def test_a_camera_that_goes_leaves_its_persons_to_the_period() -> None:
    """And takes its blind seconds and their series with it; a new one is blind from then on."""
    rig = Rig()
    rig.see("door", 1, "with_mask")
    rig.book.compliance.camera("hall", "up", 0.0)
    rig.change(20.0, "hall", "gate", left=Zone(cameras={"hall": LEFT}))
    rig.book.tick(60.0, T0 + 60)
    everywhere = rig.documents("compliance")[0]
    assert everywhere["cameras"] == ["hall", "gate"]
    assert everywhere["persons"]["with_mask"] == 1
    assert everywhere["blind"] == {"gate": 40.0}
    assert 'camera="door"' not in rig.metrics.exposition().decode()


def test_a_limit_that_goes_ends_its_rule() -> None:
    """One that only moves judges the next period."""
    rig = Rig(limit_periods=1)
    strict = Zone(cameras={"hall": LEFT, "door": LEFT}, limit=0.9)
    rig.change(0.0, "hall", "door", left=strict)
    rig.see("hall", 1, "without_mask")
    rig.see("hall", 2, "with_mask")
    rig.book.tick(60.0, T0 + 60)
    assert rig.value("compliance_low", zone="left") == 1
    rig.change(70.0, "hall", "door", left=strict.model_copy(update={"limit": 0.8}))
    assert rig.value("compliance_low", zone="left") == 1
    rig.change(80.0, "hall", "door", left=strict.model_copy(update={"limit": None}))
    assert rig.value("compliance_low", zone="left") == 0
