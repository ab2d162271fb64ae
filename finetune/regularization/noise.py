"""Noise on inputs and on weights. Source: Deep Learning book, sections 7.4 and 7.5."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from finetune.optim.groups import decayed_names


def add_input_noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """The images with Gaussian noise of that deviation. In, out: (N, C, H, W), normalised."""
    return images + deviation * _normal_like(images, generator)


@contextmanager
def weight_noise(net: nn.Module, deviation: float, generator: torch.Generator) -> Iterator[None]:
    """Gaussian noise on the weights that learn while the block runs, and none after it.

    Its deviation is `deviation` times a weight tensor's root mean square; biases and norms are spared.
    Forward and backward both belong in the block: the gradient is that at the noisy weights.
    """
    if not deviation:
        yield
        return
    decayed = decayed_names(net)
    weights = [p for name, p in net.named_parameters() if p.requires_grad and name in decayed]
    clean = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            scale = deviation * weight.square().mean().sqrt()
            weight.add_(scale * _normal_like(weight, generator))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, kept in zip(weights, clean, strict=True):
                weight.copy_(kept)


def _normal_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(tensor.shape, generator=generator, device=generator.device, dtype=tensor.dtype)
    return drawn.to(tensor.device)
