"""What penalties do to weights and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finetune.config.optim import L2SP, OptimSettings
from finetune.optim.groups import param_groups
from finetune.optim.optimizers import OPTIMIZERS, build_optimizer
from finetune.regularization.penalties import build_penalty, starting_point
from finetune.runtime.seeds import make_generator

pytestmark = pytest.mark.usefixtures("seeded")


def small_net(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, classes)
    )


def weights_after(settings: OptimSettings, steps: int = 200) -> Tensor:
    """The weights of a linear model, two of whose twenty inputs matter, after full-batch training."""
    generator = make_generator(1)
    inputs = torch.randn(100, 20, generator=generator)
    targets = inputs[:, :2].sum(dim=1, keepdim=True) + 0.1 * torch.randn(100, 1, generator=generator)
    net = nn.Linear(20, 1)
    nn.init.normal_(net.weight, generator=generator)
    nn.init.zeros_(net.bias)
    optimizer = build_optimizer(
        OPTIMIZERS.read_call({"sgd": {"momentum": 0.0}}),
        param_groups(net, learning_rate=0.1, weight_decay=settings.weight_decay),
    )
    penalty = build_penalty(net, settings)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(net(inputs), targets).backward()
        penalty.add_gradients()
        optimizer.step()
        penalty.shrink(optimizer)
    return net.weight.detach()[0]


def test_l1_brings_idle_weights_to_exactly_zero() -> None:
    plain, sparse = weights_after(OptimSettings()), weights_after(OptimSettings(l1=0.1))
    assert (plain == 0).sum() == 0
    assert (sparse[2:] == 0).all()
    assert (sparse[:2] > 0.8).all()


def test_l2_shrinks_weights_and_leaves_none_at_zero() -> None:
    plain, small = weights_after(OptimSettings()), weights_after(OptimSettings(l2=0.5))
    assert small.norm() < 0.9 * plain.norm()
    assert (small == 0).sum() == 0


def test_elastic_net_is_sparse_and_small() -> None:
    sparse, small = weights_after(OptimSettings(l1=0.1)), weights_after(OptimSettings(l2=0.5))
    both = weights_after(OptimSettings(l1=0.1, l2=0.5))
    assert (both[2:] == 0).sum() >= 10
    assert both.norm() < min(sparse.norm(), small.norm())


def test_weight_decay_shrinks_weights() -> None:
    assert weights_after(OptimSettings(weight_decay=0.5)).norm() < weights_after(OptimSettings()).norm()


def test_coupled_and_decoupled_decay_agree_without_momentum() -> None:
    coupled = weights_after(OptimSettings(weight_decay=0.0, l2=0.3), steps=20)
    decoupled = weights_after(OptimSettings(weight_decay=0.3), steps=20)
    torch.testing.assert_close(decoupled, coupled)


def test_coupled_and_decoupled_decay_differ_under_adam() -> None:
    moves = []
    for settings in (OptimSettings(weight_decay=0.0, l2=0.3), OptimSettings(weight_decay=0.3)):
        net = nn.Linear(2, 1, bias=False)
        nn.init.constant_(net.weight, 1.0)
        optimizer = build_optimizer(
            OPTIMIZERS.read_call("adam"),
            param_groups(net, learning_rate=0.1, weight_decay=settings.weight_decay),
        )
        net(torch.zeros(1, 2)).sum().backward()
        build_penalty(net, settings).add_gradients()
        optimizer.step()
        moves.append(1 - net.weight[0, 0].item())
    # Adam scales a coupled gradient away: a whole rate, however weak the penalty
    assert moves == pytest.approx([0.1, 0.1 * 0.3], abs=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        OptimSettings(l2=0.3),
        OptimSettings(l2_sp=L2SP(alpha=0.5, beta=0.2)),
        OptimSettings(l2=0.1, l2_sp=L2SP(alpha=0.5, beta=0.2)),
    ],
    ids=["l2", "l2_sp", "both"],
)
def test_added_gradients_are_those_of_the_penalty(settings: OptimSettings) -> None:
    net = small_net().double()
    start = starting_point(net, new="4")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))
    penalty = build_penalty(net, settings, start)
    names = list(penalty.weights)
    expected = torch.autograd.grad(penalty.value(), list(penalty.weights.values()))
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    penalty.add_gradients()
    assert names == ["0.weight", "4.weight"]
    for name, gradient in zip(names, expected, strict=True):
        torch.testing.assert_close(net.get_parameter(name).grad, gradient)
    assert net.get_parameter("0.bias").grad.count_nonzero() == 0  # type: ignore[union-attr]


def test_stronger_penalties_raise_the_value() -> None:
    net = small_net()
    start = starting_point(net, new="4")
    values = [
        build_penalty(net, settings, start).value().item()
        for settings in (
            OptimSettings(),
            OptimSettings(l1=0.01),
            OptimSettings(l1=0.01, l2=0.1),
            OptimSettings(l1=0.01, l2=0.1, l2_sp=L2SP()),
        )
    ]
    assert values[0] == 0
    assert values == sorted(set(values))


def test_l2_sp_pulls_to_the_pretrained_weights_and_new_ones_to_zero() -> None:
    net = small_net()
    start = starting_point(net, new="4")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3)
    penalty = build_penalty(net, OptimSettings(l2_sp=L2SP(alpha=1.0, beta=1.0)), start)
    optimizer = build_optimizer(
        OPTIMIZERS.read_call({"sgd": {"momentum": 0.0}}), param_groups(net, learning_rate=0.1)
    )
    for _ in range(150):
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        penalty.add_gradients()
        optimizer.step()
    # 0.3 · 0.9^150 is left
    torch.testing.assert_close(net.get_parameter("0.weight"), start["0.weight"], rtol=0, atol=1e-6)
    assert net.get_parameter("4.weight").abs().max() < 1e-6
    torch.testing.assert_close(net.get_parameter("0.bias"), start["0.bias"] + 0.3)
