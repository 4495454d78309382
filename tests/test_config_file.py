"""Configuration files and variables, right and wrong."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from worker.config import Settings
from worker.config_file import MAX_FILE_BYTES, load
from worker.errors import ConfigError

HALL = '[cameras.hall]\nurl = "rtsp://camera/stream"\n'


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "maskwatch.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def faults(path: Path | None, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, env or {})
    lines = str(caught.value).splitlines()
    return [line.replace(f"{path}:", "F:", 1) for line in lines]


def test_reads_a_file(tmp_path: Path) -> None:
    """A camera inherits the defaults and overrides them."""
    text = f"[defaults]\nanalyse_fps = 2\nmin_face_px = 30\n{HALL}min_face_px = 40\n"
    camera = load(written(tmp_path, text), {}).cameras["hall"]
    assert (camera.analyse_fps, camera.min_face_px) == (2.0, 40)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A variable replaces one key and leaves its neighbours."""
    env = {"MASKWATCH_CAMERAS__HALL__ANALYSE_FPS": "3", "MASKWATCH_HTTP__PORT": "9000", "PATH": "x"}
    found = load(written(tmp_path, HALL + "[http]\nport = 1\nfaces = 'clear'\n"), env)
    assert found.cameras["hall"].analyse_fps == 3
    assert (found.http.port, found.http.faces) == (9000, "clear")


def test_the_environment_alone_is_enough() -> None:
    """Without a file, variables make cameras; lists come as JSON."""
    env = {
        "MASKWATCH_CAMERAS__HALL__URL": "rtsp://camera/stream",
        "MASKWATCH_CAMERAS__HALL__REGION": "[[0, 0], [1, 0], [1, 1]]",
        "MASKWATCH_DEFAULTS__MOTION": "false",
    }
    camera = load(None, env).cameras["hall"]
    assert camera.region == [(0, 0), (1, 0), (1, 1)]
    assert camera.motion is False


def test_a_password_of_digits_stays_text() -> None:
    """What looks like a number in the environment is still the password."""
    env = {
        "MASKWATCH_CAMERAS__HALL__URL": "rtsp://camera/stream",
        "MASKWATCH_CAMERAS__HALL__USERNAME": "admin",
        "MASKWATCH_CAMERAS__HALL__PASSWORD": "012345",
    }
    assert load(None, env).cameras["hall"].secret == "012345"


def test_the_process_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the mapping that is passed in counts."""
    monkeypatch.setenv("MASKWATCH_HTTP__PORT", "1")
    found = load(None, {"MASKWATCH_CAMERAS__HALL__URL": "rtsp://camera/stream"})
    assert found.http.port == 9464


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    assert load(written(tmp_path, b"\xef\xbb\xbf" + HALL.encode()), {}).cameras


CAMERA_ID = (
    "this camera id cannot be used; take lower-case letters, digits, - and _, at most 63, "
    "the first a letter or digit"
)
SCHEME = (
    "F:2: cameras.hall.url: the scheme 'demo' is not allowed; allowed are rtsp, rtsps, http, "
    "https, file, device (worker.schemes)"
)
BAD_FILES = {
    "syntax": ('[cameras.hall]\nurl = "a\n', "F:2: not valid TOML: Illegal character '\\n'"),
    "unquoted value": (
        "[cameras.hall]\nurl = rtsp://camera\n",
        "F:2: the value cannot be read; text stands in quotes, true and false in lower case",
    ),
    "one id twice": (
        HALL + "\n" + HALL,
        "F:4: cameras.hall: camera 'hall' is declared a second time, first at line 1; "
        "rename or merge them",
    ),
    "one key twice": (HALL + 'url = "x"\n', "F:3: this key is set a second time; keep one of them"),
    "authorities without TLS": (
        HALL + '[redis]\nurl = "redis://r"\nca_file = "ca.pem"\n',
        "F:5: redis.ca_file: only a rediss:// address asks for certificates; correct redis.url",
    ),
    "authorities that are not there": (
        HALL + '[redis]\nurl = "rediss://r"\nca_file = "/nowhere/ca.pem"\n',
        "F:5: redis.ca_file: /nowhere/ca.pem cannot be used (No such file or directory); "
        "name a PEM file",
    ),
    "authorities that are none": (
        HALL + '[redis]\nurl = "rediss://r"\nca_file = "/dev/null"\n',
        "F:5: redis.ca_file: /dev/null cannot be used (it holds no certificate); name a PEM file",
    ),
    "misspelt key": (
        HALL + "\nanalyze_fps = 5\n",
        "F:4: cameras.hall.analyze_fps: unknown key; did you mean analyse_fps?",
    ),
    "key of another section": (
        HALL + "[http]\nbatch_size = 5\n",
        "F:4: http.batch_size: unknown key; it belongs into [inference]",
    ),
    "key of nowhere": (
        HALL + "[detection]\nzoom = 5\n",
        "F:4: detection.zoom: unknown key; known here are detector, min_score",
    ),
    "unknown section": (
        HALL + "[htpp]\nport = 5\n",
        "F:3: htpp: unknown key; did you mean http?",
    ),
    "misspelt default": (
        HALL + "[cameras.door]\nurl='x'\n[defaults]\nanalyze_fps = 1\n",
        "F:6: defaults.analyze_fps: unknown key; did you mean analyse_fps?",
    ),
    "wrong default": (
        HALL + "[cameras.door]\nurl='x'\n[defaults]\nanalyse_fps = 0\n",
        "F:6: defaults.analyse_fps: must be greater than 0; got 0",
    ),
    "wrong type": (
        HALL + 'analyse_fps = "fast"\n',
        "F:3: cameras.hall.analyse_fps: must be a valid number, unable to parse string as a "
        'number; got "fast"',
    ),
    "wrong type in an inline table": (
        'defaults = { motion = true,\tanalyse_fps = "5 a day" }\n' + HALL,
        "F:1: defaults.analyse_fps: must be a valid number, unable to parse string as a number; "
        'got "5 a day"',
    ),
    "out of bounds": (
        HALL + "[http]\nport = 70000\n",
        "F:4: http.port: must be less than or equal to 65535; got 70000",
    ),
    "none of the choices": (
        HALL + 'rtsp_transport = "tpc"\n',
        "F:3: cameras.hall.rtsp_transport: must be 'tcp' or 'udp'; got \"tpc\"",
    ),
    "number for a text": (
        "[cameras.hall]\nurl = 7\n",
        "F:2: cameras.hall.url: must be text, in quotes",
    ),
    "value for a section": (
        HALL.replace("[", "http = 3\n[", 1),
        "F:1: http: must be a table: write [http] with its keys on lines below it",
    ),
    "array of cameras": (
        '[[cameras]]\nurl = "rtsp://camera/stream"\n',
        "F:1: cameras: must be a table: write [cameras] with its keys on lines below it",
    ),
    "id with odd characters": (
        '[cameras."Hall 1"]\nurl = "x"\n',
        f'F:1: cameras."Hall 1": {CAMERA_ID}, for example hall-1',
    ),
    "id without any use": ('[cameras."ß"]\nurl = "x"\n', f'F:1: cameras."ß": {CAMERA_ID}'),
    "id in capitals": (
        '[cameras.HALL]\nurl = "x"\n',
        f"F:1: cameras.HALL: {CAMERA_ID}, for example hall",
    ),
    "no url": (
        "[cameras.hall]\nmotion = true\n",
        'F:1: cameras.hall.url: is missing; add url = "…"',
    ),
    "scheme that is not allowed": ('[cameras.hall]\nurl = "demo:hall"\n', SCHEME),
    "scheme that is not known": (
        '[cameras.hall]\nurl = "ftp://camera/x"\n',
        "F:2: cameras.hall.url: the scheme 'ftp' is not known; known are rtsp, rtsps, http, "
        "https, file, device, demo",
    ),
    "no host": (
        '[cameras.hall]\nurl = "rtsp:///x"\n',
        "F:2: cameras.hall.url: the address names no host; write rtsp://host/path",
    ),
    "hours": (
        HALL + 'active_hours = "7-19"\n',
        'F:3: cameras.hall.active_hours: must be two times of day, for example "07:00-19:30"; '
        'got "7-19"',
    ),
    "hours of no day": (
        HALL + 'active_hours = "07:00-25:00"\n',
        "F:3: cameras.hall.active_hours: 25:00 is no time of day; write HH:MM from 00:00 to 24:00",
    ),
    "region of two points": (
        HALL + "region = [\n  [0, 0],\n  [1, 1],\n]\n",
        "F:3: cameras.hall.region: a polygon needs at least three points; this one has 2",
    ),
    "region in pixels": (
        HALL + "region = [[0, 0], [640, 0], [1, 1]]\n",
        "F:3: cameras.hall.region[1][0]: must be less than or equal to 1; got 640",
    ),
    "page open to all": (
        HALL + '[http]\nhost = "0.0.0.0"\n',
        "F:4: http.host: 0.0.0.0 can be reached by others, so the live page needs a token; set "
        "http.token or http.token_file, or host to 127.0.0.1",
    ),
    "Redis elsewhere": (
        HALL + '[redis]\nurl = "http://x"\n',
        "F:4: redis.url: the Redis address starts with redis://, rediss:// or unix://",
    ),
    "missing secret file": (
        HALL + 'username = "admin"\npassword_file = "/nowhere/secret"\n',
        "F:4: cameras.hall.password_file: the secret file /nowhere/secret cannot be read: there "
        "is no such file; correct the path",
    ),
    "secret file that is a directory": (
        HALL + '[http]\ntoken_file = "/"\n',
        "F:4: http.token_file: the secret file / cannot be read: it is a directory; correct the "
        "path",
    ),
    "two passwords": (
        HALL + 'username = "u"\npassword = "hunter2"\npassword_file = "x"\n',
        "F:5: cameras.hall.password_file: password and password_file are both set; keep one of "
        "them",
    ),
    "password without user": (
        HALL + 'password = "hunter2"\n',
        "F:1: cameras.hall.username: a password is given, but no user; add username",
    ),
    "no cameras": (
        "[http]\nport = 1\n",
        "F: cameras: no camera is named; add a table [cameras.NAME] with a url",
    ),
    "an empty table of cameras": (
        "\n[cameras]\n",
        "F:2: cameras: no camera is named; add a table [cameras.NAME] with a url",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_told_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    """Each fault names file, line, key, what is wrong and what would be right."""
    assert faults(written(tmp_path, text)) == [expected]


def test_defaults_that_are_no_table_are_one_fault_of_many(tmp_path: Path) -> None:
    """Not an accident of ours, with which a running worker would end."""
    told = faults(written(tmp_path, "defaults = 5\n" + HALL + "min_face_px = 1\n"))
    assert [line.split(": ")[:2] for line in told] == [
        ["F:1", "defaults"],
        ["F:4", "cameras.hall.min_face_px"],
    ]


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Somebody who mends a file wants the whole list."""
    text = HALL + "analyse_fps = 0\n[cameras.door]\nurl = 'demo:x'\nmotoin = 1\n[http]\nport = -1\n"
    env = {"MASKWATCH_REDIS__TIMEOUT_S": "0"}
    where = [line.split(": ")[:2] for line in faults(written(tmp_path, text), env)]
    assert where == [
        ["MASKWATCH_REDIS__TIMEOUT_S", "redis.timeout_s"],
        ["F:3", "cameras.hall.analyse_fps"],
        ["F:6", "cameras.door.motoin"],
        ["F:8", "http.port"],
    ]


def test_every_camera_with_a_forbidden_scheme_is_named(tmp_path: Path) -> None:
    """Two cameras, two lines."""
    text = "[cameras.a]\nurl = 'demo:a'\n[cameras.b]\nurl = 'demo:b'\n"
    assert [line[:20] for line in faults(written(tmp_path, text))] == [
        "F:2: cameras.a.url: ",
        "F:4: cameras.b.url: ",
    ]


BAD_ENVIRONMENTS = {
    "wrong value": (
        {"MASKWATCH_CAMERAS__HALL__ANALYSE_FPS": "-1"},
        "MASKWATCH_CAMERAS__HALL__ANALYSE_FPS: cameras.hall.analyse_fps: must be greater than 0; "
        'got "-1"',
    ),
    "wrong default": (
        {"MASKWATCH_DEFAULTS__ANALYSE_FPS": "-1"},
        'MASKWATCH_DEFAULTS__ANALYSE_FPS: defaults.analyse_fps: must be greater than 0; got "-1"',
    ),
    "misspelt variable": (
        {"MASKWATCH_HTTP__PROT": "1"},
        "MASKWATCH_HTTP__PROT: names no key; did you mean MASKWATCH_HTTP__PORT?",
    ),
    "misspelt section": (
        {"MASKWATCH_HTPP__PORT": "1"},
        "MASKWATCH_HTPP__PORT: names no key; did you mean MASKWATCH_HTTP__PORT?",
    ),
    "misspelt key of a camera": (
        {"MASKWATCH_CAMERAS__HALL__PASWORD": "hunter2"},
        "MASKWATCH_CAMERAS__HALL__PASWORD: names no key; did you mean "
        "MASKWATCH_CAMERAS__HALL__PASSWORD?",
    ),
    "no section": (
        {"MASKWATCH_CONFIG": "x"},
        "MASKWATCH_CONFIG: names no key; MASKWATCH_ stands before SECTION__KEY, see the reference",
    ),
    "a section whole": (
        {"MASKWATCH_HTTP": "{}"},
        "MASKWATCH_HTTP: names no key; did you mean MASKWATCH_HTTP__PORT?",
    ),
    "Kubernetes": (
        {"MASKWATCH_PORT_9464_TCP_ADDR": "10.0.0.1"},
        "MASKWATCH_PORT_9464_TCP_ADDR: names no key; Kubernetes sets it for a Service named "
        "maskwatch: set enableServiceLinks to false in the pod",
    ),
    "misspelt camera": (
        {"MASKWATCH_CAMERAS__HAL__MOTION": "true"},
        'MASKWATCH_CAMERAS__HAL__MOTION: cameras.hal.url: is missing; add url = "…"; or was camera '
        "hall meant?",
    ),
    "no JSON": (
        {"MASKWATCH_WORKER__SCHEMES": "rtsp,file"},
        "MASKWATCH_WORKER__SCHEMES: worker.schemes: must be JSON, for example "
        '["rtsp", "file"], [[0.1, 0.2], …] or {"hall": [[0.1, 0.2], …]}',
    ),
}


@pytest.mark.parametrize(
    ("env", "expected"), BAD_ENVIRONMENTS.values(), ids=BAD_ENVIRONMENTS.keys()
)
def test_a_bad_variable_is_told_by_name(tmp_path: Path, env: dict[str, str], expected: str) -> None:
    """The line of the file would mislead; the variable's name does not."""
    assert faults(written(tmp_path, HALL), env) == [expected]


def test_a_variable_does_not_hide_a_fault_of_the_file(tmp_path: Path) -> None:
    """A section that is no table in the file stays one that is none."""
    path = written(tmp_path, "http = 3\n" + HALL)
    assert faults(path, {"MASKWATCH_HTTP__PORT": "1"}) == [
        "F:1: http: must be a table: write [http] with its keys on lines below it"
    ]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """The remedy names the example."""
    path = tmp_path / "maskwatch.toml"
    assert faults(path) == [
        "F: there is no such file; correct the path, or start from deploy/maskwatch.example.toml"
    ]


def test_a_directory_is_told(tmp_path: Path) -> None:
    """A folder given for the file."""
    assert faults(tmp_path) == ["F: is a directory; name the TOML file in it"]


def test_a_file_that_is_not_text_is_told_with_its_line(tmp_path: Path) -> None:
    """The first byte that is not UTF-8 has a line."""
    path = written(tmp_path, HALL.encode() + b"# caf\xe9\n")
    assert faults(path) == ["F:3: is not UTF-8 text; save it as UTF-8"]


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    """Nothing of more than a megabyte is parsed."""
    path = written(tmp_path, "#" * (MAX_FILE_BYTES + 1))
    assert faults(path) == ["F: is larger than 1000000 bytes; is it the right file?"]


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    """The parser recurses; the error says so in words."""
    path = written(tmp_path, "a = " + "[" * 20_000)
    assert faults(path) == ["F: nests too deep; no key needs more than three levels"]


def test_an_unreadable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without the right to read it."""
    path = written(tmp_path, HALL)
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert faults(path) == ["F: cannot be read (Permission denied); correct the path or its rights"]


@pytest.mark.parametrize(
    "text",
    [
        '[cameras.hall]\nurl = "rtsp://admin:hunter2@"\n',
        '[cameras.hall]\nurl = "rtsp://admin:hun#ter2@camera/x"\n',
        '[cameras.hall]\nurl = "rtsp://admin:hunter2\u2100@camera/x"\n',
        '[cameras.hall]\nurl = "ftp://admin:hunter2@camera/x"\n',
        '[cameras.hall]\nurl = ["rtsp://admin:hunter2@camera/x"]\n',
        HALL + 'username = "admin"\npassword = ["hunter2"]\n',
        HALL + 'username = ["hunter2"]\n',
        HALL + 'username = "admin"\npassword = 24601\n',
        HALL + 'passwrod = "hunter2"\n',
        HALL + 'rtsp_transport = "rtsp://admin:hunter2@camera/x"\n',
        HALL + '[redis]\nurl = "redis://:hunter2@host:port/x"\n',
        HALL + '[http]\ntoken = { x = "hunter2" }\n',
        HALL + 'password = "hunter2\n',
    ],
)
def test_no_fault_shows_a_secret(tmp_path: Path, text: str) -> None:
    """Whatever is wrong with a secret, its value is not in the error."""
    told = " ".join(faults(written(tmp_path, text)))
    assert "hunter2" not in told
    assert "hun" not in told
    assert "24601" not in told


def test_a_whole_configuration_can_be_shown(tmp_path: Path) -> None:
    """Neither addresses nor passwords stand in what a log or a debugger prints."""
    text = HALL.replace("//", "//admin:hunter2@") + '[redis]\nurl = "redis://:hunter2@localhost"\n'
    assert "hunter2" not in repr(load(written(tmp_path, text), {}))


def loads_or_tells(path: Path, env: dict[str, str]) -> None:
    """Anything but settings or a ConfigError of printable lines is a fault of ours."""
    try:
        told = repr(load(path, env))
    except ConfigError as error:
        told = str(error)
    assert all(line.strip() for line in told.split("\n"))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
FIELDS = ["url", "password", "password_file", "analyse_fps", "region", "port", "host", "schemes"]
NAMES = st.sampled_from([*Settings.model_fields, *FIELDS, "hall", "[key]", ""]) | st.text(
    max_size=8
)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)
FUZZ = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def toml(value: object) -> str:
    """A value as inline TOML; what TOML cannot say becomes text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return quoted(str(value))


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08X}" for c in text if not 0xD800 <= ord(c) < 0xE000) + '"'


@FUZZ
@given(TREES)
@example({"cameras": {"hall": {"url": "x", "password_file": 7}}})
@example({"cameras": {"hall": {"url": "x", "password_file": "\0"}}})
@example({"cameras": {"hall": {"url": "http://[", "password_file": "x" * 5000}}})
@example({"cameras": 3, "defaults": 4})
@example({"cameras": {"[key]": 3}, "redis": {"url": "redis://["}})
def test_any_tree_gives_settings_or_an_error(tmp_path: Path, tree: dict[str, object]) -> None:
    """Random tables with our names in them."""
    text = "".join(f"{quoted(key)} = {toml(value)}\n" for key, value in tree.items())
    loads_or_tells(written(tmp_path, text), {})


@FUZZ
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
@example(b"[cameras.hall]\nurl=1\n[cameras.hall]\n")
@example(b"a = " + b"9" * 5000)
@example(b"a = 0001-99-99")
@example(b"[[a]]\n[a.b.c]\n[[a.b]]\n")
def test_any_bytes_give_settings_or_an_error(tmp_path: Path, raw: bytes) -> None:
    """Random bytes and text."""
    loads_or_tells(written(tmp_path, raw), {})


@FUZZ
@given(
    st.dictionaries(
        st.lists(NAMES, max_size=4).map(lambda parts: "MASKWATCH_" + "__".join(parts).upper()),
        st.text(max_size=30),
        max_size=4,
    )
)
@example({"MASKWATCH_CAMERAS__HALL__REGION": "[" * 50_000})
@example({"MASKWATCH_CAMERAS____URL": "x"})
@example({"MASKWATCH_": ""})
def test_any_environment_gives_settings_or_an_error(tmp_path: Path, env: dict[str, str]) -> None:
    """Random variables of our prefix."""
    loads_or_tells(written(tmp_path, HALL), env)
