"""Noise and adversarial examples have their size, and leave the network as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finetune.config.optim import FGSM
from finetune.optim.freeze import keep_running_statistics
from finetune.regularization.perturbation import add_input_noise, adversarial_loss, fgsm, weight_noise
from finetune.runtime.seeds import derive_seed, make_generator

pytestmark = pytest.mark.usefixtures("seeded")


def test_input_noise_has_its_deviation_and_its_seed() -> None:
    images = torch.ones(64, 3, 16, 16)
    noisy = add_input_noise(images, 0.2, make_generator(0, 1, 2))
    assert (noisy - images).std().item() == pytest.approx(0.2, rel=0.02)  # 49,152 draws
    assert torch.equal(noisy, add_input_noise(images, 0.2, make_generator(0, 1, 2)))
    assert not torch.equal(noisy, add_input_noise(images, 0.2, make_generator(0, 1, 3)))


def test_weight_noise_is_removed_after_the_block() -> None:
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


LOW, HIGH = torch.full((1, 1, 1), -2.0), torch.full((1, 1, 1), 2.0)

pytestmark = pytest.mark.usefixtures("seeded")


def small_net(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, classes)
    )


def test_fgsm_raises_the_loss_within_epsilon_and_range() -> None:
    net, images, targets = small_net(), torch.rand(16, 1, 8, 8) * 4 - 2, torch.arange(16) % 3

    def loss_of(inputs: Tensor) -> Tensor:
        return F.cross_entropy(net(inputs), targets)

    losses = [loss_of(images).item()]
    for epsilon in (0.01, 0.05):
        attacked = fgsm(loss_of, images, epsilon, LOW, HIGH)
        losses.append(loss_of(attacked).item())
        assert (attacked - images).abs().max() <= epsilon * 4 + 1e-6  # the range is 4 wide; float32
        assert attacked.min() >= -2
        assert attacked.max() <= 2
    assert losses[0] < losses[1] < losses[2]
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not images.requires_grad


def test_adversarial_loss_mixes_clean_and_attacked() -> None:
    net, images, targets = small_net().eval(), torch.rand(16, 1, 8, 8) * 4 - 2, torch.arange(16) % 3

    def loss_of(inputs: Tensor) -> Tensor:
        return F.cross_entropy(net(inputs), targets)

    clean = loss_of(images)
    attacked = loss_of(fgsm(loss_of, images, 0.05, LOW, HIGH))
    mixed = adversarial_loss(net, loss_of, images, FGSM(epsilon=0.05, share=0.25), low=LOW, high=HIGH)
    torch.testing.assert_close(mixed, 0.75 * clean + 0.25 * attacked)


def test_adversarial_training_withstands_the_attack_better() -> None:
    targets = torch.arange(90) % 3
    images = 0.5 * torch.randn(90, 1, 8, 8)
    images[torch.arange(90), 0, targets, targets] += 2

    def train(share: float) -> float:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        settings = FGSM(epsilon=0.1, share=share)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.2)

        def loss_of(inputs: Tensor) -> Tensor:
            return F.cross_entropy(net(inputs), targets)

        for _ in range(60):
            optimizer.zero_grad()
            adversarial_loss(net, loss_of, images, settings, low=LOW, high=HIGH).backward()
            optimizer.step()
        return loss_of(fgsm(loss_of, images, 0.1, LOW, HIGH)).item()

    assert train(share=0.5) < 0.8 * train(share=0.0)


def test_kept_statistics_do_not_move_and_then_do() -> None:
    net, images = small_net(), torch.randn(8, 1, 8, 8)
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    with keep_running_statistics(net):
        inside = net(images)
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
    torch.testing.assert_close(net(images), inside)
    assert not any(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
