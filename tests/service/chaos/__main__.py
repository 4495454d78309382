"""`make chaos`: the whole matrix of faults, or a part of it; ends with one line that counts.

The matrix is shared out among a few rigs that work at the same time, each in a process of its
own; most of a fault is waiting. With ``--seconds`` one rig takes faults by chance for so long.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from service.chaos.cell import Prover, Row
from service.chaos.fault import Cell
from service.chaos.faults import BY_NAME, FAULTS
from service.chaos.rig import Plan, rig

Task = tuple[str, Cell]

LONGEST_PART: Cell = "60s"
"""Left out where there is only so much time."""

SETUP = "rig"
"""Stands for the fault where a rig itself does not come up, or does not end in order."""


def matrix(only: Sequence[str]) -> list[Task]:
    """Every fault at every time that it can happen, or those of the names or times."""
    return [
        (fault.name, cell)
        for fault in FAULTS
        for cell in fault.cells
        if not only or {fault.name, cell, f"{fault.name}:{cell}", fault.part} & set(only)
    ]


def by_chance(only: Sequence[str], seed: int) -> Iterator[Task]:
    """Short faults, for ever, the same for the same seed."""
    chance = random.Random(seed)
    tasks = [task for task in matrix(only) if task[1] != LONGEST_PART]
    while True:
        yield from chance.sample(tasks, len(tasks))


def lane(tasks: Iterator[Task], server: str, until_s: float | None) -> Iterator[Row]:
    """One rig, and what came of each task, as it comes."""
    try:
        with rig(Plan(server=server)) as running:
            prover = Prover(running)
            prover.begin()
            for name, cell in tasks:
                if until_s is not None and time.monotonic() > until_s:
                    break
                yield prover.run(BY_NAME[name], cell)
            wrong = prover.finish()
    except RuntimeError as error:
        wrong = [str(error)]
    if wrong:
        yield Row(SETUP, "end", unexplained=wrong)


def whole(only: Sequence[str], lanes: int, server: str) -> Iterator[Row]:
    """The matrix, shared out; a process for each share."""
    tasks = matrix(only)
    lanes = min(lanes, len(tasks))
    children = []
    for number in range(lanes):
        share = [":".join(task) for task in tasks[number::lanes]]
        servers = server.split(",")
        words = ["--lane", *share, "--server", servers[number % len(servers)]]
        children.append(
            subprocess.Popen(
                [sys.executable, "-m", "service.chaos", *words],
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for us, and we pass it on once
            )
        )
    try:
        yield from _merged(children)
    finally:
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait()


def _merged(children: Sequence[subprocess.Popen[str]]) -> Iterator[Row]:
    """The rows of all, as they come."""
    import queue

    rows: queue.SimpleQueue[Row | None] = queue.SimpleQueue()

    def listen(child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            rows.put(Row(**json.loads(line)))
        if code := child.wait():
            rows.put(Row(SETUP, "end", unexplained=[f"a rig's process ended with {code}"]))
        rows.put(None)

    for child in children:
        threading.Thread(target=listen, args=(child,), daemon=True).start()
    left = len(children)
    while left:
        row = rows.get()
        if row is None:
            left -= 1
        else:
            yield row


def report(rows: Iterator[Row]) -> bool:
    """Print each row as it comes, and the line; True where nothing is wrong."""
    told: list[Row] = []
    interrupted = False
    try:
        for row in rows:
            told.append(row)
            print(row, flush=True)
    except KeyboardInterrupt:
        interrupted = True
        print("interrupted", flush=True)
    _figures(told)
    faults = sum(row.fault != SETUP for row in told)
    lost = sum(row.lost for row in told)
    duplicates = sum(len(row.duplicates) for row in told)
    unexplained = sum(len(row.unexplained) for row in told)
    print(f"faults {faults} lost {lost} duplicates {duplicates} unexplained {unexplained}")
    return not (lost or duplicates or unexplained or interrupted)


def _figures(rows: Sequence[Row]) -> None:
    """How quickly faults were told, and were over."""
    for part in ("camera", "redis", "disk", "worker"):
        of_part = [row for row in rows if row.fault in BY_NAME and BY_NAME[row.fault].part == part]
        told = sorted(row.told_s for row in of_part if row.told_s is not None)
        back = sorted(row.back_s for row in of_part if row.back_s is not None)
        for word, times in (("told", told), ("back", back)):
            if times:
                print(
                    f"{part} faults {word} within {times[len(times) // 2]:.1f} s (median), "
                    f"{times[-1]:.1f} s (longest), {len(times)} times"
                )


def _on_term(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, help="faults by chance, for so long")
    parser.add_argument("--seed", type=int, help="of chance; one that was printed repeats a run")
    parser.add_argument(
        "--only", default="", help="with commas: faults, fault:time, times (2s) or parts (redis)"
    )
    parser.add_argument("--lanes", type=int, default=4, help="rigs that work at the same time")
    parser.add_argument("--server", default="valkey,redis", help="which, in turn: valkey, redis")
    parser.add_argument("--lane", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run what is asked for; 0 where nothing is wrong."""
    signal.signal(signal.SIGTERM, _on_term)
    signal.signal(signal.SIGINT, _on_term)
    asked = arguments()
    only = [name for name in asked.only.split(",") if name]
    if asked.lane is not None:
        tasks: list[Task] = [tuple(task.split(":")) for task in asked.lane]  # type: ignore[misc]
        for row in lane(iter(tasks), asked.server, None):
            print(row.to_json(), flush=True)
        return 0
    if not matrix(only):
        print(f"no such fault; there are {', '.join(BY_NAME)}", file=sys.stderr)
        return 2
    if asked.seconds is not None:
        seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(10_000)
        print(f"seed {seed}")
        server = asked.server.split(",")[seed % len(asked.server.split(","))]
        until_s = time.monotonic() + asked.seconds
        rows = lane(by_chance(only, seed), server, until_s)
    else:
        rows = whole(only, asked.lanes, asked.server)
    return 0 if report(rows) else 1


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
