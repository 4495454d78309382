"""A few faults to a real worker; all of them: ``make chaos``."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from service.chaos.cell import Prover
from service.chaos.fault import Cell
from service.chaos.faults import BY_NAME
from service.chaos.rig import Plan, rig
from service.redis_server import binary_of
from service.rtsp_server import require_rtsp_server

pytestmark = pytest.mark.timeout(180)

SHORT: tuple[tuple[str, Cell], ...] = (
    ("redis_killed", "2s"),
    ("redis_deaf", "2s"),
    ("camera_cut", "2s"),
    ("worker_killed_without_redis", "2s"),
)


@pytest.fixture(scope="module")
def prover() -> Iterator[Prover]:
    """One rig for all."""
    require_rtsp_server()
    server = "redis" if os.environ.get("CI") == "true" else "valkey"
    binary_of(server)
    with rig(Plan(server=server)) as running:
        made = Prover(running)
        made.begin()
        yield made


@pytest.mark.parametrize(("name", "cell"), SHORT)
def test_a_fault_leaves_nothing_unexplained(prover: Prover, name: str, cell: Cell) -> None:
    """It is told, it passes, and nothing is lost, doubled, disordered or unaccounted for."""
    row = prover.run(BY_NAME[name], cell, rested=False)
    assert (row.lost, row.duplicates, row.unexplained) == (0, [], [])


def test_an_ordered_end_leaves_nothing_open(prover: Prover) -> None:
    """After all of them: everything that began has ended, no secret and no traceback is logged."""
    assert prover.finish() == []
