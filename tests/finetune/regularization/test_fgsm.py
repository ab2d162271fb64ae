"""Adversarial images: the loss goes up, and training on them helps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finetune.config.optim import FGSM
from finetune.optim.batch_norm import keep_statistics
from finetune.regularization.fgsm import adversarial_loss, fgsm

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
    with keep_statistics(net):
        inside = net(images)
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
    torch.testing.assert_close(net(images), inside)
    assert not any(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
