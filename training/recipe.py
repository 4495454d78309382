"""What a training run does, as a record that is written beside what it made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.augment import Augmentation
from worker.errors import ConfigError
from worker.inference.align import CropRule
from worker.inference.network import NETWORKS, definition
from worker.records import CLASSES, ClassName

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Recipe(BaseModel):
    """Everything that decides which weights come out, but for the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    classes: Literal[2, 3] = 3
    margin: float = Field(0.2, ge=0, le=1, description="Around the box, of its longer side.")
    square: bool = True
    seed: int = Field(0, ge=0)
    split: Literal["picture", "face"] = "picture"
    fold: int | None = Field(None, ge=0, description="Held out of a five-fold instead of a split.")

    epochs: Count = 40
    batch_size: int = Field(128, ge=0, description="0 takes the whole set in one step.")
    faces_per_epoch: int | None = Field(None, ge=1, description="Default: as many as there are.")
    class_shares: tuple[NotNegative, ...] | None = Field(
        None, description="Share of each class among the faces that are drawn; default: as is."
    )
    source_weights: dict[str, NotNegative] = Field(
        default_factory=dict, description="How often a source is drawn, against others of a class."
    )
    augmentation: Augmentation | None = None
    excluded: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Stems of pictures left out, by source."
    )
    below_nose: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Stems of pictures, by source, labelled as masked whose mask shows the nose.",
    )

    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = Field(3e-3, gt=0, le=100)
    body_rate: float = Field(
        1.0, gt=0, le=1, description="What the body's learning rate is of the head's."
    )
    weight_decay: float = Field(0.02, ge=0)
    warmup_epochs: int = Field(2, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    class_weights: tuple[NotNegative, ...] | None = Field(None, description="In the loss.")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    ema: float = Field(0.0, ge=0, lt=1, description="Decay a step of the averaged weights.")
    patience: Count | None = Field(None, description="Epochs without a better validation loss.")

    calibrate: bool = Field(True, description="Fit calibration and threshold to validation faces.")
    keep: Literal["best", "last"] = Field("best", description="Epoch whose weights come out.")

    start_from: Path | None = Field(
        None, description="A local safetensors file of weights, or the name of a shipped model."
    )
    freeze_body: bool = Field(False, description="Train the head alone.")
    teachers: tuple[Path, ...] = Field((), description="Run folders whose opinion is learned.")
    distil: float = Field(0.7, ge=0, le=1, description="Weight of the teachers' opinion.")
    looks: Count = Field(
        15, description="Epochs of new crops that teachers look at, before they come again."
    )

    @property
    def rule(self) -> CropRule:
        """How crops are cut, in training as in the worker."""
        return CropRule(definition(self.network).size_px, self.margin, self.square)

    @property
    def class_names(self) -> tuple[ClassName, ...]:
        """The classes that are trained."""
        return CLASSES[: self.classes]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.network not in NETWORKS:
            raise ValueError(f"there is no network {self.network!r}; take {', '.join(NETWORKS)}")
        if self.batch_size == 1:
            raise ValueError("batch_size must be 0 or at least 2: norms go by a batch's spread")
        if self.optimizer == "adam" and self.body_rate != 1:
            raise ValueError("body_rate is for adamw; leave it at 1 with adam")
        for name in ("class_weights", "class_shares"):
            values = getattr(self, name)
            if values is not None and len(values) != self.classes:
                raise ValueError(f"{name} has {len(values)} values for {self.classes} classes")
        return self


def recipe(values: dict[str, object]) -> Recipe:
    """A checked recipe.

    Raises:
        ConfigError: a value is wrong; the sentence names it.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        raise ConfigError(f"{key}: {first['msg']}; correct the option") from None


def _report(network: str, **changes: object) -> Recipe:
    """Sections 3.2.4 and 3.2.5 of the report: Adam at 0.07, thirty steps of the whole set."""
    values: dict[str, object] = {
        "network": network,
        "classes": 2,
        "margin": 0.0,
        "square": False,
        "epochs": 30,
        "batch_size": 0,
        "optimizer": "adam",
        "learning_rate": 0.07,
        "weight_decay": 0.0,
        "warmup_epochs": 0,
        "schedule": "constant",
        "calibrate": False,
        "keep": "last",
    }
    return Recipe.model_validate({**values, **changes})


MASKED_AT_WORK = (
    *("000048", "000056", "000148", "000216", "000266", "000312", "000331", "000471", "000577"),
    *("000673", "000708", "000764", "000795", "000849", "000863", "000915", "001104", "001272"),
    *("001378", "001458", "001858", "002309", "002360", "002361"),
    *("000043", "000084", "000645", "000735", "001242", "001349", "001827", "000494"),
)
"""Pictures of people-at-work, looked at one by one, that show masks or scarves; the second
half shows no face where the detectors saw one. The set is taken as bare otherwise."""

NOSE_SHOWS = (
    *("0083", "0121", "0155", "0170", "0190", "0200", "0234", "0236", "0256", "0262", "0281"),
    *("0284", "0310", "0363", "0364", "0382", "0428", "0437", "0446", "0460", "0515", "0520"),
    "0538",
)
"""Pictures of faces-close-up/with_mask, looked at one by one, whose mask hangs below the nose:
what the first set calls incorrectly worn. None is of the test part."""

MASK_OUTSIDE = ("0101", "0156")
"""Pictures of faces-close-up, looked at one by one, whose found box does not hold the mask."""

SCRATCH = Recipe(
    network="residual-16",
    epochs=60,
    faces_per_epoch=5_000,
    class_shares=(0.46, 0.46, 0.08),
    source_weights={"people-at-work": 0.5},
    augmentation=Augmentation(shift_px=0.7, printed=0.12),
    excluded={"people-at-work": MASKED_AT_WORK, "faces-close-up": MASK_OUTSIDE},
    below_nose={"faces-close-up": NOSE_SHOWS},
    label_smoothing=0.03,
    ema=0.995,
)
"""From random weights."""

SHIPPED = SCRATCH.model_copy(
    update={
        "network": "face-64",
        "start_from": Path("face-detector-fast"),
        "epochs": 60,
        "learning_rate": 2e-3,
        "body_rate": 0.25,
        "warmup_epochs": 1,
        "schedule": "constant",
        "ema": 0.999,
    }
)
"""From the layers of the fast face detector, all of which are tuned, at one rate to the end: what
comes out is the average of the weights over some twenty-five epochs."""

QUICK = SHIPPED.model_copy(
    update={
        "network": "face-56",
        "start_from": Path("face-detector"),
        "freeze_body": True,
        "body_rate": 1.0,
        "epochs": 8,
        "schedule": "cosine",
        "ema": 0.995,
    }
)
"""A head on what the face detector sees: worth nearly as much, in minutes."""

PRESETS: dict[str, Recipe] = {
    "shipped": SHIPPED,
    "quick": QUICK,
    "scratch": SCRATCH,
    "report-2-50-50": _report("report-cnn-2", class_weights=(50.0, 50.0)),
    "report-3-50-50": _report("report-cnn-3", class_weights=(50.0, 50.0)),
    "report-3-70-30": _report("report-cnn-3", class_weights=(70.0, 30.0)),
    "report-2-60-40": _report("report-cnn-2", class_weights=(60.0, 40.0)),
    "report-3-60-40": _report("report-cnn-3", class_weights=(60.0, 40.0)),
    "report-transfer": _report("mobilenet-v3-small", freeze_body=True),
}
"""Recipes by name. Those that begin with ``report-`` are the rows of the report's table."""


def preset(name: str) -> Recipe:
    """The preset of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(
            f"there is no preset {name!r}; take one of {', '.join(PRESETS)}"
        ) from None
