"""The page of faults says what the matrix does, and names alerts and tests that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from service.chaos.elsewhere import OTHERS, Other
from service.chaos.fault import Fault
from service.chaos.faults import BY_NAME, FAULTS
from service.chaos.page import PAGE, page

ROOT = Path(__file__).parents[3]


def test_page_is_current() -> None:
    """The matrix says more than the page? ``PYTHONPATH=tests python -m service.chaos.page``."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_names_are_unique() -> None:
    """Each fault has a name of its own."""
    assert len(BY_NAME) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_alerts_exist(fault: Fault) -> None:
    """Each alert that a row names is one of the rules."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert fault.alert is None or fault.alert in alerts


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.does)
def test_tests_exist(other: Other) -> None:
    """Each test that a row names is one."""
    path, _, name = other.test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
