"""Figures as pictures: curves, charts, contact sheets. Drawn without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from worker.evaluation.measures import precision_recall
from worker.records import CLASSES, Box, Image

COLOURS = {"without_mask": "#d62728", "with_mask": "#2ca02c", "mask_worn_incorrectly": "#ff7f0e"}
"""Red, green and orange, as the original report draws them."""

TILE_PX = 112


def save_curve(path: Path, log: Sequence[Mapping[str, str]]) -> None:
    """Training and validation loss over the epochs of a run."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    epochs = [int(row["number"]) for row in log]
    axes.plot(epochs, [float(row["train_loss"]) for row in log], label="training, augmented")
    validation = [float(row["validation_loss"]) for row in log]
    if not np.isnan(validation).all():
        axes.plot(epochs, validation, label="validation, plain")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    axes.legend()
    _save(figure, path)


def save_shares(path: Path, counts: Mapping[str, int]) -> None:
    """The classes as a pie and as bars, as in section 2.1.1 of the report."""
    figure = Figure(figsize=(9, 4))
    pie, bars = figure.subplots(1, 2)
    names = [name for name in CLASSES if counts.get(name)]
    values = [counts[name] for name in names]
    colours = [COLOURS[name] for name in names]
    if values:
        pie.pie(values, labels=names, colors=colours, autopct="%.1f%%")
    bars.bar(names, values, color=colours)
    for place, value in enumerate(values):
        bars.text(place, value, str(value), ha="center", va="bottom")
    bars.set_ylabel("faces")
    bars.tick_params(axis="x", rotation=12)
    _save(figure, path)


def save_histogram(path: Path, values: Sequence[float], title: str, bins: Sequence[float]) -> None:
    """How often values fall into ranges."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    axes.hist(values, bins=list(bins), color="#4477aa")
    axes.set(xlabel=title, ylabel="count")
    _save(figure, path)


def save_confusion(path: Path, matrix: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """A confusion matrix; rows are what is, columns what was said."""
    figure = Figure(figsize=(5.5, 4.5))
    axes = figure.subplots()
    counts = np.asarray(matrix, np.float64)
    axes.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=15)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="said", ylabel="is")
    for row, column in np.ndindex(*counts.shape):
        axes.text(column, row, f"{int(counts[row, column])}", ha="center", va="center")
    _save(figure, path)


def save_reliability(
    path: Path, shares: NDArray[np.float64], labels: NDArray[np.int64], bins: int = 10
) -> None:
    """How often the model is right against how sure it is."""
    sure = shares.max(1)
    right = shares.argmax(1) == labels
    slot = np.minimum((sure * bins).astype(int), bins - 1)
    figure = Figure(figsize=(5, 5))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "--", color="gray")
    filled = [b for b in range(bins) if (slot == b).any()]
    axes.plot(
        [sure[slot == b].mean() for b in filled], [right[slot == b].mean() for b in filled], "o-"
    )
    for b in filled:
        place = (float(sure[slot == b].mean()), float(right[slot == b].mean()))
        axes.annotate(
            str(int((slot == b).sum())), place, xytext=(4, -10), textcoords="offset points"
        )
    axes.set(xlabel="mean probability of the class said", ylabel="share that is right")
    _save(figure, path)


def save_precision_recall(path: Path, curves: Mapping[str, tuple[Any, Any]]) -> None:
    """Precision over recall for ``with_mask``; a curve a name, from scores and truth."""
    figure = Figure(figsize=(5.5, 4.5))
    axes = figure.subplots()
    for name, (scores, truth) in curves.items():
        curve = precision_recall(scores, truth, int(np.sum(truth)))
        axes.plot(curve.recall, curve.precision, label=name)
    axes.set(xlabel="recall of with_mask", ylabel="precision", ylim=(0.5, 1.01))
    axes.legend(loc="lower left")
    _save(figure, path)


def contact_sheet(tiles: Sequence[tuple[Image, str, str]], columns: int = 12) -> Image:
    """Crops side by side, each with a line of text in its colour (a class name).

    Args:
        tiles: crop, text, class that gives the text's colour.
        columns: of the sheet.
    """
    rows = max(1, -(-len(tiles) // columns))
    height = TILE_PX + 16
    sheet = np.full((rows * height, columns * TILE_PX, 3), 255, np.uint8)
    for number, (crop, text, name) in enumerate(tiles):
        y, x = number // columns * height, number % columns * TILE_PX
        sheet[y : y + TILE_PX, x : x + TILE_PX] = cv2.resize(crop, (TILE_PX, TILE_PX))
        place = (x + 2, y + TILE_PX + 12)
        cv2.putText(
            sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, bgr_of(name), 1, cv2.LINE_AA
        )
    return sheet


def annotated(image: Image, faces: Sequence[tuple[Box, str]]) -> Image:
    """A copy of a picture with its faces framed: green with, red without, orange incorrectly."""
    drawn = image.copy()
    thick = max(1, round(max(image.shape[:2]) / 300))
    for box, name in faces:
        corners = [round(side) for side in box]
        cv2.rectangle(drawn, corners[:2], corners[2:], bgr_of(name), thick)
    return drawn


def bgr_of(name: str) -> tuple[int, int, int]:
    """The colour of a class for OpenCV."""
    red, green, blue = (int(COLOURS[name][i : i + 2], 16) for i in (1, 3, 5))
    return blue, green, red


def save_picture(path: Path, image: Image) -> None:
    """Write a picture as PNG.

    Raises:
        OSError: the disk does not take it.
    """
    done, content = cv2.imencode(".png", image)
    if done:
        path.write_bytes(content.tobytes())


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)
