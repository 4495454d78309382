"""`kill -9` at instants of chance, under load, while Redis is away: what was on disk comes through.

An event may lie in memory for a tenth of a second; what was made before that has to arrive, once.
So before each kill the worker is asked how much it has made, and given that tenth of a second.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator

from service.chaos.cell import SLACK_S, Prover
from service.chaos.rig import Plan, Rig, rig, total
from service.chaos.row import Row

NAME = "worker_killed_at_chance"
TIMES = 50
MEMORY_S = 0.1
"""Longest time that an event may lie in memory only."""

STARTUP_MORE_S = 3.0
"""By so much a start after a kill may be slower than another one."""

CAP_S = 15.0

LOAD = "\n".join(
    f'[cameras.load{number}]\nurl = "TAPE"\nrealtime = true\nloop = true\n' for number in range(4)
)


def kills(times: int, seed: int, server: str) -> Iterator[Row]:
    """A row for each kill, and one for the end."""
    chance = random.Random(seed)
    with rig(Plan(server=server, more=LOAD)) as running:
        running.write(running.configuration.replace("TAPE", str(running.tape)))
        prover = Prover(running)
        prover.begin()
        plain_s = _plain_start(running)
        for number in range(times):
            yield _kill(prover, chance, f"{number + 1}/{times}", plain_s)
        yield Row(NAME, "end", unexplained=prover.finish())


def _plain_start(running: Rig) -> float:
    """How long a start takes without anything left over: the shortest of three."""
    times = []
    for _ in range(3):
        running.worker.stop()
        times.append(running.worker.start())
    return min(times)


def _kill(prover: Prover, chance: random.Random, cell: str, plain_s: float) -> Row:
    """One kill: Redis goes, the worker dies, starts again, and all that was on disk arrives."""
    running, row = prover.rig, Row(NAME, cell)
    worker = running.worker
    prover.await_well(time.time(), CAP_S + SLACK_S)
    before = prover.mark()
    run_id = str(worker.state().get("run_id"))
    with contextlib.ExitStack() as outage:
        running.store.freeze()
        outage.callback(running.store.thaw)
        time.sleep(chance.uniform(0.0, 3.0))
        made = total(worker.metrics(), "maskwatch_events_created_total")
        time.sleep(MEMORY_S + chance.uniform(0.02, 0.3))
        worker.kill()
        if chance.random() < 0.5:
            outage.close()  # Redis is back before the worker is
        row.start_s = worker.start()
    back_s = time.monotonic()
    trouble = prover.await_well(time.time(), CAP_S + SLACK_S)
    row.back_s = time.monotonic() - back_s
    if trouble:
        row.unexplained.append(trouble)
    if row.start_s > plain_s + STARTUP_MORE_S:
        row.unexplained.append(f"started in {row.start_s:.1f} s, without a kill in {plain_s:.1f} s")
    prover.prove(row, None, before)
    arrived = prover.ledger.unique(run_id)
    if arrived < made:
        row.lost += int(made - arrived)
        row.unexplained.append(f"{made:.0f} were made, {arrived} arrived")
    return row
