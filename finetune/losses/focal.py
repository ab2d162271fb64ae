"""Focal loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finetune.losses.registry import ClassWeights, Loss, LossContext, loss
from finetune.losses.targets import class_distributions
from finetune.losses.targets import class_weights as find_weights
from finetune.optim.ranges import NonNegative

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-6
"""Least value of 1 - p, where the derivative of a power below 1 would be infinite."""


@loss()
def focal(context: LossContext, *, gamma: NonNegative = 2.0, class_weights: ClassWeights = "none") -> Loss:
    """Cross-entropy times (1 - p)^gamma, p the probability of the class: easy images count less.

    Targets that are distributions, of mixup or label smoothing, are summed over their classes.
    Source: Lin et al. 2017, arXiv:1708.02002.
    """
    weights = find_weights(class_weights, context)
    smoothing = context.label_smoothing

    def compute(logits: Tensor, targets: Tensor) -> Tensor:
        shares, counted = class_distributions(targets, context)
        log_p = logits.log_softmax(1)
        terms = -log_p * (-log_p.expm1()).clamp(min=SMALLEST) ** gamma
        smoothed = shares * (1 - smoothing) + smoothing / context.classes * counted
        if weights is None:
            return (smoothed * terms).sum() / counted.sum()
        weight = weights.to(logits).reshape(-1, *[1] * (logits.ndim - 2))
        return (weight * smoothed * terms).sum() / (weight * shares).sum()

    return compute
