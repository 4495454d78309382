"""What fitting a detector does, as a record that is written beside what it made."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.errors import ConfigError
from worker.evaluation.voc import AnnotationName

Share = Annotated[float, Field(ge=0, lt=1)]


class DetectorRecipe(BaseModel):
    """Everything that decides which weights come out, but for the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["center-point", "center-point-slim"] = Field(
        "center-point", description="How wide; a narrow one is begun from weights of the wide one."
    )
    steps: int = Field(4_000, ge=0, description="0 only averages the weights begun with.")
    batch: int = Field(16, ge=1, description="Crops a step.")
    crop_px: int = Field(320, ge=64, multiple_of=32, description="Side of a crop.")
    learning_rate: float = Field(4e-4, gt=0, description="Of Adam, after the warm-up.")
    warmup_steps: int = Field(100, ge=0)
    decay_share: float = Field(0.35, gt=0, le=1, description="Last steps, over which it falls.")
    frozen_stages: int = Field(
        1, ge=0, le=6, description="Stages that keep their weights: a third of a step's cost."
    )
    teacher_weight: float = Field(
        1.0, ge=0, description="Of agreeing with the teacher, beside being right; if one is given."
    )
    averaging: Share = Field(0.998, description="What averaged weights keep of themselves a step.")
    seed: int = Field(0, ge=0)

    def rate(self, step: int) -> float:
        """Learning rate of a step: up, level, and down to nothing along a half cosine."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        left = (self.steps - step) / (self.decay_share * self.steps)
        fall = 1.0 if left >= 1 else 0.5 - 0.5 * math.cos(math.pi * left)
        return self.learning_rate * warm * fall


class DetectorRun(BaseModel):
    """The content of a run's ``recipe.json``.

    Attributes:
        start: the files of weights whose mean was begun with, and each one's part in it.
        teacher: the file of weights that it learned to agree with.
        data: folders and their weights.
        names: what further names of boxes mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: DetectorRecipe
    start: dict[str, float]
    teacher: str | None = None
    data: dict[str, float]
    names: dict[str, AnnotationName] = {}

    def goes_on_with(self, other: DetectorRun) -> bool:
        """Whether the other is the same run; it may be longer or shorter."""
        steps = {"steps": self.recipe.steps}
        return other.model_copy(update={"recipe": other.recipe.model_copy(update=steps)}) == self


def detector_recipe(**values: object) -> DetectorRecipe:
    """A checked recipe.

    Raises:
        ConfigError: a value is wrong; the sentence names it.
    """
    try:
        return DetectorRecipe.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        raise ConfigError(f"{key}: {first['msg']}; correct the option") from None
