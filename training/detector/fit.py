"""Fit the detector: crops in, weights out, resumable to the same result at any step.

A step draws its crops from a generator that is seeded by the recipe and the number of the
step, so a run that was killed and resumed sees what an undisturbed one would have seen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from training.checkpoint import (
    Progress,
    gathered,
    group_of,
    load_checkpoint,
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from training.detector.centerface import load_centerface
from training.detector.crops import Shot, draw_shot
from training.detector.data import Pictures, Source
from training.detector.distil import Teacher, disagreement, see
from training.detector.loss import losses, make_targets
from training.detector.narrow import narrowed
from training.detector.recipe import DetectorRecipe
from training.runs import RunFolder
from worker.errors import BadDataError, ConfigError, WorkError
from worker.inference.artifact import CENTER_POINT
from worker.inference.center_point import SHAPES, CenterPoint, Features, Maps
from worker.records import Image

log = logging.getLogger(__name__)

MAX_GRADIENT = 10.0
NARROW_CROPS = 96
"""Crops that a narrow network is fitted on before its first step."""

SAVE_EVERY_S = 180.0


@dataclass(frozen=True, slots=True)
class Step:
    """What a step found: mean losses over the faces of its batch, and the rate it learned at.

    Attributes:
        teacher: how far the network is from its teacher; 0 without one.
    """

    number: int
    heat: float
    box: float
    teacher: float
    rate: float


class Fit:
    """One run of fitting, begun or gone on with.

    Attributes:
        averaged: the weights averaged over the last steps, which are measured and exported.
        step: steps that are done.
    """

    def __init__(
        self,
        folder: RunFolder,
        recipe: DetectorRecipe,
        sources: Sequence[Source],
        start: Mapping[Path, float],
        teacher: Path | None = None,
    ) -> None:
        """Begin, or go on where the folder's checkpoint stands.

        Args:
            folder: of the run.
            recipe: how.
            sources: what to learn from.
            start: files of weights and the part of each; it begins with their mean, made narrow
                where the recipe's network is narrower.
            teacher: weights of a network to agree with besides.

        Raises:
            ConfigError: the weights or the checkpoint do not fit.
        """
        self.folder, self.recipe, self.sources = folder, recipe, sources
        weights = np.array([source.weight for source in sources])
        self._shares = weights / weights.sum()
        self._pictures = Pictures()
        self._teacher = (
            Teacher(read_network(teacher), recipe.batch, recipe.crop_px) if teacher else None
        )
        self.network = self._begun(start)
        self.network.to(memory_format=torch.channels_last)
        self.network.freeze(recipe.frozen_stages)
        self.averaged = CenterPoint(recipe.network)
        self.averaged.load_state_dict(self.network.state_dict())
        self._learned = [p for p in self.network.parameters() if p.requires_grad]
        self._adam = torch.optim.Adam(self._learned, recipe.learning_rate)
        self.step = 0
        if folder.checkpoint.exists():
            self._resume()

    def run(
        self, after_step: Callable[[Step], None], *, save_every_s: float = SAVE_EVERY_S
    ) -> None:
        """Fit until the recipe's last step; saved by time, and at the end.

        Args:
            after_step: called after each step.
            save_every_s: between checkpoints.

        Raises:
            WorkError: the loss is not a number, or the disk is full; the last checkpoint stays.
        """
        saved_at = time.monotonic()
        while self.step < self.recipe.steps:
            after_step(self._learn())
            if time.monotonic() - saved_at > save_every_s:
                self.save()
                saved_at = time.monotonic()
        self.save()

    def save(self) -> None:
        """Write the checkpoint, and the averaged weights as the result so far.

        Raises:
            WorkError: the disk does not take it.
        """
        state = gathered(
            network=self.network.state_dict(),
            averaged=self.averaged.state_dict(),
            adam=optimizer_tensors(self._adam),
        )
        save_checkpoint(
            self.folder.checkpoint, self.recipe.network, state, Progress(epoch=self.step)
        )
        self.folder.write_weights(self.averaged.state_dict())

    def shots(self, step: int) -> list[Shot]:
        """The crops of a step; the same for the same recipe, sources and step."""
        rng = np.random.default_rng([self.recipe.seed, step])
        shots: list[Shot] = []
        tries = 0
        while len(shots) < self.recipe.batch:
            samples = self.sources[int(rng.choice(len(self.sources), p=self._shares))].samples
            sample = samples[int(rng.integers(len(samples)))]
            try:
                picture = self._pictures.read(sample.path)
            except BadDataError as error:
                tries += 1
                if tries > 10 * self.recipe.batch:
                    raise WorkError(f"hardly a picture can be read, the last: {error}") from error
                log.warning("%s; another picture is taken", error)
                continue
            shots.append(draw_shot(sample, picture, self.recipe.crop_px, rng))
        return shots

    def _learn(self) -> Step:
        shots = self.shots(self.step)
        rate = self.recipe.rate(self.step)
        for group in self._adam.param_groups:
            group["lr"] = rate
        pixels = as_batch([shot.image for shot in shots])
        ours = see(self.network, pixels)
        loss = losses(ours[1], make_targets(shots))
        apart = self._apart(ours, pixels)
        total = loss.total + self.recipe.teacher_weight * apart
        if not torch.isfinite(total):
            raise WorkError(
                f"the loss is not a number at step {self.step}; the last checkpoint in "
                f"{self.folder.path} is good: begin from its weights with a lower learning rate"
            )
        self._adam.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._learned, MAX_GRADIENT)
        self._adam.step()
        self.step += 1
        self._average()
        return Step(self.step, loss.heat.item(), loss.box.item(), apart.item(), rate)

    def _apart(self, ours: tuple[Features, Maps], pixels: Tensor) -> Tensor:
        """How far the network is from its teacher; 0 without one."""
        if self._teacher is None:
            return torch.zeros(())
        return disagreement(ours, self._teacher.see(pixels))

    def _begun(self, start: Mapping[Path, float]) -> CenterPoint:
        """The mean of what it starts with, made narrow where the recipe wants that."""
        network = mean_network(start)
        if network.name == self.recipe.network:
            return network
        if network.name != CENTER_POINT:
            raise ConfigError(
                f"network={self.recipe.network} cannot be made from weights of {network.name}; "
                f"start with weights of {CENTER_POINT}, or set network={network.name}"
            )
        if self.recipe.frozen_stages:
            raise ConfigError(
                f"frozen_stages={self.recipe.frozen_stages}: every stage of a network that was "
                "just made narrow has something to learn; set frozen_stages=0"
            )
        # A checkpoint holds the weights; only its shape counts then.
        if self.folder.checkpoint.exists():
            return CenterPoint(self.recipe.network)
        batches = -(-NARROW_CROPS // self.recipe.batch)
        shots = [shot for step in range(batches) for shot in self.shots(step)]
        return narrowed(network, self.recipe.network, as_batch([shot.image for shot in shots]))

    def _average(self) -> None:
        # Young averages forget faster, or the start would weigh for a thousand steps.
        keep = min(self.recipe.averaging, self.step / (9 + self.step))
        with torch.no_grad():
            for mean, now in zip(
                self.averaged.parameters(), self.network.parameters(), strict=True
            ):
                if now.requires_grad:
                    mean.lerp_(now, 1 - keep)

    def _resume(self) -> None:
        tensors, progress = load_checkpoint(self.folder.checkpoint, self.recipe.network)
        load_weights(self.network, group_of(tensors, "network"), self.folder.checkpoint)
        load_weights(self.averaged, group_of(tensors, "averaged"), self.folder.checkpoint)
        restore_optimizer(self._adam, group_of(tensors, "adam"))
        self.step = progress.epoch


def as_batch(images: Sequence[Image]) -> Tensor:
    """BGR pictures of one size as the network's input, ``float32 (N, 3, H, W) RGB``."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(images)[..., ::-1]))
    # (N, H, W, 3) seen as (N, 3, H, W) is channels-last already, the faster layout.
    return stacked.permute(0, 3, 1, 2).float()


def mean_network(start: Mapping[Path, float]) -> CenterPoint:
    """The network with the weighted mean of several files' weights.

    Between pretrained weights and what tuning made of them lies a network that is better at
    the new and keeps the old (Wortsman et al. 2021, arXiv:2109.01903).

    Raises:
        ConfigError: a file does not hold this network's weights.
    """
    networks = [read_network(path) for path in start]
    if len({network.name for network in networks}) > 1:
        raise ConfigError(
            f"--start names weights of {' and '.join(sorted({n.name for n in networks}))}; only "
            "weights of one network have a mean"
        )
    parts = torch.tensor(list(start.values())) / sum(start.values())
    mean = CenterPoint(networks[0].name)
    with torch.no_grad():
        for target, *weights in zip(
            mean.parameters(), *(network.parameters() for network in networks), strict=True
        ):
            target.copy_(torch.tensordot(parts, torch.stack(weights), dims=1))
    return mean


def read_network(path: Path) -> CenterPoint:
    """The network with the weights of a safetensors file, or of CenterFace's ONNX file.

    Raises:
        ConfigError: the file does not hold this network's weights.
    """
    if path.suffix == ".onnx":
        network = CenterPoint()
        load_centerface(network, path)
        return network
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"{path} holds no weights that can be read ({error}); name a safetensors file that "
            "fit-detector wrote, or CenterFace's ONNX file"
        ) from error
    network = CenterPoint(_name_of(weights))
    load_weights(network, weights, path)
    return network


def _name_of(weights: Mapping[str, Tensor]) -> str:
    """The network whose first convolution is as wide; the wide one, if none is."""
    first = weights.get("stem.0.weight")
    width = len(first) if first is not None else 0
    return next((name for name, shape in SHAPES.items() if shape.stem == width), CENTER_POINT)
