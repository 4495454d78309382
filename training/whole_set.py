"""A step of the report's network over a whole set at once, in memory that stays small.

The report takes its whole set in one step, so that batch normalisation sees all of it. As torch
does it, every layer keeps several pictures of full size for each crop. Here a layer goes over the
set in chunks that fit the processor's cache, keeps its pooled output alone, and computes the
convolution once more on the way back. The step is the same one, to the rounding of sums.

The four values of a pooling window are computed as channels of one convolution of stride 2,
whose kernels are the layer's own at four places in 4x4. Pooling is then a maximum over channels,
and small networks keep a processor's lanes full: half of the time of torch's own step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional, grad

from worker.inference.network import Probabilities, ReportNet

CHUNK = 16
"""Crops at a time: at 224 px the first layer's output then takes 13 MB."""

Read = Callable[[Tensor], Tensor]
"""From a chunk of a layer's input, as it is stored, to what its convolution takes."""


def whole_set_logits(model: Probabilities, pixels: Tensor) -> Tensor:
    """Logits of the report's network in training mode, as ``Probabilities.logits`` gives them.

    Running statistics are updated. The biases of the convolutions get no gradient: batch
    normalisation takes them out again, and what torch computes for them is rounding.

    Args:
        model: wraps a ``ReportNet``.
        pixels: ``uint8 (N, S, S, 3) BGR``; kept until the step back.

    Returns:
        ``(N, classes)``.
    """
    network = cast("ReportNet", model.network)
    read: Read = model.standardised
    # Plane after plane in memory, as the convolution wants them; the shape stays.
    features = pixels.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    for convolution, normalisation in network.layers():
        features = _layer(features, convolution, normalisation, read)
        read = _as_is
    logits: Tensor = network.linear_layers(features.flatten(1))
    return logits


def _layer(stored: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d, read: Read) -> Tensor:
    """Convolution, normalisation over the set, ReLU and pooling: ``(N, C, H / 2, W / 2)``."""
    pooled, mean, variance, count = _ConvolveAndPool.apply(
        stored, convolution.weight, norm.weight, norm.bias, norm.eps, read
    )
    with torch.no_grad():
        if convolution.bias is not None:
            mean = mean + convolution.bias
        state, momentum = dict(norm.named_buffers()), cast("float", norm.momentum)
        state["running_mean"].lerp_(mean, momentum)
        state["running_var"].lerp_(variance * (count / (count - 1)), momentum)
        state["num_batches_tracked"] += 1
    return cast("Tensor", pooled)


class _ConvolveAndPool(torch.autograd.Function):
    """One layer as one function.

    Normalisation and ReLU rise with their input (or fall, where ``gamma`` is negative, which is
    moved into the weights), so pooling comes first, and only what it leaves is kept:
    ``relu(norm(max(y))) = max(relu(norm(y)))``.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (torch gives a function's inputs one by one)
        ctx: Any,
        stored: Tensor,
        weight: Tensor,
        gamma: Tensor,
        beta: Tensor,
        eps: float,
        read: Read,
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        signs = torch.where(gamma < 0, -1.0, 1.0).to(weight.dtype)
        placed = _placed(weight * signs.view(-1, 1, 1, 1))
        highest: list[Tensor] = []
        sums = torch.zeros(2, len(gamma), dtype=torch.float64, device=weight.device)
        for part in torch.split(stored, CHUNK):
            y = _windows(read(part), placed)
            highest.append(y.amax(1))
            sums += torch.stack([y.sum((0, 1, 3, 4)), (y * y).sum((0, 1, 3, 4))])
        count = 4 * sum(part[:, 0].numel() for part in highest)
        mean = sums[0] / count
        variance = sums[1] / count - mean**2
        scale = (1 / (variance + eps).sqrt()).to(weight.dtype)
        centred = torch.cat(highest).sub_(_per_channel(mean.to(weight.dtype)))
        normalised = centred.mul_(_per_channel(scale))
        pooled = (normalised * _per_channel(gamma.abs())).add_(_per_channel(beta)).relu_()
        ctx.save_for_backward(stored, placed, gamma, signs, normalised, pooled, mean, scale)
        ctx.read, ctx.count = read, count
        statistics = (mean * signs).to(weight.dtype), variance.to(weight.dtype)
        ctx.mark_non_differentiable(*statistics)
        return pooled, *statistics, count

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        stored, placed, gamma, signs, normalised, pooled, mean, scale = ctx.saved_tensors
        above = gradients[0] * (pooled > 0)
        beta_gradient = above.sum((2, 3)).double().sum(0)
        gamma_gradient = (above * normalised).sum((2, 3)).double().sum(0)
        # d y = |gamma| scale (d z - mean(d z) - xhat mean(d z xhat)), where z is what is pooled:
        # the first term goes to the highest of a window, the others fall on every pixel.
        factor = gamma.abs() * scale
        slope = _per_channel(factor * scale * (gamma_gradient / ctx.count).to(scale.dtype))
        level = _per_channel(factor * (beta_gradient / ctx.count).to(scale.dtype))
        level = level - slope * _per_channel(mean.to(scale.dtype))
        above *= _per_channel(factor)
        placed_gradient = torch.zeros_like(placed)
        below: list[Tensor] = []
        for part, through in zip(
            torch.split(stored, CHUNK), torch.split(above, CHUNK), strict=True
        ):
            x = ctx.read(part)
            y = _windows(x, placed)
            dy = _to_highest(y, through).sub_(y.mul_(slope)).sub_(level).flatten(1, 2)
            placed_gradient += grad.conv2d_weight(  # type: ignore[no-untyped-call]
                x, placed.shape, dy, stride=2, padding=1
            )
            if ctx.needs_input_grad[0]:
                below.append(
                    grad.conv2d_input(  # type: ignore[no-untyped-call]
                        x.shape, placed, dy, stride=2, padding=1
                    )
                )
        return (
            torch.cat(below) if below else None,
            _gathered(placed_gradient) * signs.view(-1, 1, 1, 1),
            gamma_gradient.to(gamma.dtype) * signs,
            beta_gradient.to(gamma.dtype),
            None,
            None,
        )


_PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The pixels of a pooling window, in the order in which pooling prefers equal ones."""


def _placed(weight: Tensor) -> Tensor:
    """A layer's 3x3 kernels at the four places of a window, ``(4 C, C_in, 4, 4)``."""
    placed = weight.new_zeros(4, *weight.shape[:2], 4, 4)
    for number, (row, column) in enumerate(_PLACES):
        placed[number, :, :, row : row + 3, column : column + 3] = weight
    return placed.flatten(0, 1)


def _gathered(placed: Tensor) -> Tensor:
    """The gradient of 3x3 kernels from that of the placed ones."""
    each = placed.view(4, -1, *placed.shape[1:])
    return torch.stack(
        [
            each[number, :, :, row : row + 3, column : column + 3]
            for number, (row, column) in enumerate(_PLACES)
        ]
    ).sum(0)


def _windows(x: Tensor, placed: Tensor) -> Tensor:
    """The layer's convolution, window by window, ``(N, 4, C, H / 2, W / 2)``; sides are even."""
    y = functional.conv2d(x, placed, stride=2, padding=1)
    return y.view(len(y), 4, -1, *y.shape[2:])


def _to_highest(y: Tensor, gradient: Tensor) -> Tensor:
    """A gradient of pooled values, at the first of the highest of each window, else 0."""
    highest = y.amax(1)
    at, nothing = torch.empty_like(y), gradient.new_zeros(())
    free = torch.ones_like(highest, dtype=torch.bool)
    for number in range(4):
        here = (y[:, number] == highest) & free
        at[:, number] = torch.where(here, gradient, nothing)
        free &= ~here
    return at


def _per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)


def _as_is(part: Tensor) -> Tensor:
    return part
