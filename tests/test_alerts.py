"""The rules of Prometheus: read, unit-tested, and each alert with a page that exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import program

ROOT = Path(__file__).parents[1]
RULES = ROOT / "deploy/prometheus"
TESTS = ROOT / "tests/prometheus/alerts.yml"
RUNBOOKS = ROOT / "docs/guide/runbooks"
PACKAGE = "the apt package prometheus"

GROUPS = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def promtool(*words: str) -> str:
    """What promtool says; it has to be content."""
    command = [program("promtool", PACKAGE), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_its_configuration() -> None:
    """With all files of rules in it."""
    said = promtool("check", "config", str(RULES / "prometheus.yml"))
    assert "2 rule files found" in said
    assert f"{len(ALERTS)} rules found" in said


def test_the_rules_do_what_they_say() -> None:
    """Each alert fires where it should, and does not where it should not."""
    promtool("test", "rules", str(TESTS))


@each_alert
def test_an_alert_is_tested_both_ways(alert: dict[str, Any]) -> None:
    """The unit tests hold a moment in which it fires, and one in which it does not."""
    moments = [
        bool(moment.get("exp_alerts"))
        for test in yaml.safe_load(TESTS.read_text())["tests"]
        for moment in test.get("alert_rule_test", ())
        if moment["alertname"] == alert["alert"]
    ]
    assert set(moments) == {True, False}


@each_alert
def test_an_alert_says_what_and_how_bad(alert: dict[str, Any]) -> None:
    """A summary that groups, a description that names, a severity, and some patience."""
    assert alert["alert"].startswith("Maskwatch")
    assert re.fullmatch(r"\d+[smh]", alert["for"])
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    annotations = alert["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "{{" not in annotations["summary"]
    assert "{{" in annotations["description"]


@each_alert
def test_an_alert_has_its_page(alert: dict[str, Any]) -> None:
    """The page exists, names the alert, and says what to look at and what to do."""
    page = ROOT / alert["annotations"]["runbook_url"]
    text = page.read_text()
    assert text.startswith(f"# {alert['alert']}\n")
    assert f"**{alert['labels']['severity']}**" in text
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["What it means", "What to look at", "What to do"]


def test_the_index_lists_every_page_and_no_other() -> None:
    """A row for each alert, and no page without an alert."""
    pages = {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}
    assert pages == {Path(alert["annotations"]["runbook_url"]).name for alert in ALERTS}
    index = (RUNBOOKS / "README.md").read_text()
    for alert in ALERTS:
        name = Path(alert["annotations"]["runbook_url"]).name
        assert f"| [{alert['alert']}]({name}) | {alert['labels']['severity']} |" in index
