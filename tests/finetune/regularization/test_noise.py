"""Noise on inputs and weights: how large it is, and that it goes away."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finetune.regularization.noise import add_input_noise, weight_noise
from finetune.runtime.seeds import derive_seed, make_generator

pytestmark = pytest.mark.usefixtures("seeded")


def test_input_noise_has_its_deviation_and_its_seed() -> None:
    images = torch.ones(64, 3, 16, 16)
    noisy = add_input_noise(images, 0.2, make_generator(0, 1, 2))
    assert (noisy - images).std().item() == pytest.approx(0.2, rel=0.02)  # 49,152 draws
    assert torch.equal(noisy, add_input_noise(images, 0.2, make_generator(0, 1, 2)))
    assert not torch.equal(noisy, add_input_noise(images, 0.2, make_generator(0, 1, 3)))


def test_weight_noise_is_there_inside_and_gone_after() -> None:
    net = nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 2))
    net[1].requires_grad_(False)
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    with weight_noise(net, 0.1, make_generator(0)):
        moved = {name: parameter.detach() - before[name] for name, parameter in net.named_parameters()}
        net(torch.randn(4, 100)).sum().backward()
    scale = before["0.weight"].square().mean().sqrt()
    assert (moved["0.weight"].std() / scale).item() == pytest.approx(0.1, rel=0.05)  # 10,000 draws
    assert moved["0.bias"].count_nonzero() == moved["1.weight"].count_nonzero() == 0
    assert all(torch.equal(parameter, before[name]) for name, parameter in net.named_parameters())


def test_weight_noise_takes_the_gradient_at_the_noisy_weights() -> None:
    net = nn.Linear(3, 1, bias=False)
    with weight_noise(net, 0.5, make_generator(0)):
        noisy = net.weight.detach().clone()
        net.weight.square().sum().backward()
    torch.testing.assert_close(net.weight.grad, 2 * noisy)
    assert not torch.equal(noisy, net.weight)


def test_weight_noise_is_gone_after_an_error_too() -> None:
    net = nn.Linear(3, 1)
    before = net.weight.detach().clone()
    with pytest.raises(RuntimeError, match="broken"), weight_noise(net, 0.5, make_generator(0)):
        raise RuntimeError("broken")
    assert torch.equal(net.weight, before)


def test_seeds_depend_on_every_part_of_the_place() -> None:
    places = [(0,), (0, 0), (0, 1), (1, 0), (0, 0, "mix"), (0, 0, "noise")]
    seeds = [derive_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert derive_seed(3, 1, "mix") == derive_seed(3, 1, "mix")
