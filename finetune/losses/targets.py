"""Targets and class weights in the form that losses compute with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finetune.losses.registry import ClassWeights, LossContext

if TYPE_CHECKING:
    from torch import Tensor


def class_distributions(targets: Tensor, context: LossContext) -> tuple[Tensor, Tensor]:
    """Turn targets into distributions over the classes, without label smoothing.

    In: class indices (N, …), or distributions (N, classes). Out: float (N, classes, …), 0 where the target is
    ignored; bool (N, 1, …), whether it counts.
    """
    import torch
    from torch.nn import functional as F

    if targets.is_floating_point():
        return targets, torch.ones_like(targets[:, :1], dtype=torch.bool)
    counted = torch.ones_like(targets, dtype=torch.bool)
    if context.ignore_index is not None:
        counted = targets != context.ignore_index
    one_hot = F.one_hot(targets.where(counted, targets.new_zeros(())), context.classes).movedim(-1, 1)
    return one_hot * counted[:, None].float(), counted[:, None]


def class_weights(rule: ClassWeights, context: LossContext) -> Tensor | None:
    """Return one weight per class, or None for equal ones.

    `balanced` divides the number of all training images (or pixels) by that of the class and by the number of
    classes, as scikit-learn does; a class without any counts as if it had one.
    Raises: ValueError without class counts.
    """
    import torch

    if rule == "none":
        return None
    if context.class_counts is None:
        raise ValueError("class_weights: balanced needs the class counts of the training images")
    counts = torch.tensor(context.class_counts(), dtype=torch.float64)
    return (counts.sum() / (context.classes * counts.clamp(min=1))).float()
