"""What a real worker tells of zones, violations, compliance and limits."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from service.redis_server import client_of
from service.rtsp_server import require_rtsp_server, rtsp_server
from service.worker_process import WorkerProcess, documents, faces_clip, free_port, wait_for, worker

from worker.output.embedded import RedisServer

pytestmark = pytest.mark.timeout(120)

RULES = """
[zones.left]
cameras.hall = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
min_dwell_s = 0
[zones.right]
cameras.hall = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]
cameras.dead = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]
min_dwell_s = 0
[violations]
enter_s = 0.4
update_s = 1
zones = ["left", "all"]
[compliance]
period_s = 1
min_persons = 1
limit = 0.95
limit_periods = 2
"""


def of_schema(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["schema"] == f"maskwatch.{kind}/1"]


def test_what_a_venue_is_told(tmp_path: Path, redis_server: RedisServer) -> None:
    """People with and without masks walk past one camera while another one is dead."""
    clip = faces_clip(tmp_path / "faces.mp4")
    configuration = (
        f'[cameras.hall]\nurl = "{clip}"\nrealtime = true\nloop = true\n'
        f'[cameras.dead]\nurl = "rtsp://127.0.0.1:{free_port()}/x"\n'
        f'{RULES}[redis]\nurl = "{redis_server.url}"\n'
    )
    with worker(configuration, tmp_path) as running, client_of(redis_server) as client:
        running.started()
        wait_for(lambda: running.metric("maskwatch_compliance_low", zone="left") == 1)
        wait_for(lambda: running.metric("maskwatch_violations_total", zone="all") >= 2)
        wait_for(lambda: client.xlen("maskwatch:compliance") >= 18)
        persons = running.metric("maskwatch_compliance_persons_total", zone="all")
        rate = running.metric("maskwatch_compliance_rate", zone="left")
        blind = running.metric("maskwatch_compliance_blind_seconds_total", zone="right")
        zones = {zone["zone"]: zone for zone in running.state()["zones"]}
        assert running.terminate() == 0
        periods = documents(client, "maskwatch:compliance")
        alerts = documents(client, "maskwatch:alerts")

    assert (persons > 0, rate < 0.95, blind > 0) == (True, True, True)
    assert zones["left"]["polygons"] == {"hall": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}
    assert zones["left"]["low"]
    check_periods(periods)
    check_violations(of_schema(alerts, "violation"))
    rules = of_schema(alerts, "rule")
    left = [(rule["phase"], rule["end_reason"]) for rule in rules if rule["zone"] == "left"]
    assert left == [("start", None), ("end", "stopped")]


def open_violations(running: WorkerProcess) -> list[str]:
    """As the live page shows them."""
    return [v["violation_id"] for zone in running.state()["zones"] for v in zone["violations"]]


def test_an_outage_ends_what_is_open(tmp_path: Path, redis_server: RedisServer) -> None:
    """When its camera dies, a violation and its track end at once, not when it is back."""
    require_rtsp_server()
    clip = faces_clip(tmp_path / "faces.mp4")
    with (
        rtsp_server({"one": clip}) as server,
        client_of(redis_server) as client,
        worker(
            f'[cameras.hall]\nurl = "{server.url("one")}"\n[violations]\nenter_s = 0.2\n'
            f'[redis]\nurl = "{redis_server.url}"\n',
            tmp_path,
        ) as running,
    ):
        running.started()
        wait_for(lambda: running.metric("maskwatch_violations_active") >= 1)
        server.kill()
        wait_for(lambda: running.camera_state("hall") == "down")
        wait_for(lambda: "zones" in running.state() and not open_violations(running))
        assert running.metric("maskwatch_violations_active") == 0
        assert running.terminate() == 0
        alerts = documents(client, "maskwatch:alerts")
    assert any(e["state"] == "down" for e in of_schema(alerts, "camera"))
    violations = of_schema(alerts, "violation")
    open_ones = {e["violation_id"] for e in violations if e["phase"] == "start"}
    reasons = {e["violation_id"]: e["end_reason"] for e in violations if e["phase"] == "end"}
    assert set(reasons) == open_ones
    assert "camera_down" in reasons.values()
    tracks = of_schema(alerts, "track")
    assert "camera_down" in {track["end_reason"] for track in tracks}
    assert [track["phase"] for track in tracks].count("start") * 2 == len(tracks)


def check_periods(periods: list[dict[str, Any]]) -> None:
    """Numbered without a hole, one after the other, each with what its rate rests on."""
    assert [event["seq"] for event in periods] == list(range(len(periods)))
    assert {event["camera_id"] for event in periods} == {"all"}
    for zone in ("all", "left", "right"):
        own = [event for event in periods if event["zone"] == zone]
        assert all(a["to"] == b["from"] for a, b in itertools.pairwise(own))
        assert all(event["from"].endswith(".000Z") for event in own[1:])
        for event in own:
            seen = event["persons"]
            assert event["denominator"] == seen["seen"] - seen["unknown"]
            if event["denominator"]:
                expected = seen["with_mask"] / event["denominator"]
                assert event["rate"] == pytest.approx(expected, abs=1e-4)
            else:
                assert event["rate"] is None
            assert ("dead" in event["blind"]) == (zone != "left")
    assert any(event["persons"]["seen"] for event in periods if event["zone"] == "right")


def check_violations(events: list[dict[str, Any]]) -> None:
    """Each has one start, then updates, and one end, at the latest when the worker stops."""
    assert {event["zone"] for event in events} == {"all", "left"}
    lives: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        lives.setdefault(event["violation_id"], []).append(event)
    for life in lives.values():
        phases = [event["phase"] for event in life]
        assert phases[0] == "start"
        assert phases[-1] == "end"
        assert set(phases[1:-1]) <= {"update"}
        assert len({(event["track_id"], event["zone"], event["kind"]) for event in life}) == 1
        assert life[0]["duration_s"] >= 0.4
        assert life[-1]["end_reason"] in {"gone", "left_zone", "unknown", "changed", "stopped"}
    assert "stopped" in {life[-1]["end_reason"] for life in lives.values()}
