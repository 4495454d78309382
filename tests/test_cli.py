"""The command line: what a user can do wrong is a sentence and the right exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from worker import cli
from worker.inference.artifact import MANIFEST, ONNX
from worker.models import default_classifier
from worker.reload import Reload

Invoke = Callable[..., tuple[int, str, str]]

GOOD = '[cameras.hall]\nurl = "rtsp://192.0.2.1/stream"\n'


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Invoke:
    """Run a command line in this process; exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["maskwatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "maskwatch.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_good_configuration_is_all_right(invoke: Invoke, config: Callable[[str], Path]) -> None:
    """`check` says what would run, and ends with 0."""
    code, out, _ = invoke("check", "--config", config(GOOD))
    assert code == 0
    assert "camera hall: rtsp://192.0.2.1/stream, 5 frames/s" in out
    assert "all right, cameras: 1" in out


def test_check_shows_the_zones(invoke: Invoke, config: Callable[[str], Path]) -> None:
    """Which cameras see a zone, what counts in it, and whether violations are told of there."""
    zones = "[zones.till]\ncameras.hall = [[0, 0], [1, 0], [1, 1]]\nanchor = 'foot'\n"
    code, out, _ = invoke("check", "--config", config(GOOD + zones))
    assert code == 0
    assert "zone till: on hall, by the foot from 1 s, violations\n" in out


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[cameras.hall]\nurll = "rtsp://h/x"\n', r"maskwatch\.toml:2: cameras\.hall\.urll: .*url"),
        (GOOD + 'analyse_fps = "fast"\n', r"maskwatch\.toml:3: cameras\.hall\.analyse_fps: "),
        (GOOD + GOOD, r"maskwatch\.toml:3: .*'hall' is declared a second time, first at line 1"),
        (
            '[cameras."Hall 1"]\nurl = "rtsp://h/x"\n',
            r"maskwatch\.toml:1: .*Hall 1.*lower-case letters",
        ),
        ("[redis]\n", r"camera"),
        (GOOD + 'password_file = "/nowhere/secret"\n', r":3: .*/nowhere/secret cannot be read"),
        (
            '[cameras.hall]\nurl = "ftp://h/x"\n',
            r"maskwatch\.toml:2: .*'ftp' is not known; known are rtsp",
        ),
        ("[cameras.hall\n", r"maskwatch\.toml:1"),
        (GOOD + '[detection]\ndetector = "retina"\n', r"no detector 'retina'; take "),
        (GOOD + '[inference]\nmodel = "/nowhere"\n', r"no model in /nowhere"),
        (GOOD + f'[inference]\ndigest = "{"0" * 64}"\n', r"inference\.digest: .* not 0000"),
        (GOOD + '[http]\nhost = "0.0.0.0"\n', r"needs a token"),
    ],
)
def test_configuration_faults(
    invoke: Invoke, config: Callable[[str], Path], text: str, sentence: str
) -> None:
    """A wrong configuration is told with file, line, key and remedy, and ends with 2."""
    import re

    code, _, err = invoke("check", "--config", config(text))
    assert code == 2
    assert re.search(sentence, err), err


def test_missing_configuration(invoke: Invoke, tmp_path: Path) -> None:
    """A file that is not there is named."""
    code, _, err = invoke("run", "--config", tmp_path / "nothing.toml")
    assert (code, "nothing.toml" in err) == (2, True)


@pytest.mark.parametrize("fault", ["missing", "corrupt", "manifest", "kind"])
def test_broken_models(
    invoke: Invoke, config: Callable[[str], Path], tmp_path: Path, fault: str
) -> None:
    """A model that lacks a file, was changed, or is none, is refused with its remedy."""
    folder = tmp_path / "model"
    shutil.copytree(default_classifier(), folder)
    if fault == "missing":
        (folder / ONNX).unlink()
    elif fault == "corrupt":
        content = bytearray((folder / ONNX).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / ONNX).write_bytes(content)
    elif fault == "manifest":
        (folder / MANIFEST).write_text("{}")
    else:
        manifest = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps({**manifest, "kind": "detector"}))
    code, _, err = invoke("check", "--config", config(GOOD + f'[inference]\nmodel = "{folder}"\n'))
    assert code == 2
    assert str(folder) in err
    assert "\n" not in err.strip()


def test_port_in_use(invoke: Invoke, config: Callable[[str], Path]) -> None:
    """A worker whose port somebody has does not start half."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = invoke("run", "--config", config(GOOD + f"[http]\nport = {port}\n"))
    assert code == 2
    assert f"127.0.0.1:{port} cannot be listened on" in err


def test_wrong_usage_ends_with_2(invoke: Invoke) -> None:
    """What the command line does not know is usage."""
    for arguments in (["runn"], ["run"], ["demo", "--seconds", "soon"], ["evaluate"]):
        assert invoke(*arguments)[0] == 2


@pytest.mark.parametrize(
    "command", ["run", "demo", "check", "probe", "tail", "predict", "evaluate", "bench"]
)
def test_every_command_explains_itself(invoke: Invoke, command: str) -> None:
    """Each command has help that a newcomer can read."""
    code, out, _ = invoke(command, "--help")
    assert code == 0
    assert "Usage" in out


def test_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """Piped into a program that reads little, nothing but silence follows."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "--help"], stdout=write, stderr=subprocess.PIPE
    )
    os.close(read)
    os.close(write)
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(30)


def test_demo_ends_when_its_reader_leaves() -> None:
    """In `maskwatch demo | head -1` the demo ends in order, and its server with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "demo", "--port", "0", "--cameras", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("live page")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(60)


def test_closed_standard_streams_are_no_fault(config: Callable[[str], Path]) -> None:
    """Some supervisors start a program without input, output or error stream."""
    closed = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "worker"]
    for arguments, code in (
        (["check", "--config", str(config(GOOD))], 0),
        (["tail", "--redis", "http://192.0.2.1"], 2),  # after its log was set up
    ):
        assert subprocess.run([*closed, *arguments], check=False, timeout=60).returncode == code


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who asks for it sees where an error comes from."""
    from worker.errors import ConfigError

    monkeypatch.setattr(
        sys, "argv", ["maskwatch", "--debug", "check", "--config", str(tmp_path / "none.toml")]
    )
    with pytest.raises(ConfigError):
        cli.main()


def test_a_hangup_while_it_starts_is_noted(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGHUP would end a process by itself; from the first moment it means to read again."""
    config = tmp_path / "maskwatch.toml"
    config.write_text(GOOD)
    due: list[bool] = []

    class Starting:
        def __init__(self, _settings: object, *, reload: Reload, **_others: object) -> None:
            os.kill(os.getpid(), signal.SIGHUP)
            due.append(reload.due(0.0, watch=False))

        def obey_signals(self) -> None:
            pass

        def run(self) -> None:
            pass

    monkeypatch.setattr("worker.service.Service", Starting)
    before = signal.getsignal(signal.SIGHUP)
    try:
        assert invoke("run", "--config", config)[0] == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert due == [True]
