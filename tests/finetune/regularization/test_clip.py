"""What clipping does to gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finetune.config.optim import Clip
from finetune.regularization.clip import clip_gradients


def parameters() -> tuple[nn.Parameter, nn.Parameter]:
    """A weight of two rows with a gradient of norm 10, and a bias with none at all."""
    weight = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.5]]))
    weight.grad = torch.tensor([[6.0, 0.0], [0.0, -8.0]])
    return weight, nn.Parameter(torch.zeros(2))


def gradient(weight: nn.Parameter) -> torch.Tensor:
    assert weight.grad is not None
    return weight.grad


def test_norm_scales_the_whole_gradient() -> None:
    weight, bias = parameters()
    norm = clip_gradients([weight, bias], Clip(norm=5.0))
    assert norm.item() == pytest.approx(10.0)
    # torch divides by the norm plus 1e-6
    torch.testing.assert_close(gradient(weight), torch.tensor([[3.0, 0.0], [0.0, -4.0]]))


def test_norm_leaves_short_gradients_alone() -> None:
    weight, bias = parameters()
    clip_gradients([weight, bias], Clip(norm=20.0))
    assert gradient(weight).tolist() == [[6.0, 0.0], [0.0, -8.0]]


def test_value_cuts_each_element() -> None:
    weight, bias = parameters()
    assert clip_gradients([weight, bias], Clip(value=7.0)).item() == pytest.approx(10.0)
    assert gradient(weight).tolist() == [[6.0, 0.0], [0.0, -7.0]]


def test_adaptive_scales_each_unit_to_its_weights() -> None:
    weight, bias = parameters()
    clip_gradients([weight, bias], Clip(adaptive=0.1))
    # the rows' weights are 5 and 0.5 long
    torch.testing.assert_close(gradient(weight), torch.tensor([[0.5, 0.0], [0.0, -0.05]]))


def test_adaptive_spares_the_head() -> None:
    weight, bias = parameters()
    clip_gradients([weight, bias], Clip(adaptive=0.1), head=[weight])
    assert gradient(weight).tolist() == [[6.0, 0.0], [0.0, -8.0]]


def test_no_clipping_measures_only() -> None:
    weight, bias = parameters()
    assert clip_gradients([weight, bias], None).item() == pytest.approx(10.0)
    assert gradient(weight).tolist() == [[6.0, 0.0], [0.0, -8.0]]
