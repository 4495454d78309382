"""The imports point one way, and a worker on a CPU carries no trainer and no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOUNDATION = {"worker", "worker.records", "worker.errors", "worker.config"}
TOP = (
    "worker.pipeline",
    "worker.camera",
    "worker.device",
    "worker.fleet",
    "worker.service",
    "worker.cli",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def graph() -> dict[str, set[str]]:
    """Each module of both packages, and those that it imports, wherever in the file."""
    files = [*ROOT.glob("worker/**/*.py"), *ROOT.glob("training/**/*.py")]
    names = {module_name(path) for path in files}
    edges: dict[str, set[str]] = {}
    for path in files:
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        edges[module_name(path)] = (found & names) - {"worker", "training", module_name(path)}
    return edges


def test_no_circle() -> None:
    """No module imports itself over others."""
    try:
        list(TopologicalSorter(graph()).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_worker_knows_nothing_of_training() -> None:
    """The trainer may import the worker's stages, never the other way round."""
    for module, imports in graph().items():
        if module.startswith("worker"):
            assert not {name for name in imports if name.startswith("training")}, module


def test_training_knows_no_service() -> None:
    """The trainer stays below the pipeline."""
    for module, imports in graph().items():
        if module.startswith("training"):
            assert not imports & set(TOP), module


def test_stages_know_neither_pipeline_nor_metrics() -> None:
    """A stage is one class that could stand alone."""
    for module, imports in graph().items():
        if module.split(".")[1:2] and module.split(".")[1] in {
            "capture",
            "faces",
            "inference",
            "output",
            "evaluation",
        }:
            assert not imports & {*TOP, "worker.metrics", "worker.status"}, module


def test_threads_live_in_few_places() -> None:
    """Threads are started by the service, a camera and the HTTP server, and by no stage."""
    starters = {
        module_name(path)
        for path in ROOT.glob("worker/**/*.py")
        if "threading.Thread(" in path.read_text(encoding="utf-8")
    }
    allowed = {
        "worker.service",
        "worker.camera",
        "worker.web.server",
        "worker.demo",
        "worker.bench",
        "worker.simulate",
        "worker.probe.reading",
    }
    assert starters <= allowed | {"worker.capture.demo", "worker.capture.connection"}


def test_worker_on_a_cpu_imports_no_torch() -> None:
    """Everything that the service imports is there without the extras."""
    code = (
        "import sys, worker.cli, worker.service\n"
        "heavy = {'torch', 'torchvision', 'matplotlib', 'sklearn', 'skimage', 'scipy'}\n"
        "sys.exit(' '.join(heavy & {name.split('.')[0] for name in sys.modules}) or None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_help_is_quick_to_import() -> None:
    """The command line alone imports neither OpenCV nor onnxruntime."""
    code = (
        "import sys, worker.cli\n"
        "sys.exit(' '.join({'cv2', 'onnxruntime', 'av'} & set(sys.modules)) or None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
