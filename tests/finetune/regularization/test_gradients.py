"""Gradients are clipped by each rule; checkpointing changes no gradient."""

from __future__ import annotations

import copy

import pytest
import torch
from small_kit import small_net
from torch import Tensor, nn

from finetune.config.optim import Clip
from finetune.regularization.gradients import clip_gradients, enable_checkpointing


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
    clip_gradients([weight, bias], Clip(norm=5.0))
    # torch divides by the norm plus 1e-6
    torch.testing.assert_close(gradient(weight), torch.tensor([[3.0, 0.0], [0.0, -4.0]]))


def test_norm_leaves_short_gradients_alone() -> None:
    weight, bias = parameters()
    clip_gradients([weight, bias], Clip(norm=20.0))
    assert gradient(weight).tolist() == [[6.0, 0.0], [0.0, -8.0]]


def test_value_cuts_each_element() -> None:
    weight, bias = parameters()
    clip_gradients([weight, bias], Clip(value=7.0))
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


pytestmark = pytest.mark.usefixtures("seeded")


def gradients(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(1)  # the same dropout
    net.zero_grad()
    net(images).square().sum().backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in net.named_parameters()
        if parameter.grad is not None
    }


def test_checkpointing_gives_equal_gradients_and_statistics() -> None:
    plain, images = small_net(), torch.randn(4, 1, 8, 8)
    saving = copy.deepcopy(plain)
    enable_checkpointing(saving, ["1"])
    enable_checkpointing(saving, ["1"])
    expected, found = gradients(plain, images), gradients(saving, images)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    for name, value in plain.state_dict().items():
        assert torch.equal(saving.state_dict()[name], value), name


class Tapped(nn.Module):
    """A stage that leaves an inner value for a later one, as networks with taps do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, images: Tensor, taps: dict[str, Tensor]) -> Tensor:
        taps["inner"] = self.first(images).relu()
        return self.second(taps["inner"])


class Fused(nn.Module):
    """Adds the tapped value to the stage's result."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Tapped()

    def forward(self, images: Tensor) -> Tensor:
        taps: dict[str, Tensor] = {}
        return self.stage(images, taps=taps) * taps["inner"]


def test_checkpointing_passes_taps() -> None:
    plain, images = Fused(), torch.randn(3, 4)
    saving = copy.deepcopy(plain)
    enable_checkpointing(saving, ["stage"])
    expected, found = gradients(plain, images), gradients(saving, images)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_checkpointing_computes_a_stage_twice_in_training_and_once_in_evaluation() -> None:
    net, images = small_net(), torch.randn(4, 1, 8, 8)
    enable_checkpointing(net, ["1"])
    calls: list[str] = []
    net.get_submodule("1.1").register_forward_hook(lambda *_: calls.append("relu"))
    net(images).sum().backward()
    assert len(calls) == 2
    net.eval()(images).sum().backward()
    with torch.no_grad():
        net.train()(images)
    assert len(calls) == 4


def test_a_copy_of_a_checkpointed_network_runs_its_own_weights() -> None:
    net, images = small_net(), torch.randn(4, 1, 8, 8)
    enable_checkpointing(net, ["1"])
    other = copy.deepcopy(net)
    net.get_parameter("1.0.weight").data.zero_()
    net.get_parameter("1.0.bias").data.zero_()
    assert other(images).std() > 0
    assert torch.equal(net(images)[0], net(images)[1])
