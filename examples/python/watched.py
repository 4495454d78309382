"""Tell which seconds of each camera were watched, from nothing but the streams.

python watched.py [redis://127.0.0.1:6379/0]
"""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import redis

Span = tuple[str, str]


def watched(alerts: Iterable[Mapping[str, Any]], last_frame: Mapping[str, str]) -> list[Span]:
    """The spans in which one camera was watched, from its alerts in order, and its last frames.

    Moments are text: RFC 3339 in UTC, with as many digits each, sorts and compares as it is.
    """
    alerts = list(alerts)
    changes = [alert for alert in alerts if alert["schema"] == "maskwatch.camera/1"]
    gaps = [alert for alert in alerts if alert["schema"] == "maskwatch.gap/1"]
    spans = []
    for change, following in zip(changes, [*changes[1:], None], strict=False):
        if change["state"] == "up" and change["reason"] != "frozen":
            run = change["run_id"]
            if following is not None and following["run_id"] == run:
                end = following["since"]
            else:  # the last of its run: frames are kept for an hour, gaps for a week
                ends = (gap["from"] for gap in gaps if gap["reason"] in {"stopped", "killed"})
                told = (end for end in ends if end >= change["since"])
                end = last_frame.get(run) or min(told, default=change["since"])
            spans.append((change["since"], end))
    for gap in gaps:
        cut = [((a, min(b, gap["from"])), (max(a, gap["to"]), b)) for a, b in spans]
        spans = [(a, b) for pieces in cut for a, b in pieces]
    return [(begin, end) for begin, end in spans if begin < end]


def main(url: str = "redis://127.0.0.1:6379/0") -> None:
    client = redis.Redis.from_url(url, decode_responses=True)
    documents = (json.loads(entry["event"]) for _, entry in client.xrange("maskwatch:alerts"))
    alerts = {alert["event_id"]: alert for alert in documents}  # some may have come twice
    for key in sorted(client.scan_iter("maskwatch:frames:*")):
        camera = key.removeprefix("maskwatch:frames:")
        frames = (json.loads(entry["event"]) for _, entry in client.xrange(key))
        last_frame = {frame["run_id"]: frame["captured_at"] for frame in frames}
        own = [alert for alert in alerts.values() if alert["camera_id"] == camera]
        for begin, end in watched(own, last_frame):
            print(f"{camera} {begin} {end}")


if __name__ == "__main__":
    main(*sys.argv[1:])
