"""Adversarial training by the fast gradient sign method."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from finetune.config.optim import FGSM
from finetune.optim.batch_norm import keep_statistics

LossOf = Callable[[Tensor], Tensor]


def fgsm(loss_of: LossOf, images: Tensor, epsilon: float, low: Tensor, high: Tensor) -> Tensor:
    """The images, each element moved by `epsilon` of its range to where the loss grows.

    In: `loss_of` images gives their loss; images (N, C, H, W), normalised; `low` and `high` (C, 1, 1): what
    pixels 0 and 1 are after normalisation. Out: (N, C, H, W), within that range. Leaves no gradients behind.
    Source: Goodfellow et al. 2014, arXiv:1412.6572.
    """
    probe = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(probe), probe)
    moved = images + epsilon * (high - low) * gradient.sign()
    return torch.minimum(torch.maximum(moved, low), high).detach()


def adversarial_loss(
    net: nn.Module, loss_of: LossOf, images: Tensor, settings: FGSM, *, low: Tensor, high: Tensor
) -> Tensor:
    """The loss on clean and on adversarial images, mixed by `settings.share`.

    `loss_of` runs `net`; the pass that finds the attack does not move its batch-norm statistics. Out: ().
    """
    with keep_statistics(net):
        attacked = fgsm(loss_of, images, settings.epsilon, low, high)
    return (1 - settings.share) * loss_of(images) + settings.share * loss_of(attacked)
