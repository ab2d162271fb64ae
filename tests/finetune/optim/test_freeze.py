"""What learns, and what stays as it was loaded."""

import torch
from torch import nn

from finetune.optim.freeze import covers, freeze, set_training, use_stored_statistics


def small_net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))


def test_only_the_named_paths_learn() -> None:
    net = small_net()
    freeze(net, ["3"])
    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["3.weight", "3.bias"]
    freeze(net, [""])
    assert all(p.requires_grad for p in net.parameters())


def test_a_path_covers_whole_names_only() -> None:
    assert covers("layer1", "layer1.0.weight")
    assert covers("", "anything")
    assert not covers("layer1", "layer10.weight")


def test_a_frozen_batch_norm_keeps_its_statistics() -> None:
    net = small_net()
    freeze(net, ["3"])
    set_training(net)
    before = net[1].running_mean.clone()  # type: ignore[union-attr, operator]
    net(torch.randn(8, 3, 8, 8) + 5)
    assert torch.equal(before, net[1].running_mean)  # type: ignore[arg-type]
    freeze(net, [""])
    set_training(net)
    net(torch.randn(8, 3, 8, 8) + 5)
    assert not torch.equal(before, net[1].running_mean)  # type: ignore[arg-type]


def test_a_batch_norm_may_learn_and_keep_its_stored_statistics() -> None:
    net = small_net()
    freeze(net, [""])
    use_stored_statistics(net, True)
    set_training(net)
    assert net.training and not net[1].training
    images = torch.randn(8, 3, 8, 8) + 5
    before = net[1].running_mean.clone()  # type: ignore[union-attr, operator]
    trained = net(images)
    trained.square().mean().backward()
    assert torch.equal(before, net[1].running_mean)  # type: ignore[arg-type]
    assert net[1].weight.grad.abs().sum() > 0  # type: ignore[union-attr, operator]
    assert torch.allclose(net.eval()(images), trained)
    use_stored_statistics(net, False)
    set_training(net)
    assert net[1].training
