"""Writes the dashboards into deploy/grafana/dashboards: `python deploy/grafana/generator`.

A test holds the files against what this would write.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dashboard_camera import camera
from dashboard_models import models
from dashboard_overview import overview
from dashboard_worker import worker

DASHBOARDS = {"overview": overview, "camera": camera, "worker": worker, "models": models}
FOLDER = Path(__file__).parents[1] / "dashboards"


def write(folder: Path) -> None:
    """All dashboards, each as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in DASHBOARDS.items():
        text = json.dumps(make(), indent=2) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
