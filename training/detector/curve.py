"""The curves of a detector's run: losses over steps, and what they were worth on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WINDOW = 50
"""Steps over which a loss is averaged; single ones jump with the pictures drawn."""


def save_curves(
    path: Path, steps: Sequence[Mapping[str, str]], validation: Sequence[Mapping[str, str]]
) -> None:
    """Draw the rows of a run's two logs as one picture.

    Args:
        path: PNG.
        steps: with ``number``, ``heat`` and ``box``.
        validation: with ``number`` and a column a source.
    """
    figure = Figure(figsize=(7, 6))
    losses, worth = figure.subplots(2, 1, sharex=True)
    number = [int(row["number"]) for row in steps]
    for name in ("heat", "box"):
        values = np.array([float(row[name]) for row in steps])
        losses.plot(number, _smooth(values), label=f"{name}, mean of {WINDOW} steps")
    losses.set(ylabel="loss a face", yscale="log")
    losses.legend()
    for name in (key for key in (validation[0] if validation else {}) if key != "number"):
        worth.plot(
            [int(row["number"]) for row in validation],
            [float(row[name]) for row in validation],
            "o-",
            label=name,
        )
    worth.set(xlabel="step", ylabel="validation: AP40,\nor false detections a picture")
    if validation:
        worth.legend()
    figure.tight_layout()
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)


def _smooth(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[float]:
    return [float(values[max(0, i - WINDOW + 1) : i + 1].mean()) for i in range(len(values))]
