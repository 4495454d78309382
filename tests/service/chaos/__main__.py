"""`make chaos`: the whole matrix of faults, or a part of it; ends with one line that counts.

The matrix is shared out among a few rigs that work at the same time, each in a process of its
own; most of a fault is waiting. With ``--seconds`` one rig takes faults by chance for so long.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import operator
import queue
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from service.chaos.cell import Prover
from service.chaos.disk import may_mount
from service.chaos.fault import Cell, Fault
from service.chaos.faults import BY_NAME, FAULTS
from service.chaos.kills import TIMES, kills
from service.chaos.rig import Plan, rig
from service.chaos.row import Row
from service.rtsp_server import missing

Task = tuple[str, Cell]

LONGEST_PART: Cell = "60s"
"""Left out where there is only so much time."""

PROGRAM = (sys.executable, "-m", "service.chaos")

SETUP = "rig"
"""Stands for the fault where a rig itself does not come up, or does not end in order."""


def matrix(only: Sequence[str]) -> list[Task]:
    """Every fault at every time that it can happen, or those of the names or times."""
    return [
        (fault.name, cell)
        for fault in FAULTS
        for cell in fault.cells
        if (not only or _names(fault, cell) & set(only)) and (fault.part != "disk" or may_mount())
    ]


def _names(fault: Fault, cell: Cell) -> set[str]:
    """What it may be asked for by."""
    return {fault.name, fault.part, cell, f"{fault.name}:{cell}", f"{fault.part}:{cell}"}


def by_chance(only: Sequence[str], seed: int, *, one_life: bool = False) -> Iterator[Task]:
    """Short faults, for ever, the same for the same seed; ``one_life``: none ends the worker."""
    chance = random.Random(seed)
    tasks = [
        (name, cell)
        for name, cell in matrix(only)
        if cell != LONGEST_PART and not (one_life and (BY_NAME[name].new_life or cell == "start"))
    ]
    while True:
        yield from chance.sample(tasks, len(tasks))


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a rig goes on, how often a fault begins at most, and where logs of bad ones go."""

    until_s: float = math.inf
    every_s: float = 0.0
    keep: Path | None = None


def lane(tasks: Iterator[Task], server: str, pace: Pace) -> Iterator[Row]:
    """One rig, and what came of each task, as it comes."""
    try:
        with rig(Plan(server=server)) as running:
            prover = Prover(running)
            prover.begin()
            for name, cell in tasks:
                if time.monotonic() > pace.until_s:
                    break
                next_s = min(time.monotonic() + pace.every_s, pace.until_s)
                row = prover.run(BY_NAME[name], cell)
                yield row
                if pace.keep and not row.fine:
                    shutil.copy(running.worker.log, pace.keep / f"{name}-{cell}.log")
                time.sleep(max(0.0, next_s - time.monotonic()))
            wrong = prover.finish()
    except RuntimeError as error:
        wrong = [str(error)]
    if wrong:
        yield Row(SETUP, "end", unexplained=wrong)


def whole(only: Sequence[str], asked: argparse.Namespace) -> Iterator[Row]:
    """The matrix, shared out, and beside it the kills; a process for each share."""
    # dealt out time by time, or one rig would get all that take a minute
    tasks = sorted(matrix(only), key=operator.itemgetter(1))
    servers = itertools.cycle(asked.server.split(","))
    lanes = min(asked.lanes, len(tasks))
    kept = ["--keep", str(asked.keep)] if asked.keep else []
    shares = [["--lane", *map(":".join, tasks[number::lanes])] for number in range(lanes)]
    if not only:
        shares.append(["--kills", str(TIMES)])
    children = [
        subprocess.Popen(
            [*PROGRAM, *share, *kept, "--server", next(servers), "--json"],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, and we pass it on
        )
        for share in shares
    ]
    try:
        yield from _merged(children)
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
        for child in children:
            child.wait()


def _merged(children: Sequence[subprocess.Popen[str]]) -> Iterator[Row]:
    """The rows of all, as they come."""
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
        _times(f"{part} faults told within", [row.told_s for row in of_part])
        _times(f"{part} faults over within", [row.back_s for row in of_part])
    _times("started after a kill within", [row.start_s for row in rows])
    for usage in [row.usage for row in rows if row.usage][-1:]:
        print(f"the worker held, when it was steady and at the end: {usage}")


def _times(text: str, times: Sequence[float | None]) -> None:
    known = sorted(seconds for seconds in times if seconds is not None)
    if known:
        middle = known[len(known) // 2]
        print(f"{text} {middle:.1f} s (median), {known[-1]:.1f} s (longest), {len(known)} times")


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # once is enough; now all is cleared away
    raise KeyboardInterrupt


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, help="faults by chance, for so long")
    parser.add_argument("--seed", type=int, help="of chance; one that was printed repeats a run")
    parser.add_argument("--every", type=float, default=0.0, help="a fault every so many seconds")
    parser.add_argument(
        "--only", default="", help="with commas: faults, fault:time, times (2s), parts (redis)"
    )
    parser.add_argument("--lanes", type=int, default=4, help="rigs that work at the same time")
    parser.add_argument("--kills", type=int, help="this many kills at chance alone")
    parser.add_argument("--server", default="valkey,redis", help="which, in turn: valkey, redis")
    parser.add_argument("--keep", type=Path, help="a folder for the worker's log of what is bad")
    parser.add_argument("--lane", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def rows_of(asked: argparse.Namespace) -> Iterator[Row]:
    """What is asked for."""
    only = [name for name in asked.only.split(",") if name]
    seed = random.SystemRandom().randrange(10_000) if asked.seed is None else asked.seed
    one_server = asked.server.split(",")[seed % len(asked.server.split(","))]
    if asked.lane is not None:
        tasks: list[Task] = [tuple(task.split(":")) for task in asked.lane]
        return lane(iter(tasks), asked.server, Pace(keep=asked.keep))
    if asked.kills is not None:
        return kills(asked.kills, seed, one_server)
    if asked.seconds is None:
        return whole(only, asked)
    print(f"seed {seed}")
    pace = Pace(time.monotonic() + asked.seconds, asked.every, asked.keep)
    return lane(by_chance(only, seed, one_life=asked.every > 0), one_server, pace)


def main() -> int:
    """Run what is asked for; 0 where nothing is wrong, 2 where nothing can be run."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)
    asked = arguments()
    if remedy := missing():
        print(f"no RTSP server: {remedy}", file=sys.stderr)
        return 2
    if "redis" in asked.server and shutil.which("redis-server") is None:
        print("redis-server is missing: apt install redis-server", file=sys.stderr)
        return 2
    if not may_mount():
        print("without the disk's faults: they need the right to mount a file system, as root has")
    if not matrix(asked.only.split(",") if asked.only else ()):
        print(f"no such fault; there are {', '.join(BY_NAME)}", file=sys.stderr)
        return 2
    rows = rows_of(asked)
    if asked.json:
        with contextlib.suppress(KeyboardInterrupt):
            for row in rows:
                print(row.to_json(), flush=True)
        return 0
    return 0 if report(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
