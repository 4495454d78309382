"""The dashboards: current, consistent, and asking only for what there is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.metrics import Metrics

GRAFANA = Path(__file__).parents[1] / "deploy/grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
RECORDING = GRAFANA.parent / "prometheus/recording.yml"
each_dashboard = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels that show something."""
    found = json.loads(path.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def series() -> set[str]:
    """Names of all series that there are: the worker's, the rules', Prometheus' own."""
    names = {"up", "ALERTS"}
    for family in Metrics().registry.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        names |= {family.name + end for end in ends.get(family.type, ("",))}
    groups = yaml.safe_load(RECORDING.read_text())["groups"]
    return names | {rule["record"] for group in groups for rule in group["rules"]}


def asked_for(expression: str) -> Iterator[str]:
    """Names of the series in an expression: names that are neither called nor compared."""
    bare = re.sub(r'"[^"]*"|\$\w+|by \([^)]*\)|on \([^)]*\)|\[[^]]*\]', "", expression)
    bare = re.sub(r"\w+!?=~?", "", bare)
    words = {"sum", "max", "min", "count", "by", "or", "and", "on", "unless", "le"}
    for name in re.findall(r"\b[a-zA-Z_][\w:]*\b(?!\s*\()", bare):
        if name not in words and not re.fullmatch(r"\d\w*|[smhd]", name):
            yield name


def test_there_are_four() -> None:
    """Are we watching, one camera, the process, what judges."""
    assert [path.stem for path in FILES] == ["camera", "models", "overview", "worker"]


def test_the_files_are_current(tmp_path: Path) -> None:
    """The generator says more than a file? `python deploy/grafana/generator`."""
    generator = str(GRAFANA / "generator")
    subprocess.run([sys.executable, "-B", generator, str(tmp_path)], check=True)
    for path in FILES:
        assert path.read_text() == (tmp_path / path.name).read_text(), path.name
    assert len(list(tmp_path.iterdir())) == len(FILES)


@each_dashboard
def test_its_uid_is_fixed(path: Path) -> None:
    """Links survive, and a new version takes the place of the old one."""
    dashboard = json.loads(path.read_text())
    assert dashboard["uid"] == f"maskwatch-{path.stem}"
    assert "id" not in dashboard
    assert dashboard["tags"] == ["maskwatch"]


@each_dashboard
def test_it_has_the_variables_that_it_uses(path: Path) -> None:
    """The data source and the camera can be chosen everywhere; each variable is used."""
    text = path.read_text()
    dashboard = json.loads(text)
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert {"datasource", "camera"} <= set(names)
    asked = " ".join(target["expr"] for panel in panels(path) for target in panel["targets"])
    used = {name for name in re.findall(r"\$(\w+)", asked) if not name.startswith("__")}
    assert used == set(names) - {"datasource"}
    for panel in panels(path):
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@each_dashboard
def test_its_panels_do_not_overlap(path: Path) -> None:
    """On a grid of 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


@each_dashboard
def test_each_panel_explains_itself(path: Path) -> None:
    """A title of its own, a description, a unit, thresholds, and a query or more."""
    titles = [panel["title"] for panel in panels(path)]
    assert len(set(titles)) == len(titles)
    for panel in panels(path):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["thresholds"]["steps"][0]["value"] is None, panel["title"]
        assert panel["targets"], panel["title"]


@each_dashboard
def test_rates_fit_the_scrape_interval(path: Path) -> None:
    """Grafana knows how far a rate must look back; a fixed time is for what a title names."""
    for panel in panels(path):
        for target in panel["targets"]:
            for looked_back in re.findall(r"rate\([^[]*\[([^]]*)\]", target["expr"]):
                assert looked_back == "$__rate_interval", panel["title"]


@each_dashboard
def test_it_asks_only_for_what_there_is(path: Path) -> None:
    """Every series is the worker's, a rule's, or Prometheus' own."""
    known = series()
    for panel in panels(path):
        for target in panel["targets"]:
            names = set(asked_for(target["expr"]))
            assert names, panel["title"]
            assert names <= known, panel["title"]


def test_grafana_is_told_of_all_of_them() -> None:
    """Provisioning reads the folder that compose mounts, and the first page is one of them."""
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/maskwatch.yaml").read_text())
    folder = provider["providers"][0]["options"]["path"]
    service = yaml.safe_load((GRAFANA.parent / "compose.yaml").read_text())["services"]["grafana"]
    assert f"./grafana/dashboards:{folder}:ro" in service["volumes"]
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in {f"{folder}/{path.name}" for path in FILES}
