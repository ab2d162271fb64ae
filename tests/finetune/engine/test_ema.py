"""The moving average of weights against its closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finetune.config.optim import EMA
from finetune.engine.build import build_ema

pytestmark = pytest.mark.usefixtures("seeded")


def test_ema_after_n_steps_is_the_weighted_sum() -> None:
    net = nn.Linear(1, 1, bias=False)
    ema = build_ema(net, EMA(decay=0.8, warm_up=False))
    for step in range(1, 6):
        net.weight.data.fill_(float(step))
        ema.update(net, step=step)
    # the first step copies; then 0.8 · average + 0.2 · weight
    expected = 1 * 0.8**4 + 0.2 * (2 * 0.8**3 + 3 * 0.8**2 + 4 * 0.8 + 5)
    assert ema.module.weight.item() == pytest.approx(expected, rel=1e-6)  # float32


def test_ema_with_warm_up_follows_closely_at_first() -> None:
    net = nn.Linear(1, 1, bias=False)
    ema = build_ema(net, EMA(decay=0.999, warm_up=True))
    average = 0.0
    for step in range(1, 11):
        net.weight.data.fill_(float(step))
        ema.update(net, step=step)
        decay = 0.0 if step == 1 else 1 - step**-0.75
        average = decay * average + (1 - decay) * step
    assert ema.module.weight.item() == pytest.approx(average, rel=1e-6)  # float32
    assert average > 5


def test_ema_goes_on_from_a_checkpoint() -> None:
    net = nn.Linear(3, 1)
    ema, other = build_ema(net, EMA()), build_ema(net, EMA())
    net.weight.data.fill_(2.0)
    ema.update(net, step=5)
    other.load_state_dict(ema.state_dict())
    net.weight.data.fill_(3.0)
    ema.update(net, step=6)
    other.update(net, step=6)
    assert torch.equal(ema.module.weight, other.module.weight)
