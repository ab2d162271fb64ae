"""Measuring one update, against what is computed by hand; and dead units that are planted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finetune.engine.dead_units import count_dead, dead_shares
from finetune.engine.gauge import Gauge

pytestmark = pytest.mark.usefixtures("seeded")


def two_layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def step(net: nn.Module, gauge: Gauge, *, rate: float, factor: float = 1.0) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    net(torch.randn(8, 4)).square().sum().backward()
    with gauge.measuring(net, factor):
        optimizer.step()


def test_ratios_and_norms_are_those_of_plain_descent() -> None:
    net, gauge = two_layers(), Gauge()
    gauge.arm()
    sizes = {name: float(p.detach().norm()) for name, p in net.named_parameters()}
    step(net, gauge, rate=0.01, factor=0.7)
    norms = {name: float(p.grad.norm()) for name, p in net.named_parameters() if p.grad is not None}
    assert gauge.gradient_norms == pytest.approx({"0": norms["0.weight"], "2": norms["2.weight"]})
    wanted = {layer: 0.01 * norms[f"{layer}.weight"] / sizes[f"{layer}.weight"] for layer in ("0", "2")}
    assert gauge.update_ratios == pytest.approx(wanted, rel=1e-4)  # float32 differences of weights
    assert gauge.gradient_norm == pytest.approx(sum(norm**2 for norm in norms.values()) ** 0.5)
    assert gauge.rate_factor == 0.7


def test_gradients_are_measured_before_they_are_clipped() -> None:
    net, gauge = two_layers(), Gauge()
    gauge.arm()
    net(torch.randn(8, 4)).square().sum().backward()
    with gauge.measuring(net, 1.0):
        before = nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
    assert gauge.gradient_norm == pytest.approx(float(before))


def test_one_update_is_measured_for_each_time_it_is_armed() -> None:
    net, gauge = two_layers(), Gauge()
    step(net, gauge, rate=0.01)
    assert gauge.update_ratios == {}
    gauge.arm()
    step(net, gauge, rate=0.01)
    first = dict(gauge.update_ratios)
    step(net, gauge, rate=0.5)
    assert gauge.update_ratios == first


def test_a_frozen_layer_has_no_reading() -> None:
    net, gauge = two_layers(), Gauge()
    net[0].requires_grad_(False)
    gauge.arm()
    step(net, gauge, rate=0.01)
    assert set(gauge.update_ratios) == {"2"}


def test_a_checkpoint_restores_the_measurements() -> None:
    net, gauge = two_layers(), Gauge()
    gauge.arm()
    step(net, gauge, rate=0.01)
    other = Gauge()
    other.load_state_dict(gauge.state_dict())
    assert vars(other) == vars(gauge)


def test_dead_and_saturated_units_are_counted_and_living_ones_are_not() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10), nn.Tanh())
    for bias, dead in ((net[0].bias, -1e4), (net[3].bias, 1e3)):
        nn.init.zeros_(bias)
        nn.init.constant_(bias[:3], dead)
    with count_dead(net) as counts:
        net(torch.randn(32, 3, 8, 8))
    assert counts == {"1": (3, 8), "4": (3, 10)}
    assert dead_shares(counts) == {"1": 3 / 8, "4": 0.3}


def test_a_unit_that_is_nearly_always_saturated_counts_as_dead() -> None:
    tanh = nn.Tanh()
    pushed = torch.randn(200, 2)
    pushed[:, 0] = 20 * pushed[:, 0].sign()
    with count_dead(nn.Sequential(tanh)) as counts:
        tanh(pushed)
    assert counts == {"0": (1, 2)}


def test_tokens_have_their_units_last_and_a_shared_activation_counts_each_time() -> None:
    relu = nn.ReLU()
    tokens = torch.randn(4, 7, 5)
    tokens[..., 0] = -1
    with count_dead(nn.Sequential(relu)) as counts:
        relu(tokens)
        relu(tokens)
    assert counts == {"0": (2, 10)}


def test_no_hook_is_left_behind() -> None:
    net = two_layers()
    with count_dead(net):
        pass
    assert not net[1]._forward_hooks
