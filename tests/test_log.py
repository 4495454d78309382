"""What a log line looks like, and what never stands in one."""

from __future__ import annotations

import errno
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator

import h11
import pytest

from worker import log


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = root.handlers[:], root.level
    libraries = {name: logging.getLogger(name).level for name in log.QUIET}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], threading.excepthook = handlers, hook
    root.setLevel(level)
    for name, before in libraries.items():
        logging.getLogger(name).setLevel(before)


Capture = pytest.CaptureFixture[str]


def told(capsys: Capture) -> list[str]:
    return capsys.readouterr().err.splitlines()


def failed(text: str) -> ValueError:
    """An exception that was raised, so that it has a traceback."""
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        raise ValueError(text)
    return caught.value


@pytest.mark.parametrize("terminal", [True, False])
def test_the_form_follows_standard_error(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    """People look at a terminal, machines read everything else."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    log.setup("INFO")
    logging.getLogger("worker.x").info("calm")
    assert told(capsys)[0].startswith("{") is not terminal


def test_a_machine_gets_json(capsys: Capture) -> None:
    """One object a line, with time, level, logger, message and camera."""
    log.setup("INFO")
    logging.getLogger("worker.x").warning("lost %d", 3, extra={"camera": "hall"})
    entry = json.loads(told(capsys)[0])
    assert entry.pop("ts").endswith("Z")
    assert entry == {
        "level": "WARNING",
        "logger": "worker.x",
        "message": "lost 3",
        "camera": "hall",
    }


def test_a_person_gets_plain_lines(capsys: Capture) -> None:
    """The camera stands in brackets."""
    log.setup("INFO", json=False)
    logging.getLogger("worker.x").warning("lost %d", 3, extra={"camera": "hall"})
    logging.getLogger("worker.x").info("calm")
    first, second = told(capsys)
    assert first.endswith(" WARNING worker.x [hall] lost 3")
    assert second.endswith(" INFO    worker.x calm")


def test_an_exception_stays_on_its_line(capsys: Capture) -> None:
    """A traceback does not break the lines of JSON."""
    log.setup("INFO")
    logging.getLogger("worker.x").error("failed", exc_info=failed("broken"))
    (line,) = told(capsys)
    assert json.loads(line)["exception"].endswith("ValueError: broken")


@pytest.mark.parametrize("as_json", [True, False])
def test_no_password_leaves(capsys: Capture, as_json: bool) -> None:
    """Not in a message, nor in an argument, nor in a traceback, whoever put it there."""
    log.setup("INFO", json=as_json)
    url = "rtsp://admin:hunter2@camera/stream"
    error = failed(f"cannot open {url}")
    logging.getLogger("any.library").error(f"opening {url} %s", {"url": url}, exc_info=error)
    text = "\n".join(told(capsys))
    assert text.count("rtsp://***@camera/stream") >= 3
    assert "hunter2" not in text


def test_libraries_are_kept_quiet(capsys: Capture) -> None:
    """Requests and damaged packets are no news."""
    log.setup("DEBUG")
    logging.getLogger("uvicorn.access").info("GET /healthz")
    logging.getLogger("libav.h264").error("error while decoding")
    assert told(capsys) == []


def test_setting_up_twice_does_not_double_lines(capsys: Capture) -> None:
    """The second call replaces the first."""
    log.setup("INFO")
    log.setup("WARNING")
    logging.getLogger("worker.x").info("not told any more")
    logging.getLogger("worker.x").warning("once")
    assert len(told(capsys)) == 1


@pytest.mark.filterwarnings("default")
def test_warnings_are_log_lines(capsys: Capture) -> None:
    """A library's warning does not break the lines of JSON."""
    log.setup("INFO")
    warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line,) = told(capsys)
    assert json.loads(line)["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_fails_is_told(capsys: Capture) -> None:
    """Its traceback is scrubbed as well."""

    def fail() -> None:
        raise ValueError("rtsp://admin:hunter2@camera")

    log.setup("INFO")
    thread = threading.Thread(target=fail, name="camera-hall")
    thread.start()
    thread.join(5)
    entry = json.loads(told(capsys)[0])
    assert entry["message"] == "thread camera-hall failed"
    assert entry["exception"].endswith("ValueError: rtsp://***@camera")


def test_a_caller_that_speaks_no_http_leaves_no_traceback(capsys: Capture) -> None:
    """Port scanners would fill the log; our own faults still stand in it."""
    log.setup("INFO")
    server = logging.getLogger("uvicorn.error")
    server.warning("Invalid HTTP request received.")
    for error in (h11.LocalProtocolError("garbage"), failed("ours")):
        server.error("Exception in ASGI application", exc_info=error)
    (line,) = told(capsys)
    assert "ours" in line


def test_what_the_machine_lacks_is_told_in_a_line(capsys: Capture) -> None:
    """Which file or socket was to be opened says nothing."""
    log.setup("INFO", json=False)
    lacking = OSError(errno.EMFILE, "Too many open files")
    logging.getLogger("asyncio").error("socket.accept() out of system resource", exc_info=lacking)
    again = failed("Invalid file descriptor: -1")
    logging.getLogger("asyncio").error("callback BaseEventLoop._start_serving()", exc_info=again)
    (line,) = told(capsys)
    assert line.endswith("out of system resource (Too many open files)")
