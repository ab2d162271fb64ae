"""Penalties, noise and adversarial images: what each does to weights, gradients and losses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finetune.adversarial import adversarial_loss, fgsm
from finetune.batch_norm import keep_statistics
from finetune.groups import param_groups
from finetune.noise import add_input_noise, weight_noise
from finetune.optim import OPTIMIZERS, build_optimizer
from finetune.regularise import build_penalty, starting_point
from finetune.seeds import derive_seed, make_generator
from finetune.settings.optim import FGSM, L2SP, OptimSettings

LOW, HIGH = torch.full((1, 1, 1), -2.0), torch.full((1, 1, 1), 2.0)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small tensors: more threads only wait for each other
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


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
    start = starting_point(net, new=["4"])
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
    start = starting_point(net, new=["4"])
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
    start = starting_point(net, new=["4"])
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


def test_seeds_depend_on_every_part_of_the_place() -> None:
    places = [(0,), (0, 0), (0, 1), (1, 0), (0, 0, "mix"), (0, 0, "noise")]
    seeds = [derive_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert derive_seed(3, 1, "mix") == derive_seed(3, 1, "mix")
