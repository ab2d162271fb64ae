"""Training on perturbed inputs and weights: noise and adversarial examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from finetune.config.optim import FGSM
from finetune.optim.freeze import keep_running_statistics
from finetune.optim.groups import decayed_names


def add_input_noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of that standard deviation. In, out: (N, C, H, W), normalised.

    Source: Goodfellow et al. 2016, Deep Learning, section 7.5.
    """
    return images + deviation * _normal_like(images, generator)


@contextmanager
def weight_noise(net: nn.Module, deviation: float, generator: torch.Generator) -> Iterator[None]:
    """Add Gaussian noise to the weights that learn, and remove it after the block.

    Its standard deviation is `deviation` times the root mean square of each weight tensor; biases and norms
    get none. Forward and backward pass both belong in the block: the gradient is that at the noisy weights.
    Source: Goodfellow et al. 2016, Deep Learning, section 7.5.
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
            for weight, original in zip(weights, clean, strict=True):
                weight.copy_(original)


def _normal_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(tensor.shape, generator=generator, device=generator.device, dtype=tensor.dtype)
    return noise.to(tensor.device)


def fgsm(
    loss_of: Callable[[Tensor], Tensor], images: Tensor, epsilon: float, low: Tensor, high: Tensor
) -> Tensor:
    """Compute adversarial images by the fast gradient sign method; it leaves no gradients in the network.

    In: `loss_of` computes the loss of images; images (N, C, H, W), normalised; `epsilon`, the change of each
    value as a share of its range; `low` and `high` (C, 1, 1), the normalised values of black and white.
    Out: (N, C, H, W), within that range.
    Source: Goodfellow et al. 2014, arXiv:1412.6572.
    """
    inputs = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(inputs), inputs)
    moved = images + epsilon * (high - low) * gradient.sign()
    return torch.minimum(torch.maximum(moved, low), high).detach()


def adversarial_loss(
    net: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    images: Tensor,
    settings: FGSM,
    *,
    low: Tensor,
    high: Tensor,
) -> Tensor:
    """Return the loss of clean and of adversarial images, weighted by `settings.share`.

    `loss_of` runs `net`; computing the adversarial images updates no running statistics. Out: ().
    """
    with keep_running_statistics(net):
        adversarial = fgsm(loss_of, images, settings.epsilon, low, high)
    return (1 - settings.share) * loss_of(images) + settings.share * loss_of(adversarial)
