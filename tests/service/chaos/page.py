"""Writes ``docs/reference/faults.md``: every fault of the matrix, and those tested elsewhere.

``PYTHONPATH=tests python -m service.chaos.page``
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from service.chaos.elsewhere import OTHERS
from service.chaos.fault import Fault, Part
from service.chaos.faults import FAULTS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "faults.md"

HEAD = """\
# Faults

<!-- made by tests/service/chaos/page.py; edit tests/service/chaos/*_faults.py instead -->

What breaks, what each side sees of it, and what proves it. Every fault is done for real to a
running worker: servers are killed and frozen, connections cut, delayed, throttled and half closed,
disks filled. Each is tried when the worker starts, in the middle, twice in a row, for 2 s and for a
minute.

```sh
make chaos                      # the whole matrix, and 50 kills at chance: half an hour
make chaos SECONDS=40           # a part of it by chance, for so long; SEED=7 repeats one
make chaos ONLY=redis_killed    # one fault; also redis_killed:2s, 2s, or redis
make chaos SOAK=1800            # half an hour on one worker, a fault a minute
```

After each, from the streams and the metrics alone: no `seq` is missing untold; each camera's events
are in order; none was told twice under two ids; what was created equals what was published, lost,
on disk and in memory; nothing is lost, unless it says so below; every second in which a camera saw
nothing lies in a `gap`; memory, threads and descriptors are within 5 % of what they were; all is
well again within the longest back-off and 5 s. Both end with one line,
`faults N lost N duplicates N unexplained N`, and with a failure unless the last three are 0.

The worker has, unless a row says otherwise, the settings of the tests: time-outs of 2 s for cameras
and of 1 s for Redis, `covered_after_s` 2 and `frozen_after_s` 3. A fault that is shorter than such
a limit may pass unseen, and then leaves no trace.
"""

TITLES: dict[Part, str] = {
    "camera": "Cameras, and the way there",
    "redis": "Redis, and the way there",
    "disk": "The disk",
    "worker": "The worker's process",
}

COLUMNS = "| fault | the consumer sees | the operator sees | the worker | test |"


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for part, title in TITLES.items():
        yield f"## {title}\n"
        yield COLUMNS
        yield "|---|---|---|---|---|"
        yield from (_row(fault) for fault in FAULTS if fault.part == part)
        yield from (
            f"| {other.does} | {other.consumer} | {other.operator} | {other.worker} "
            f"| `{other.test}` |"
            for other in OTHERS
            if other.part == part
        )
        yield ""


def _row(fault: Fault) -> str:
    shown = [fault.operator]
    if fault.metric:
        shown.append(str(fault.metric))
    if fault.alert:
        shown.append(f"{fault.alert}, if it lasts")
    test = f"`make chaos ONLY={fault.name}`"
    return f"| {fault.does} | {fault.consumer} | {'; '.join(shown)} | {fault.worker} | {test} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
