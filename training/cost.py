"""What a classification costs: CPU milliseconds a crop, as the worker runs it.

Measured beside the report's 3-layer network at 224 px in the same run, since only their ratio
means the same on another machine.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from training.export import to_onnx
from worker.inference.artifact import Calibration
from worker.inference.engine import cpu_session
from worker.inference.network import Probabilities, definition

BATCH = 32
YARDSTICK = "report-cnn-3"
ROUNDS = 15


def cost(model: Probabilities, size_px: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Median CPU milliseconds a crop of a model and of the yardstick, taken in turns.

    Args:
        model: in eval mode.
        size_px: side of its crops.
        rounds: of both.
    """
    made = definition(YARDSTICK)
    report = Probabilities(made.make(2), made.normalisation, Calibration()).eval()
    graphs = {"ours": (to_onnx(model, size_px), size_px)}
    graphs["report"] = (to_onnx(report, made.size_px), made.size_px)
    sessions = {name: (cpu_session(graph), _crops(side)) for name, (graph, side) in graphs.items()}
    spent: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, (session, crops) in sessions.items():
            started = time.process_time()
            session.run(None, {"pixels": crops})
            spent[name].append((time.process_time() - started) / BATCH * 1e3)
    ours, yardstick = (float(np.median(spent[name])) for name in ("ours", "report"))
    return {
        "ms_a_crop": round(ours, 4),
        "report_ms_a_crop": round(yardstick, 4),
        "ratio": round(ours / yardstick, 4),
        "batch": BATCH,
    }


def _crops(side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3)).astype(np.uint8)
