"""Clipping gradients before a step."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from finetune.config.optim import Clip


def clip_gradients(
    parameters: Sequence[nn.Parameter], clip: Clip | None, *, head: Collection[nn.Parameter] = ()
) -> Tensor:
    """Clip the gradients of `parameters` in place by the rule that is asked for, or not at all.

    Adaptive clipping leaves out the parameters of the `head`, as its paper does.
    Out: () the norm of all gradients together, before clipping.
    Source: Pascanu et al. 2013, arXiv:1211.5063 (norm); Brock et al. 2021, arXiv:2102.06171 (adaptive).
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if clip is None or not gradients:
        return norm
    rule, value = clip.chosen
    if rule == "norm":
        torch.nn.utils.clip_grads_with_norm_(parameters, value, norm)
    elif rule == "value":
        torch.nn.utils.clip_grad_value_(parameters, value)
    else:
        from timm.utils import dispatch_clip_grad

        spared = {id(parameter) for parameter in head}
        dispatch_clip_grad([p for p in parameters if id(p) not in spared], value, mode="agc")
    return norm
