"""Recipes by name, with what each begins from and learns from where nothing else is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.checkpoint import shipped_weights
from training.detector.centerface import centerface_path
from training.detector.recipe import DetectorRecipe, detector_recipe
from worker.errors import ConfigError
from worker.faces.heatmap import ACCURATE, FAST
from worker.inference.artifact import CENTER_POINT_SLIM

GENTLY: Mapping[str, object] = {
    "learning_rate": 1e-4,
    "warmup_steps": 30,
    "decay_share": 1.0,
    "averaging": 0.996,
}
"""For weights that are good already: learn without unlearning."""

SLIM: Mapping[str, object] = {"network": CENTER_POINT_SLIM, "crop_px": 256, "frozen_stages": 0}


@dataclass(frozen=True, slots=True)
class Preset:
    """A recipe and its beginnings.

    Attributes:
        about: one line for the command line.
        values: of the recipe, that are not its defaults.
        start: the shipped detector whose weights it begins with; None is CenterFace.
        teacher: the shipped detector that it learns to agree with.
    """

    about: str
    values: Mapping[str, object]
    start: str | None = None
    teacher: str | None = None

    def recipe(self, changes: Mapping[str, str]) -> DetectorRecipe:
        """The recipe with some values changed.

        Raises:
            ConfigError: a value is wrong; the sentence names it.
        """
        return detector_recipe(**{**self.values, **changes})

    @property
    def start_path(self) -> Path:
        """The file of weights that it begins with.

        Raises:
            ModelError: CenterFace's package is not installed.
        """
        return shipped_weights(self.start) if self.start else centerface_path()

    @property
    def teacher_path(self) -> Path | None:
        """The file of weights that it learns to agree with."""
        return shipped_weights(self.teacher) if self.teacher else None


PRESETS: dict[str, Preset] = {
    "tuned": Preset("From CenterFace's weights, as the accurate detector was begun.", {}),
    "venue": Preset(
        "The accurate detector on a venue's own pictures, in less than an hour.",
        {**GENTLY, "steps": 1_200},
        start=ACCURATE,
    ),
    "slim": Preset(
        "A narrow network made from the accurate detector and taught by it.",
        # At 1e-3 it undoes in fifty steps what making it narrow had kept.
        {**SLIM, **GENTLY, "steps": 3_000, "learning_rate": 2.5e-4},
        start=ACCURATE,
        teacher=ACCURATE,
    ),
    "venue-fast": Preset(
        "The fast detector on a venue's own pictures, in less than an hour.",
        {**SLIM, **GENTLY, "steps": 2_000},
        start=FAST,
        teacher=ACCURATE,
    ),
}


def detector_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(
            f"there is no preset {name!r} of a detector; take one of {', '.join(PRESETS)}"
        ) from None
