"""Dice loss of masks, alone and added to cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finetune.losses.cross_entropy import cross_entropy
from finetune.losses.registry import ClassWeights, Loss, LossContext, loss
from finetune.losses.targets import class_distributions

if TYPE_CHECKING:
    from torch import Tensor


@loss(refuses=("label_smoothing", "mixup", "cutmix"), targets=("mask",))
def dice(context: LossContext) -> Loss:
    """1 - the mean Dice coefficient of the classes in the batch: small classes count as much as large ones.

    Source: Drozdzal et al. 2016, arXiv:1608.04117.
    """

    def compute(logits: Tensor, targets: Tensor) -> Tensor:
        truth, counted = class_distributions(targets, context)
        predicted = logits.softmax(1) * counted
        pixels = tuple(axis for axis in range(logits.ndim) if axis != 1)
        overlap, area = (predicted * truth).sum(pixels), truth.sum(pixels)
        coefficients = 2 * overlap / (predicted.sum(pixels) + area)
        return 1 - coefficients[area > 0].mean()

    return compute


@loss(refuses=("mixup", "cutmix"), targets=("mask",))
def cross_entropy_dice(context: LossContext, *, class_weights: ClassWeights = "none") -> Loss:
    """The sum of `cross_entropy`, with the label smoothing, and `dice`, without."""
    terms = cross_entropy(context, class_weights=class_weights), dice(context)

    def compute(logits: Tensor, targets: Tensor) -> Tensor:
        return terms[0](logits, targets) + terms[1](logits, targets)

    return compute
