"""Following the events of a worker, as they come, and a line of text for each."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import redis
from rich.console import Console
from rich.text import Text

from worker.config import Redis as RedisSettings
from worker.output import broker

log = logging.getLogger(__name__)

Document = dict[str, Any]

READ_COUNT = 100
LOOK_AGAIN_S = 1.0
PAUSE_S = (0.1, 2.0)
LINE_CHARS = 1_000

COLOURS = {
    "with_mask": "green",
    "without_mask": "red",
    "mask_worn_incorrectly": "dark_orange",
    "unknown": "grey62",
}
"""The colour of each label, as in the report: good, bad, nearly."""


def follow(
    url: str,
    *,
    prefix: str = "maskwatch",
    camera: str | None = None,
    stop: threading.Event | None = None,
    timeout_s: float = 2.0,
    ca_file: str | Path | None = None,
) -> Iterator[Document]:
    """Yield the documents of all events from now on, of one camera or of all.

    What belongs to no single camera (``rule``, ``compliance``) comes only with all of them.

    Blocks between events. When Redis goes it waits, for ever, and goes on where it was; cameras
    that appear later are found. Entries that hold no event are skipped.

    Args:
        url: where Redis is, with user and password if it asks for them.
        prefix: the first part of every key, as the worker has it.
        camera: only the events of this camera.
        stop: ends it, within ``timeout_s``.
        timeout_s: time after which Redis counts as gone.
        ca_file: with ``rediss://``, certificates of the authorities that may have signed the
            server's; None: those of the system.

    Raises:
        ConfigError: the address or the file cannot be used.
    """
    settings = broker.settings_of(url, prefix, timeout_s, ca_file)
    stop = stop or threading.Event()
    with contextlib.closing(_Reader(settings, camera)) as reader:
        pause_s, reason = PAUSE_S[0], None
        while not stop.is_set():
            try:
                documents = reader.read()
            except broker.FAULTS as error:
                now, sentence = broker.explain(error, settings)
                if now != reason:
                    log.warning("%s; waiting for it", sentence)
                reason = now
                stop.wait(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S[1])
                continue
            if reason is not None:
                log.info("Redis at %s is back", settings.address)
            pause_s, reason = PAUSE_S[0], None
            yield from documents


class _Reader:
    """Reads on from the last entry of each stream; one that breaks off can be called again."""

    def __init__(self, settings: RedisSettings, camera: str | None) -> None:
        self._client = broker.client(settings, "maskwatch-tail")
        self._prefix = settings.prefix
        self._camera = camera
        self._block_ms = int(settings.timeout_s * 500)  # must end before the socket's timeout
        self._last: dict[str, str] = {}
        self._looked_s: float | None = None

    def read(self) -> list[Document]:
        """The next events in the order of their arrival; none where it was quiet for a while."""
        self._look_for_streams()
        reply: Any = self._client.execute_command(  # type: ignore[no-untyped-call]
            *("XREAD", "COUNT", READ_COUNT, "BLOCK", self._block_ms),
            *("STREAMS", *self._last, *self._last.values()),
        )
        found: list[tuple[tuple[int, int], Document]] = []
        for name, entries in reply or ():
            for entry_id, fields in entries:
                self._last[name.decode()] = entry_id.decode()
                document = _parsed(fields)
                if document and self._camera in {None, document.get("camera_id")}:
                    ms, _, n = entry_id.partition(b"-")
                    found.append(((int(ms), int(n)), document))
        return [document for _, document in sorted(found, key=lambda item: item[0])]

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()

    def _look_for_streams(self) -> None:
        """Streams found at first are read from their end, later ones from their beginning."""
        now_s = time.monotonic()
        first = self._looked_s is None
        if self._looked_s is not None and now_s - self._looked_s < LOOK_AGAIN_S:
            return
        names = {f"{self._prefix}:alerts"}
        if self._camera is not None:
            names.add(f"{self._prefix}:frames:{self._camera}")
        else:
            names.add(f"{self._prefix}:compliance")
            names |= self._frame_streams()
        for name in sorted(names - self._last.keys()):
            self._last[name] = self._end_of(name) if first else "0-0"
        if first and self._camera is not None:
            self._say_unless_known(self._camera)
        self._looked_s = now_s

    def _say_unless_known(self, camera: str) -> None:
        """A misspelt camera would be waited for in silence, for ever."""
        own = f"{self._prefix}:frames:{camera}"
        if self._last[own] != "0-0":
            return
        start, others = f"{self._prefix}:frames:", []
        with contextlib.suppress(redis.exceptions.NoPermissionError):  # reading one needs no scan
            others = sorted(key.removeprefix(start) for key in self._frame_streams())
        log.warning(
            "no event of a camera %r yet; waiting for its first (there are some of: %s)",
            camera,
            ", ".join(others) or "no camera",
        )

    def _frame_streams(self) -> set[str]:
        """The streams of cameras; keys of other kinds, or no text, are not a worker's."""
        # No character that a prefix may hold means anything in a pattern.
        keys = self._client.scan_iter(f"{self._prefix}:frames:*", count=1_000, _type="stream")
        return {key.decode() for key in keys if key.isascii()}

    def _end_of(self, name: str) -> str:
        newest: Any = self._client.xrevrange(name, count=1)
        return newest[0][0].decode() if newest else "0-0"


def _parsed(fields: Any) -> Document | None:
    try:
        document = json.loads(fields[b"event"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def print_events(documents: Iterable[Document], out: IO[str], *, as_json: bool = False) -> None:
    """Print each event as it comes: a line, in colours on a terminal only, or its JSON.

    Raises:
        BrokenPipeError: the reader has gone, which is no fault of ours.
    """
    console = Console(file=out, highlight=False, soft_wrap=True)
    for document in documents:
        if as_json:
            print(json.dumps(document, separators=(",", ":")), file=out, flush=True)
        elif console.is_terminal:
            console.print(coloured(document))
        else:
            print(line(document), file=out, flush=True)


def coloured(document: Mapping[str, Any]) -> Text:
    """The line of an event, its labels in their colours."""
    text = Text(line(document))
    for label, colour in COLOURS.items():
        text.highlight_regex(rf"\b{label}\b( \d\.\d\d)?", colour)
    return text


def line(document: Mapping[str, Any]) -> str:
    """An event as a line of ASCII: time (UTC), camera, what happened.

    Whatever a document holds, the line holds no control character and has an end.
    """
    kind = str(document.get("schema", "")).removeprefix("maskwatch.").partition("/")[0]
    try:
        told = _TELL[kind](document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        told = json.dumps(document)
    time_of_day = str(document.get("captured_at") or document.get("occurred_at"))[11:23]
    text = f"{time_of_day:12}  {document.get('camera_id', '?')!s:12}  {told}"
    ascii_only = text.encode("ascii", "backslashreplace").decode()
    return "".join(c if c.isprintable() else "?" for c in ascii_only)[:LINE_CHARS]


def _frame(document: Mapping[str, Any]) -> str:
    faces = document["faces"]
    held = " (unchanged)" if document["detection"] == "unchanged" else ""
    if not faces:
        return f"no faces{held}"
    count = "1 face " if len(faces) == 1 else f"{len(faces)} faces"
    return f"{count}{held}  " + "  ".join(_face(face) for face in faces)


def _face(face: Mapping[str, Any]) -> str:
    if face["reason"]:
        return f"{face['label']} ({face['reason']})"
    return f"{face['label']} {face['score']:.2f}"


def _track(document: Mapping[str, Any]) -> str:
    name = f"track {document['track_id'].rpartition('-')[2]}"
    if document["phase"] == "start":
        return f"{name} starts: {_face(document)}"
    return f"{name} ends after {document['duration_s']:.1f} s: {_face(document)}"


def _violation(document: Mapping[str, Any]) -> str:
    name = f"violation {document['violation_id'].rpartition('-')[2]} {document['phase']}"
    name += f" ({document['end_reason']})" if document["phase"] == "end" else ""
    what = f"{document['kind']} {document['score']:.2f}, {document['duration_s']:.1f} s"
    where = "" if document["zone"] == "all" else f" in {document['zone']}"
    return f"{name}{where}: {what}"


def _camera(document: Mapping[str, Any]) -> str:
    reason = f" ({document['reason']})" if document["reason"] else ""
    return f"camera {document['state']}{reason}"


def _gap(document: Mapping[str, Any]) -> str:
    return f"not watched for {document['duration_s']:.1f} s ({document['reason']})"


def _loss(document: Mapping[str, Any]) -> str:
    span = f"seq {document['first_seq']} to {document['last_seq']}"
    return f"{document['count']} events of {document['stream']} lost, {span} ({document['reason']})"


def _compliance(document: Mapping[str, Any]) -> str:
    blind = f", blind for {document['blind_s']:.0f} s" if document["blind_s"] else ""
    return f"compliance of {_zone(document)}: {_rate(document)}{blind}"


def _rule(document: Mapping[str, Any]) -> str:
    ended = f" ends ({document['end_reason']})" if document["phase"] == "end" else ""
    told = f"{_rate(document)}, limit {document['limit']:.0%}"
    return f"too few masks in {_zone(document)}{ended}: {told}"


def _zone(document: Mapping[str, Any]) -> str:
    return "all cameras" if document["zone"] == "all" else str(document["zone"])


def _rate(document: Mapping[str, Any]) -> str:
    rate, judged = document["rate"], document["denominator"]
    return f"{judged} judged, no rate" if rate is None else f"{rate:.0%} of {judged} with a mask"


_TELL: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "frame": _frame,
    "track": _track,
    "violation": _violation,
    "camera": _camera,
    "gap": _gap,
    "loss": _loss,
    "rule": _rule,
    "compliance": _compliance,
}
