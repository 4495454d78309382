"""A frame's way through the stages, with stand-ins at both ends."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from fakes import BrightSpots, ScriptedDetector, face, frame, noise

from worker.config import Camera, Deciding
from worker.errors import BadDataError
from worker.faces.track import Tracker
from worker.inference.align import CropRule
from worker.output.decide import Decider
from worker.output.event import Event, EventMaker
from worker.output.rules.compliance import Compliance
from worker.output.rules.violations import Change, ViolationWatch
from worker.output.rules.zones import Zones
from worker.output.wire import Model
from worker.pipeline import MAX_FACES, CameraPipeline, Rules, is_cut
from worker.records import Box, Classification, Detection, Image, Tiling
from worker.venue import Violations, Zone

MASK = Classification((0.02, 0.97, 0.01))
BARE = Classification((0.96, 0.02, 0.02))


class Rig:
    """A pipeline whose events are caught, and whose crops are all masked."""

    def __init__(
        self,
        *found: Sequence[Detection],
        zones: Mapping[str, Zone] | None = None,
        violations: Violations | None = None,
        **camera: Any,
    ) -> None:
        self.events: list[Event] = []
        self.changes: list[Change] = []
        zones = zones or {}
        self.compliance = Compliance(
            {name: ["hall"] for name in ("all", *zones)},
            period_s=60,
            min_persons=1,
            now_s=100.0,
            now=1_700_000_000.0,
        )
        self.detector = ScriptedDetector(*found) if found else BrightSpots()
        self.stages: list[str] = []
        maker = EventMaker(
            worker_id="test",
            run_id="0000000run",
            model=Model(name="m", version="1", digest="0" * 64),
            sink=self.events.append,
        )
        self.pipeline = CameraPipeline(
            Camera(url="rtsp://host/path", **camera),
            self.detector,
            Tracker(itertools.count(1)),
            Decider(Deciding(), 0.5),
            maker,
            rule=CropRule(size_px=32),
            rules=Rules(
                Zones("hall", zones),
                ViolationWatch(violations or Violations(), [*zones] or ["all"], itertools.count(1)),
                self.compliance,
                self.changes.append,
            ),
            observe=lambda stage, _: self.stages.append(stage),
        )

    def pass_through(
        self, image: Any, at_s: float, classification: Classification = MASK
    ) -> dict[str, Any]:
        """One frame, all of its crops classified so; returns its event."""
        pending = self.pipeline.begin(frame(image, at_s))
        for crop in pending.crops:
            pending.resolve(crop.track, classification)
        self.pipeline.finish(pending)
        return next(e for e in reversed(self.documents()) if e["schema"] == "maskwatch.frame/1")

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(event.document) for event in self.events]


def test_frame_becomes_an_event_with_its_faces() -> None:
    """What the detector finds is tracked, classified, decided and told."""
    rig = Rig([face(100, 60, 48), face(200, 60, 8)])
    event = rig.pass_through(noise(), 0.0)
    assert (event["width"], event["height"], event["detection"]) == (320, 180, "ran")
    assert event["counts"]["with_mask"] == 1
    near, far = event["faces"]
    assert (near["label"], near["box"]) == ("with_mask", [100.0, 60.0, 48.0, 48.0])
    assert (far["label"], far["reason"], far["probabilities"]) == ("unknown", "too_small", None)


def test_stages_run_in_their_order() -> None:
    """A frame passes the stages in the order of the design."""
    rig = Rig([face(100, 60)])
    rig.pass_through(noise(), 0.0)
    assert rig.stages == ["motion", "detect", "track", "align", "decide", "rules", "event"]


def view(*corners: tuple[int, int]) -> Image:
    """A dark view of 640 x 360 with a white face of 40 px at each of these corners."""
    picture = np.full((360, 640, 3), 30, np.uint8)
    for x, y in corners:
        picture[y : y + 40, x : x + 40] = 255
    return picture


def boxes(event: dict[str, Any]) -> list[list[float]]:
    return sorted(face["box"] for face in event["faces"])


def test_between_looks_at_the_whole_only_what_moved_and_known_faces_are_looked_at() -> None:
    """A face stands, one walks and one comes in: each is told of in the picture's own pixels."""
    rig = Rig()
    rig.pass_through(view((500, 280)), 0.0)
    rig.pass_through(view((500, 280), (60, 40)), 0.2)
    event = rig.pass_through(view((500, 280), (72, 44)), 0.4)
    assert boxes(event) == [[72, 44, 40, 40], [500, 280, 40, 40]]
    whole, *parts = rig.detector.looked
    assert whole == (640, 360)
    assert len(parts) == 4
    assert all(width * height < 0.2 * 640 * 360 for width, height in parts)
    rig.pass_through(view((500, 280), (84, 48)), 1.0)
    assert rig.detector.looked[-1] == (640, 360)


@pytest.mark.parametrize(
    ("x", "y", "width", "height"),
    [(200, 155, 400, 30), (0, 155, 140, 30), (155, 200, 30, 150), (155, 0, 30, 140)],
    ids=["right", "left", "below", "above"],
)
def test_a_face_that_a_part_cuts_waits_for_the_look_at_the_whole(
    x: int, y: int, width: int, height: int
) -> None:
    """Nothing gave it away; half of it, beside somebody who moves, is no face."""
    rig = Rig()
    dim, bright = view(), view((150, 150))
    dim[y : y + height, x : x + width] = 195  # not yet found, and to become so without motion
    bright[y : y + height, x : x + width] = 205
    rig.pass_through(dim, 0.0)
    assert boxes(rig.pass_through(bright, 0.2)) == [[150, 150, 40, 40]]
    found = boxes(rig.pass_through(bright, 1.0))
    assert found == sorted([[150, 150, 40, 40], [x, y, width, height]])


def test_a_box_that_ends_just_before_a_parts_edge_may_be_of_half_a_face() -> None:
    """A network that sees half of one often ends its box a little inside."""
    part, area = Box(100, 100, 300, 300), Box(0, 0, 640, 360)
    assert is_cut(Box(250, 150, 297, 190), part, area)
    assert is_cut(Box(150, 103, 190, 150), part, area)
    assert not is_cut(Box(200, 150, 240, 190), part, area)
    assert not is_cut(Box(0, 0, 40, 40), Box(0, 0, 200, 200), area)


def test_a_known_face_that_a_part_does_not_show_brings_the_whole() -> None:
    """It may be hidden, or hard to find: the next look leaves nothing out."""
    rig = Rig()
    rig.pass_through(view((500, 280)), 0.0)
    rig.pass_through(view((500, 280), (60, 40)), 0.2)
    rig.pass_through(view((66, 40)), 0.4)
    assert rig.detector.looked[-1] != (640, 360)
    rig.pass_through(view((72, 44)), 0.6)
    assert rig.detector.looked[-1] == (640, 360)
    rig.pass_through(view((84, 44)), 0.8)
    assert rig.detector.looked[-1] != (640, 360)


def test_a_known_face_that_the_whole_does_not_show_is_gone() -> None:
    """Another look at the whole would show no more."""
    rig = Rig()
    for n in range(3):
        rig.pass_through(view((500, 280), (60 + 12 * n, 40)), n / 5)
    rig.pass_through(view((100, 40)), 1.0)
    assert rig.detector.looked[-1] == (640, 360)
    rig.pass_through(view((112, 40)), 1.2)
    assert rig.detector.looked[-1] != (640, 360)


def test_whether_parts_are_worth_it_is_asked_of_the_region() -> None:
    """A part of a huge view may be small enough, and one of a small view too small."""
    rig = Rig(region=[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)])
    asked: list[tuple[int, int]] = []

    def tiling(width: int, height: int) -> Tiling | None:
        asked.append((width, height))
        return None

    rig.detector.tiling = tiling
    rig.pass_through(view((60, 40)), 0.0)
    assert asked == [(320, 360)]


def test_a_look_that_failed_is_made_up_for() -> None:
    """Where detection raised, the next frame is looked at, and all of it."""
    rig = Rig()
    rig.pass_through(view((500, 280)), 0.0)
    find, rig.detector.detect = rig.detector.detect, _fail
    with pytest.raises(BadDataError):
        rig.pipeline.begin(frame(view((500, 280), (60, 40)), 1.0))
    rig.detector.detect = find
    assert len(rig.pass_through(view((500, 280), (60, 40)), 1.2)["faces"]) == 2
    assert rig.detector.looked[-1] == (640, 360)


def _fail(_image: Image, _min_score: float | None = None) -> list[Detection]:
    raise BadDataError("not finite")


def test_a_detector_that_wants_wholes_gets_them() -> None:
    """On a GPU the pictures of all cameras are looked at together, if they are of one size."""
    rig = Rig()
    rig.detector.cut_up = None
    for n in range(4):
        rig.pass_through(view((60 + 12 * n, 40)), n / 5)
    assert rig.detector.looked == [(640, 360)] * 4


def test_without_the_gate_all_of_each_frame_is_looked_at() -> None:
    """As the configuration says of ``motion = false``."""
    rig = Rig(motion=False)
    for n in range(4):
        rig.pass_through(view((60 + 12 * n, 40)), n / 5)
    assert rig.detector.looked == [(640, 360)] * 4


def test_a_large_face_that_stands_is_told_in_every_frame() -> None:
    """Its part has less room than it is large, and cuts nothing off all the same."""
    rig = Rig()
    for n in range(12):
        picture = view((20 + 8 * n, 10))
        picture[100:340, 350:590] = 255
        event = rig.pass_through(picture, n / 5)
        assert [350, 100, 240, 240] in boxes(event)
    assert (640, 360) not in rig.detector.looked[1:4]


def test_a_settled_face_is_cut_out_twice_a_second() -> None:
    """One that is new beside it is classified in each frame until it is known."""
    rig = Rig()
    texture = noise(640, 360) // 5
    crops = []
    for n in range(20):
        picture = view((500, 280), *([(60 + 8 * n, 40)] if n >= 12 else []))
        picture[picture > 200] -= texture[picture > 200]
        picture[200:260, 20 + 8 * n : 50 + 8 * n] = 120  # somebody from behind walks by
        pending = rig.pipeline.begin(frame(picture, 10.05 + n / 5))
        for crop in pending.crops:
            pending.resolve(crop.track, MASK)
        rig.pipeline.finish(pending)
        crops.append(len(pending.crops))
    assert crops[:2] == [1, 1]
    assert sum(crops[2:12]) == 4
    assert sum(crops[12:14]) >= 2
    assert [number for number in crops[14:] if number] == [2, 2]  # both at one moment


def test_after_a_hang_up_the_first_picture_is_looked_at() -> None:
    """Its tracks have ended; so however alike it is, who stands there is found again."""
    rig, still = Rig([face(100, 60)], motion_max_pause_s=3_600), noise()
    for n in range(4):
        event = rig.pass_through(still, n / 5)
    assert event["detection"] == "unchanged"
    rig.pipeline.close("hall", "camera_down", 100.7)
    event = rig.pass_through(still, 1.0)
    assert event["detection"] == "ran"
    assert len(event["faces"]) == 1


def test_unchanged_frame_holds_its_tracks_and_converts_nothing() -> None:
    """Where nothing moves the faces stay, without a look at a pixel's colour."""
    rig = Rig([face(100, 60)])
    still = noise()
    for n in range(3):
        rig.pass_through(still, n / 5)
    quiet = frame(still, 0.6)
    pending = rig.pipeline.begin(quiet)
    rig.pipeline.finish(pending)
    event = rig.documents()[-1]
    assert event["detection"] == "unchanged"
    assert [f["label"] for f in event["faces"]] == ["with_mask"]
    assert event["faces"][0]["probabilities"] is None
    assert quiet.picture.conversions == 0  # type: ignore[attr-defined]


def test_track_starts_once_and_ends_when_it_left() -> None:
    """A confirmed track is told of at its start and at its end, with its history."""
    rig = Rig([face(100, 60)], [face(104, 60)], [])
    for n, at_s in enumerate((0.0, 0.2, 0.4, 5.0)):
        rig.pass_through(noise(seed=n), at_s)
    tracks = [e for e in rig.documents() if e["schema"] == "maskwatch.track/1"]
    assert [(e["phase"], e["end_reason"]) for e in tracks] == [("start", None), ("end", "gone")]
    assert tracks[0]["track_id"] == tracks[1]["track_id"] == "0000000run-1"
    assert tracks[1]["label"] == "with_mask"


def test_close_ends_open_tracks() -> None:
    """When the worker stops, no track stays open."""
    rig = Rig([face(100, 60)])
    for n in range(2):
        rig.pass_through(noise(seed=n), n / 5)
    rig.pipeline.close("hall", "stopped", 101.0)
    last = rig.documents()[-1]
    assert (last["phase"], last["end_reason"]) == ("end", "stopped")


def test_unconfirmed_track_has_no_id_and_no_events() -> None:
    """One detection alone is no person yet."""
    rig = Rig([face(100, 60)], [])
    first = rig.pass_through(noise(seed=1), 0.0)
    rig.pass_through(noise(seed=2), 9.0)
    assert first["faces"][0]["track_id"] is None
    assert {e["schema"] for e in rig.documents()} == {"maskwatch.frame/1"}


def test_region_limits_where_faces_count() -> None:
    """Detection sees the region's part of the frame; boxes are told in the whole frame."""
    rig = Rig([face(10, 10, 40)], region=[(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)])
    event = rig.pass_through(noise(), 0.0)
    assert event["faces"][0]["box"] == [170.0, 10.0, 40.0, 40.0]


def test_face_outside_the_polygon_does_not_count() -> None:
    """Inside the region's bounds but outside its polygon is outside."""
    rig = Rig([face(250, 10, 20)], region=[(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
    assert rig.pass_through(noise(), 0.0)["faces"] == []


def test_crowd_is_bounded() -> None:
    """Of more faces than a frame may have, the largest are classified, all are told."""
    crowd = [face(4.0 * (n % 70), 20.0 * (n // 70), 14 + n / 10) for n in range(MAX_FACES + 9)]
    rig = Rig(crowd)
    pending = rig.pipeline.begin(frame(noise()))
    assert len(pending.crops) == MAX_FACES
    assert len(pending.tracks) == MAX_FACES + 9


def test_blurred_face_is_not_guessed() -> None:
    """A crop without any edge is unknown: blurred."""
    rig = Rig([face(100, 60)])
    flat = noise()
    flat[:] = 128
    event = rig.pass_through(flat, 0.0)
    assert (event["faces"][0]["label"], event["faces"][0]["reason"]) == ("unknown", "blurred")


@pytest.mark.parametrize("outside", [face(300, 160, 60), face(-30, -30, 60)])
def test_face_at_the_edge_is_cut_and_told_inside(outside: Detection) -> None:
    """A box that leaves the frame is cut with a repeated edge and published clipped."""
    event = Rig([outside]).pass_through(noise(), 0.0)
    x, y, w, h = event["faces"][0]["box"]
    assert x >= 0
    assert y >= 0
    assert x + w <= 320
    assert y + h <= 180


LEFT = Zone(cameras={"hall": [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]}, min_dwell_s=0.0)
AT_ONCE = Violations(enter_s=0.0, enter_score=0.6, leave_s=0.0)


def violations_of(rig: Rig) -> list[tuple[str, str, str | None]]:
    """Zone, phase and reason of each violation event."""
    found = [e for e in rig.documents() if e["schema"] == "maskwatch.violation/1"]
    return [(e["zone"], e["phase"], e["end_reason"]) for e in found]


def test_violation_begins_in_its_zone_and_ends_outside() -> None:
    """A bare face that walks out of the zone has broken the rule there, and no longer."""
    steps = [face(40.0 + 20 * n, 60) for n in range(10)]
    rig = Rig(*([step] for step in steps), zones={"left": LEFT}, violations=AT_ONCE)
    for n in range(len(steps)):
        rig.pass_through(noise(seed=n), n / 2, BARE)
    assert violations_of(rig) == [("left", "start", None), ("left", "end", "left_zone")]
    assert [change.phase for change in rig.changes] == ["start", "end"]


def test_violation_is_told_after_its_track_and_ends_before_it() -> None:
    """Who follows the alerts knows the track while its violation is open."""
    rig = Rig([face(100, 60)], [face(104, 60)], [], violations=AT_ONCE)
    for n, at_s in enumerate((0.0, 0.2, 5.0)):
        rig.pass_through(noise(seed=n), at_s, BARE)
    alerts = [e for e in rig.documents() if e["schema"] != "maskwatch.frame/1"]
    assert [(e["schema"], e["phase"], e["end_reason"]) for e in alerts] == [
        ("maskwatch.track/1", "start", None),
        ("maskwatch.violation/1", "start", None),
        ("maskwatch.violation/1", "end", "gone"),
        ("maskwatch.track/1", "end", "gone"),
    ]
    assert len({e["track_id"] for e in alerts}) == 1


def test_close_ends_open_violations() -> None:
    """When the camera goes blind, nobody is in violation any more."""
    rig = Rig([face(100, 60)], violations=AT_ONCE)
    for n in range(2):
        rig.pass_through(noise(seed=n), n / 5, BARE)
    rig.pipeline.close("hall", "camera_down", 101.0)
    assert violations_of(rig) == [("all", "start", None), ("all", "end", "camera_down")]


def test_persons_are_counted_in_their_zones() -> None:
    """Two masked faces, one of them in the zone; each counts once, held or seen."""
    rig = Rig([face(40, 60), face(240, 60)], zones={"left": LEFT})
    still = noise()
    for n in range(8):
        rig.pass_through(still, n / 5)
    for period in rig.compliance.flush(110.0, 1_700_000_010.0):
        assert period.persons == {"with_mask": 2 if period.zone == "all" else 1}


def test_a_frozen_frame_is_told_and_not_looked_at() -> None:
    """Its event says so little as that nothing changed; who was in the picture may be gone."""
    rig = Rig([face(100, 60, 48)])
    rig.pass_through(noise(), 0.0)
    looks = rig.detector.calls
    frozen = dataclasses.replace(frame(noise(), 200.0), frozen=True)
    rig.pipeline.finish(rig.pipeline.begin(frozen))
    assert rig.detector.calls == looks
    event = rig.documents()[-1]
    assert (event["detection"], event["faces"]) == ("unchanged", [])
    assert rig.pass_through(noise(seed=1), 201.0)["detection"] == "ran"


@pytest.mark.parametrize("jump_s", [-3_600.0, 3_600.0])
def test_a_clock_that_is_set_changes_no_duration(jump_s: float) -> None:
    """How long a person was there goes by the clock that nobody sets."""
    rig = Rig([face(100, 60, 48)])
    for n in range(10):
        seen = frame(noise(seed=n), n / 5)
        if n > 4:
            seen = dataclasses.replace(seen, captured_at=seen.captured_at + jump_s)
        pending = rig.pipeline.begin(seen)
        for crop in pending.crops:
            pending.resolve(crop.track, MASK)
        rig.pipeline.finish(pending)
    rig.pipeline.close("hall", "stopped", 103.0)
    (end,) = [e for e in rig.documents() if e.get("phase") == "end"]
    assert end["duration_s"] == 3.0
    assert sum(end["seconds"].values()) == pytest.approx(1.8)
