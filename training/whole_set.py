"""A step of the report's network over a whole set at once, in memory that stays small.

The report takes its whole set in one step, so that batch normalisation sees all of it. As torch
does it, every layer keeps several pictures of full size for each crop. Here a layer goes over the
set in chunks that fit the processor's cache, keeps its pooled output alone, and computes the
convolution once more on the way back. The step is the same one, to the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.inference.network import Probabilities, ReportNet

CHUNK = 16
"""Crops at a time: at 224 px the first layer's output then takes 12 MB."""

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
    features = pixels
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
        signed = weight * signs.view(-1, 1, 1, 1)
        highest: list[Tensor] = []
        sums = torch.zeros(2, len(gamma), dtype=torch.float64, device=weight.device)
        count = 0
        for part in _chunks(stored):
            y = _convolved(read(part), signed)
            highest.append(_pooled(y))
            sums += _moments(y)
            count += y.numel() // y.shape[1]
        mean = sums[0] / count
        variance = sums[1] / count - mean**2
        scale = (1 / (variance + eps).sqrt()).to(weight.dtype)
        centred = torch.cat(highest).sub_(_per_channel(mean.to(weight.dtype)))
        normalised = centred.mul_(_per_channel(scale))
        pooled = (normalised * _per_channel(gamma.abs())).add_(_per_channel(beta)).relu_()
        ctx.save_for_backward(stored, signed, gamma, signs, normalised, pooled, mean, scale)
        ctx.read, ctx.count = read, count
        statistics = (mean * signs).to(weight.dtype), variance.to(weight.dtype)
        ctx.mark_non_differentiable(*statistics)
        return pooled, *statistics, count

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        stored, signed, gamma, signs, normalised, pooled, mean, scale = ctx.saved_tensors
        above = gradients[0] * (pooled > 0)
        beta_gradient = above.sum((0, 2, 3), dtype=torch.float64)
        gamma_gradient = (above * normalised).sum((0, 2, 3), dtype=torch.float64)
        # d y = |gamma| scale (d z - mean(d z) - xhat mean(d z xhat)), where z is what is pooled:
        # the first term goes through the pooling, the others fall on every pixel.
        factor = gamma.abs() * scale
        slope = _per_channel(factor * scale * (gamma_gradient / ctx.count).to(scale.dtype))
        level = _per_channel(factor * (beta_gradient / ctx.count).to(scale.dtype))
        level = level - slope * _per_channel(mean.to(scale.dtype))
        above *= _per_channel(factor)
        weight_gradient = torch.zeros_like(signed)
        below: list[Tensor] = []
        place = 0
        for part in _chunks(stored):
            with torch.enable_grad():
                x = ctx.read(part).detach().requires_grad_(ctx.needs_input_grad[0])
                w = signed.detach().requires_grad_()
                y = _convolved(x, w)
                highest = functional.max_pool2d(y, 2)
            everywhere = y.detach().mul(-slope).sub_(level)
            through = above[place : place + len(part)]
            wanted = (w, x) if ctx.needs_input_grad[0] else (w,)
            found = torch.autograd.grad((highest, y), wanted, (through, everywhere))
            weight_gradient += found[0]
            below += found[1:]
            place += len(part)
        return (
            torch.cat(below) if below else None,
            weight_gradient * signs.view(-1, 1, 1, 1),
            gamma_gradient.to(gamma.dtype) * signs,
            beta_gradient.to(gamma.dtype),
            None,
            None,
        )


def _convolved(x: Tensor, weight: Tensor) -> Tensor:
    return functional.conv2d(x, weight, padding=1)


def _pooled(y: Tensor) -> Tensor:
    """``max_pool2d(y, 2)``, without the places of the highest, in a sixth of the time."""
    height, width = y.shape[2] // 2 * 2, y.shape[3] // 2 * 2
    rows = torch.maximum(y[:, :, 0:height:2], y[:, :, 1:height:2])
    return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


def _moments(y: Tensor) -> Tensor:
    """Sum and sum of squares of each channel, ``float64 (2, C)``."""
    return torch.stack([y.sum((0, 2, 3)).double(), (y * y).sum((0, 2, 3)).double()])


def _chunks(stored: Tensor) -> Iterator[Tensor]:
    return iter(torch.split(stored, CHUNK))


def _per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)


def _as_is(part: Tensor) -> Tensor:
    return part
