"""Cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finetune.losses.registry import ClassWeights, Loss, LossContext, loss
from finetune.losses.targets import class_weights as find_weights

if TYPE_CHECKING:
    from torch import Tensor

TORCH_DEFAULT_IGNORE_INDEX = -100


@loss()
def auto(context: LossContext) -> Loss:
    """`cross_entropy`."""
    return cross_entropy(context)


@loss()
def cross_entropy(context: LossContext, *, class_weights: ClassWeights = "none") -> Loss:
    """Cross-entropy; `class_weights: balanced` gives rare classes more weight.

    With the label smoothing of Szegedy et al. 2015, arXiv:1512.00567.
    """
    from torch.nn import functional as F

    weights = find_weights(class_weights, context)
    ignore_index = TORCH_DEFAULT_IGNORE_INDEX if context.ignore_index is None else context.ignore_index

    def compute(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(
            logits,
            targets,
            weight=None if weights is None else weights.to(logits),
            ignore_index=ignore_index,
            label_smoothing=context.label_smoothing,
        )

    return compute
