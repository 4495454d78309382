"""Asks a real Prometheus, which scrapes a real worker, every query of every panel: `make panels`.

The worker has two synthetic cameras and one that nobody answers for, zones, and an embedded
Redis. The list that is printed ends with one line, ``panels N queries N empty N``.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from service.worker_process import free_port, wait_for, worker

from worker.output.embedded import embedded_redis

ROOT = Path(__file__).parents[1]
DASHBOARDS = ROOT / "deploy/grafana/dashboards"
PROMETHEUS = ROOT / "deploy/prometheus"

INTERVAL_S = 2
"""Between two scrapes; Grafana makes ``$__rate_interval`` of it, at least four of them."""

PATIENCE_S = 50.0
VARIABLES = {"$__rate_interval": f"{4 * INTERVAL_S}s", "$__range": "1h"}

WORKER = """
[worker]
worker_id = "panels"
schemes = ["demo", "rtsp"]

[cameras.entrance]
url = "demo:entrance"

[cameras.hall]
url = "demo:hall"

[cameras.yard]
url = "rtsp://127.0.0.1:{nobody}/stream"

[zones.till]
cameras.entrance = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
min_dwell_s = 0

[compliance]
period_s = 2
min_persons = 1

[redis]
url = "{redis}"
"""


@dataclass(frozen=True, slots=True)
class Question:
    """One query of one panel, or of one variable."""

    dashboard: str
    panel: str
    expr: str
    over_time: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """How many series came, and how many of them held a number."""

    question: Question
    series: int
    with_numbers: int
    fault: str = ""


def dashboards() -> list[dict[str, Any]]:
    """All of them."""
    return [json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def questions() -> Iterator[Question]:
    """All that is asked, with every variable at its widest."""
    for dashboard in dashboards():
        title = dashboard["title"]
        filled = dict(VARIABLES)
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                filled[f"${variable['name']}"] = variable["allValue"]
                call = variable["query"]["query"]
                metric, label = call.removeprefix("label_values(").removesuffix(")").split(", ")
                expr = f"count by ({label}) ({metric})"
                yield Question(title, f"variable {variable['name']}", expr, over_time=False)
        for panel in panels(dashboard):
            for target in panel["targets"]:
                expr = target["expr"]
                for name, value in filled.items():
                    expr = expr.replace(name, value)
                name = f"{panel['title']} {target['refId']}"
                yield Question(title, name, expr, over_time=target["range"])


def ask(address: str, question: Question) -> Answer:
    """Ask as Grafana would: now, or over the last half minute."""
    now = time.time()
    if question.over_time:
        path = "query_range"
        asked = {"start": str(now - 30), "end": str(now), "step": str(INTERVAL_S)}
    else:
        path, asked = "query", {"time": str(now)}
    query = urllib.parse.urlencode({"query": question.expr, **asked})
    try:
        with urllib.request.urlopen(f"{address}/api/v1/{path}?{query}", timeout=10) as answer:
            result = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        return Answer(question, 0, 0, json.load(error)["error"])
    numbers = [
        any(math.isfinite(float(value)) for _, value in (series.get("values") or [series["value"]]))
        for series in result
    ]
    return Answer(question, len(result), sum(numbers))


@contextmanager
def prometheus(server: str, target: str, folder: Path) -> Iterator[str]:
    """The address of a Prometheus with our rules that scrapes the target."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = dict.fromkeys(
        ("scrape_interval", "scrape_timeout", "evaluation_interval"), f"{INTERVAL_S}s"
    )
    config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    options = [f"--web.listen-address=127.0.0.1:{port}", "--config.file=prometheus.yml"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [server, *options, "--storage.tsdb.path=data"], cwd=folder, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def ready(address: str) -> bool:
    """True once Prometheus answers."""
    try:
        with urllib.request.urlopen(f"{address}/-/ready", timeout=1):
            return True
    except OSError:
        return False


def answers(server: str) -> list[Answer]:
    """Start all of it and ask until every query has an answer, or for as long as is sensible."""
    asked = list(questions())
    with tempfile.TemporaryDirectory() as name, embedded_redis() as redis:
        folder = Path(name)
        config = WORKER.format(nobody=free_port(), redis=redis.url)
        with worker(config, folder) as running:
            target = f"127.0.0.1:{running.port}"
            with prometheus(server, target, folder) as address:
                running.started()
                wait_for(lambda: ready(address))
                ends_s = time.monotonic() + PATIENCE_S
                told: dict[Question, Answer] = {}
                while True:
                    for question in asked:
                        if question not in told or not told[question].with_numbers:
                            told[question] = ask(address, question)
                    done = all(answer.with_numbers for answer in told.values())
                    if done or time.monotonic() > ends_s:
                        return [told[question] for question in asked]
                    time.sleep(INTERVAL_S)


def report(told: Sequence[Answer]) -> str:
    """A line for each query, and the sum."""
    rows = [
        f"{answer.question.dashboard:20} {answer.question.panel:50} "
        f"{answer.with_numbers:4} of {answer.series} series"
        + ("" if answer.with_numbers else f"   EMPTY {answer.question.expr} {answer.fault}")
        for answer in told
    ]
    count = sum(len(panels(dashboard)) for dashboard in dashboards())
    empty = sum(not answer.with_numbers for answer in told)
    return "\n".join([*rows, f"panels {count} queries {len(told)} empty {empty}"])


if __name__ == "__main__":
    import shutil

    found = shutil.which("prometheus")
    if found is None:
        sys.exit("prometheus is missing; install the apt package prometheus")
    outcome = answers(found)
    print(report(outcome))
    sys.exit(any(not answer.with_numbers for answer in outcome))
