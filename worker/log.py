"""Logging, set up once by the command line: lines for people, JSON for machines.

A message about one camera carries it as ``extra={"camera": camera_id}``.
"""

from __future__ import annotations

import errno
import json
import logging
import sys
import threading
from datetime import UTC, datetime

from worker.credentials import scrub

QUIET = {
    "asyncio": logging.WARNING,
    "libav": logging.CRITICAL,  # tells of each damaged packet; frames are metrics
    "matplotlib": logging.WARNING,
    "PIL": logging.WARNING,
    "uvicorn": logging.ERROR,  # a line a request otherwise, or one for each port scanner
}
"""Loggers of libraries that say more than anybody wants to read, and from where on they may."""


class HumanFormatter(logging.Formatter):
    """``14:03:07.120 WARNING worker.camera [hall] message``, in local time."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Lay the camera, where there is one, before the message."""
        camera = getattr(record, "camera", None)
        if camera is not None:
            record.message = f"[{camera}] {record.message}"
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """The last net: no user and no password leaves, whoever logged the address."""
        return scrub(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``ts, level, logger, message``, and ``camera, exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; the traceback, if any, is one string in it."""
        moment = datetime.fromtimestamp(record.created, UTC)
        entry = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": scrub(record.getMessage()),
        }
        camera = getattr(record, "camera", None)
        if camera is not None:
            entry["camera"] = str(camera)
        if record.exc_info:
            entry["exception"] = scrub(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def setup(level: str, *, json: bool | None = None) -> None:
    """Send every log line to standard error; may be called again.

    Args:
        level: of this program's own messages; libraries in ``QUIET`` say less.
        json: lines for machines; by default, where standard error is no terminal.
    """
    for_machines = not sys.stderr.isatty() if json is None else json
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if for_machines else HumanFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, quiet in QUIET.items():
        logging.getLogger(name).setLevel(quiet)
    logging.getLogger("uvicorn.error").addFilter(_is_ours)
    logging.getLogger("asyncio").addFilter(_told_in_a_line)
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_thread_failure


def _is_ours(record: logging.LogRecord) -> bool:
    """False for a traceback that somebody caused who does not speak HTTP: that is not our fault."""
    error = record.exc_info[1] if record.exc_info else None
    return not type(error).__module__.startswith("h11")


def _told_in_a_line(record: logging.LogRecord) -> bool:
    """What the machine lacks needs no traceback: asyncio tells it once a second.

    False where asyncio wants to listen again after that, though the server has ended meanwhile.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS}:
        record.msg = f"{record.getMessage()} ({error.strerror})"
        record.args, record.exc_info = (), None
    return not (isinstance(error, ValueError) and "._start_serving" in record.getMessage())


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    """A thread's end by an exception is told like everything else, and scrubbed."""
    if failure.exc_value is None:
        return
    name = failure.thread.name if failure.thread else "?"
    logging.getLogger(__name__).critical("thread %s failed", name, exc_info=failure.exc_value)
