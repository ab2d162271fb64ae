"""Exponential moving average of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from finetune.config.optim import EMA

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3

# For runs of thousands of steps: the decay is 0.99 after 500 steps and 0.999 after 10,000.
WARM_UP_POWER = 0.75


def build_ema(net: nn.Module, settings: EMA) -> ModelEmaV3:
    """Return an average that starts at the network's weights; `.module` is the averaged network.

    After optimiser step n (from 1) call `.update(net, step=n)`. The first call copies the weights, later ones
    move the average by 1 - decay; with `warm_up` the decay is at most 1 - n^-0.75.
    """
    from timm.utils import ModelEmaV3

    return ModelEmaV3(
        net, decay=settings.decay, use_warmup=settings.warm_up, warmup_power=WARM_UP_POWER, foreach=True
    )
