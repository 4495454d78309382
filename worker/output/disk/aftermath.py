"""What the life before this one left open is ended, and the time since then told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from worker.errors import BadDataError
from worker.output.disk.journal import Former, Open, Unwatched
from worker.output.event import EventMaker, rfc3339
from worker.output.wire import Event
from worker.records import CameraStatus

log = logging.getLogger(__name__)

_HEAD = frozenset({field.alias or name for name, field in Event.model_fields.items()})
"""What every event begins with, and this life says anew."""


class Aftermath:
    """Tells what a life that ended, however it ended, could not tell itself.

    A track, a violation or a broken rule ends under the name it had, when it was last known; a
    gap goes from the last frame of a camera to its first one now, or to the moment from which
    this life accounts for it: it is down, or off.

    Args:
        former: what was left.
        maker: makes the events.
    """

    def __init__(self, former: Former, maker: EventMaker) -> None:
        self._former = former
        self._maker = maker
        self._unwatched = {camera.camera_id: camera for camera in former.unwatched}

    def begin(self, cameras: Collection[str], now: float) -> None:
        """End what was open, on whichever camera; of cameras that are no more, tell the gap too."""
        former = self._former
        if former.died_at:
            log.info(
                "the run before was last known to live at %s; it left %d cameras unwatched, and "
                "%d tracks, violations and rules open",
                rfc3339(former.died_at),
                len(former.unwatched),
                len(former.open),
            )
        for one in former.open:
            self._end(one, now)
        for camera in [c for c in self._unwatched.values() if c.camera_id not in cameras]:
            self._tell(camera, now)

    def tick(
        self,
        statuses: Mapping[str, CameraStatus],
        first_frame: Callable[[str], float | None],
        now: float,
    ) -> None:
        """Tell the gap of each camera that is accounted for again. Call it often.

        Args:
            statuses: the cameras as they are now.
            first_frame: when the first frame of a camera came in this life, if one did.
            now: wall clock, seconds since the epoch.
        """
        for camera in tuple(self._unwatched.values()):
            status = statuses.get(camera.camera_id)
            seen = first_frame(camera.camera_id)
            if seen is not None:
                self._tell(camera, seen)
            elif status is None:
                self._tell(camera, now)
            elif status.state in {"down", "off"}:
                self._tell(camera, status.since)
            elif status.state == "ended":
                del self._unwatched[camera.camera_id]

    def _tell(self, camera: Unwatched, until: float) -> None:
        del self._unwatched[camera.camera_id]
        start = min(camera.since, until)  # the clock may have been put back
        self._maker.gap(camera.camera_id, start, until, camera.reason)

    def _end(self, one: Open, now: float) -> None:
        fields: dict[str, Any] = json.loads(one.document)
        body = {key: value for key, value in fields.items() if key not in _HEAD}
        started = datetime.fromisoformat(body["started_at"]).timestamp()
        ended = max(started, min(now, self._last_known(one.camera_id)))
        body |= {
            "phase": "end",
            "ended_at": rfc3339(ended),
            "duration_s": round(ended - started, 3),
            "end_reason": "restarted",
        }
        del body["occurred_at"]
        try:
            self._maker.ending(one.type, one.camera_id, body)
        except BadDataError as error:
            log.warning("%s of an earlier run is not ended: %s", one.name, error)

    def _last_known(self, camera_id: str) -> float:
        camera = self._unwatched.get(camera_id)
        return camera.since if camera else self._former.died_at
