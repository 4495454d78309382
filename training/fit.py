"""Weights out of faces: the training loop, resumable to the same result.

All chance depends on the recipe's seed and the number of the epoch, so a run that was killed
goes on from its last epoch as if nothing had happened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from training.batches import Batch, TrainingBatches, drawing_weights, plain_crops
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
from training.faces import Faces
from training.frozen import FrozenBody, head_of, into_training
from training.recipe import Recipe
from training.runs import Epoch, RunFolder, start_file
from training.teachers import Teachers
from training.whole_set import whole_set_logits
from worker.errors import ConfigError, WorkError
from worker.inference.artifact import Calibration
from worker.inference.network import Probabilities, ReportNet, definition

CHUNK = 256
"""Crops of one forward pass where no gradient is wanted."""


class Trainer:
    """One run: a recipe, the faces it is for, and the folder it writes into.

    Args:
        recipe: what is done.
        train: faces to learn from.
        validation: faces that choose the epoch; may be empty.
        folder: checkpoints and logs; what it holds already is resumed.
        device: ``cpu`` or ``cuda``; on CUDA with mixed precision.
    """

    def __init__(
        self, recipe: Recipe, train: Faces, validation: Faces, folder: RunFolder, device: str
    ) -> None:
        demand_trainable(train, validation, recipe)
        self._recipe = recipe
        self._folder = folder
        self._device = torch.device(device)
        torch.manual_seed(recipe.seed)
        self._model = new_model(recipe).to(self._device)
        self._optimizer = _optimizer(self._model.network, recipe)
        self._average = {k: v.clone() for k, v in self._model.network.state_dict().items()}
        self._best = dict(self._average)
        self._progress = Progress()
        self._teachers = Teachers(recipe, train, self._device) if recipe.teachers else None
        self._validation = _validation_set(validation, recipe)
        weights = recipe.class_weights
        self._class_weights = torch.tensor(weights, device=self._device) if weights else None
        if folder.checkpoint.exists():
            self._resume()
        self._whole_set = recipe.batch_size == 0 and isinstance(self._model.network, ReportNet)
        self._forward: Callable[[Tensor], Tensor] = self._model.logits
        if self._whole_set:
            self._forward = partial(whole_set_logits, self._model)
        self._batches = TrainingBatches(train, recipe, self._seen_once(train))

    @property
    def epochs_done(self) -> int:
        """Epochs that lie behind, those before a resume included."""
        return self._progress.epoch

    def run(self, told: Callable[[Epoch], None]) -> None:
        """Train to the end of the recipe, or until it gets no better.

        Args:
            told: called after each epoch, when its checkpoint is on the disk.

        Raises:
            WorkError: the loss is not a number; the last good checkpoint is kept.
        """
        while self._progress.epoch < self._recipe.epochs and not self._stale():
            epoch = self._one_epoch(self._progress.epoch)
            if len(self._validation[1]) and not math.isfinite(epoch.validation_loss):
                raise self._diverged(
                    epoch.validation_loss, f"on validation in epoch {epoch.number}"
                )
            self._progress.epoch += 1
            if epoch.best:
                self._progress.best_loss = epoch.validation_loss
                self._progress.best_epoch = epoch.number
                self._best = {k: v.clone() for k, v in self._averaged().items()}
            self._folder.log(epoch)
            self._save()
            told(epoch)
        chosen = self._recipe.keep == "best" and len(self._validation[1])
        self._folder.write_weights(self._best if chosen else self._averaged())

    def _seen_once(self, train: Faces) -> NDArray[np.float32] | None:
        """The features of a frozen body, where no augmentation changes them."""
        recipe = self._recipe
        if recipe.augmentation is not None or not recipe.freeze_body or self._teachers:
            return None
        body = FrozenBody(self._model)
        self._forward = body.logits
        return body.features(plain_crops(train, recipe.rule))

    def _one_epoch(self, number: int) -> Epoch:
        torch.manual_seed(hash((self._recipe.seed, number)) % 2**63)
        into_training(self._model, frozen=self._recipe.freeze_body)
        losses: list[float] = []
        rate = 0.0
        look = number
        opinions: Iterator[Tensor | None] = repeat(None)
        if self._teachers is not None:
            look = number % self._recipe.looks
            opinions = self._teachers.epoch(look)
        batches = zip(self._batches.epoch(look), opinions, strict=False)
        for step, (batch, opinion) in enumerate(batches):
            rate = self._set_rate(number + step / self._batches.steps)
            loss = self._step(batch, opinion)
            if not math.isfinite(loss):
                raise self._diverged(loss, f"in epoch {number + 1}, step {step + 1}")
            losses.append(loss)
        validation_loss, right = self._validate()
        best = math.isnan(validation_loss) or validation_loss < self._progress.best_loss
        return Epoch(number + 1, float(np.mean(losses)), validation_loss, right, rate, best)

    def _diverged(self, loss: float, where: str) -> WorkError:
        return WorkError(
            f"the loss is {loss} {where}; the checkpoint of epoch {self._progress.epoch} is kept "
            f"in {self._folder.path}: begin a new run with a lower --set learning_rate="
        )

    def _step(self, batch: Batch, opinion: Tensor | None) -> float:
        pixels = torch.from_numpy(batch.crops).to(self._device, non_blocking=True)
        labels = torch.from_numpy(batch.labels).to(self._device, non_blocking=True)
        mixed = self._device.type == "cuda" and not self._whole_set  # its sums need the precision
        with torch.autocast(self._device.type, torch.bfloat16, enabled=mixed):
            loss = self._loss(self._forward(pixels).float(), labels, opinion)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._follow()
        return float(loss.detach())

    def _loss(self, logits: Tensor, labels: Tensor, opinion: Tensor | None) -> Tensor:
        loss = functional.cross_entropy(
            logits, labels, self._class_weights, label_smoothing=self._recipe.label_smoothing
        )
        if opinion is None:
            return loss
        learned = functional.kl_div(
            functional.log_softmax(logits, 1), opinion, reduction="batchmean"
        )
        return (1 - self._recipe.distil) * loss + self._recipe.distil * learned

    def _follow(self) -> None:
        """Let the averaged weights follow by one step; early on they follow faster."""
        if not self._recipe.ema:
            return
        step = int(next(iter(self._optimizer.state.values()))["step"])
        decay = min(self._recipe.ema, (1 + step) / (10 + step))
        for name, value in self._model.network.state_dict().items():
            average = self._average[name]
            if average.dtype.is_floating_point:
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def _averaged(self) -> dict[str, Tensor]:
        return self._average if self._recipe.ema else self._model.network.state_dict()

    def _validate(self) -> tuple[float, float]:
        crops, labels = self._validation
        if not len(labels):
            return math.nan, math.nan
        held = {k: v.clone() for k, v in self._model.network.state_dict().items()}
        self._model.network.load_state_dict(self._averaged())
        logits = logits_of(self._model, crops)
        self._model.network.load_state_dict(held)
        truth = torch.from_numpy(labels)
        loss = functional.cross_entropy(logits, truth)
        return float(loss), float((logits.argmax(1) == truth).float().mean())

    def _set_rate(self, epoch: float) -> float:
        recipe = self._recipe
        share = 1.0
        if epoch < recipe.warmup_epochs:
            share = (epoch + 0.05) / recipe.warmup_epochs
        elif recipe.schedule == "cosine":
            left = (epoch - recipe.warmup_epochs) / max(recipe.epochs - recipe.warmup_epochs, 1)
            share = 0.5 + 0.5 * math.cos(math.pi * min(left, 1.0))
        rate = recipe.learning_rate * share
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        return rate

    def _stale(self) -> bool:
        patience = self._recipe.patience
        return patience is not None and (
            self._progress.epoch - self._progress.best_epoch >= patience
        )

    def _save(self) -> None:
        tensors = gathered(
            model=self._model.network.state_dict(),
            average=self._average,
            best=self._best,
            optimizer=optimizer_tensors(self._optimizer),
        )
        copies = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        save_checkpoint(self._folder.checkpoint, self._recipe.network, copies, self._progress)

    def _resume(self) -> None:
        path = self._folder.checkpoint
        tensors, self._progress = load_checkpoint(path, self._recipe.network)
        tensors = {name: tensor.to(self._device) for name, tensor in tensors.items()}
        load_weights(self._model.network, group_of(tensors, "model"), path)
        self._average = group_of(tensors, "average")
        self._best = group_of(tensors, "best")
        restore_optimizer(self._optimizer, group_of(tensors, "optimizer"))


def new_model(recipe: Recipe) -> Probabilities:
    """An untrained network of a recipe, or one that starts from its weights file.

    Raises:
        ConfigError: the weights cannot be read, or are of another network.
    """
    made = definition(recipe.network)
    network = made.make(recipe.classes)
    if recipe.start_from is not None:
        whole = _start_from(network, recipe.start_from)
        if whole and (recipe.fold is not None or recipe.split == "face"):
            raise ConfigError(
                f"start_from={recipe.start_from} is a whole classifier, which may have seen the "
                "faces that this fold or split holds out; begin from a detector, or from none"
            )
    if recipe.freeze_body:
        network.requires_grad_(False)
        head_of(network).requires_grad_(True)
    return Probabilities(network, made.normalisation, Calibration())


def logits_of(model: Probabilities, crops: NDArray[np.uint8]) -> Tensor:
    """Logits ``(N, classes)`` on the CPU, before calibration. Leaves the model in eval mode."""
    model.eval()
    device = model.mean.device
    with torch.inference_mode():
        parts = [
            model.logits(torch.from_numpy(crops[i : i + CHUNK]).to(device)).float().cpu()
            for i in range(0, len(crops), CHUNK)
        ]
    return torch.cat(parts)


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser; biases and normalisations are not decayed, and a body may learn slower."""
    trained = [p for p in network.parameters() if p.requires_grad]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(trained, lr=recipe.learning_rate)
    inside = {id(p) for p in head_of(network).parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in trained:
        share = 1.0 if id(parameter) in inside else recipe.body_rate
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((share, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": some, "share": share, "weight_decay": decay}
            for (share, decay), some in groups.items()
        ],
        lr=recipe.learning_rate,
    )


def _validation_set(faces: Faces, recipe: Recipe) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Plain crops by the annotated and by the detector's boxes, and their labels."""
    if not len(faces):
        return np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, np.int64)
    crops = [plain_crops(faces, recipe.rule)]
    if recipe.augmentation is not None:
        crops.append(plain_crops(faces, recipe.rule, detected=True))
    return np.concatenate(crops), np.tile(faces.labels, len(crops))


def _start_from(network: nn.Module, path: Path) -> bool:
    """Take over the weights of a file that fit; True where its head did too."""
    path = start_file(path)
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}); name a safetensors file, or a model that is shipped"
        ) from error
    own = network.state_dict()
    head = len(head_of(network).state_dict())  # may be missing
    fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    if len(fitting) < len(own) - head:
        raise ConfigError(
            f"{path} holds {len(fitting)} of the {len(own)} tensors of this network; it is of "
            "another one"
        )
    network.load_state_dict(fitting, strict=False)
    return len(fitting) == len(own)


def demand_trainable(faces: Faces, validation: Faces, recipe: Recipe) -> None:
    """The data are enough for a recipe.

    Args:
        faces: the training part.
        validation: may be empty, unless the recipe goes by it.
        recipe: what is to be done.

    Raises:
        ConfigError: they are not.
    """
    if recipe.batch_size > len(faces):
        raise ConfigError(
            f"batch_size is {recipe.batch_size}, but the training part has {len(faces)} "
            "faces; make it smaller, or 0 for the whole set"
        )
    if recipe.patience is not None and not len(validation):
        raise ConfigError(
            "patience goes by the validation part, which is empty here (with a fold, and with "
            "split=face, there is none); leave it out"
        )
    counts = np.bincount(faces.labels, minlength=recipe.classes) if len(faces) else [0]
    missing = [name for name, n in zip(recipe.class_names, counts, strict=False) if n == 0]
    if missing or not len(faces):
        raise ConfigError(
            f"the training part has no example of {', '.join(missing) or 'any class'}; add "
            "pictures, or train two classes by --set classes=2"
        )
    drawing_weights(faces, recipe)
