"""The page on bad input names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "bad-input.md"


def rows() -> list[str]:
    """The rows of its tables, without their heads."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    return [line for line in lines if not re.match(r"\| given \||\|-", line)]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[2:40].strip())
def test_each_row_names_a_test_that_exists(row: str) -> None:
    """The last column is one test, and the file it names has it."""
    named = re.search(r"\| `(tests/[\w/]+\.py)::(test_\w+)` \|$", row)
    assert named, row
    tree = ast.parse((ROOT / named[1]).read_text(encoding="utf-8"))
    assert named[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
