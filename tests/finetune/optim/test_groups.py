"""Which parameters learn, at which rate and with which decay."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import timm
import torch
from torch import nn

from finetune.optim.groups import layer_depths, param_groups
from zoo.errors import GraftError


def block(channels: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(conv=nn.Conv2d(channels, channels, 3, padding=1), bn=nn.BatchNorm2d(channels))
    )


def small_net() -> nn.Module:
    """Stem, one stage of two blocks, head."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 4, 3, bias=False),
            bn1=nn.BatchNorm2d(4),
            layer1=nn.Sequential(block(4), block(4)),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(4, 5),
        )
    )


def settings_of(groups: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Each parameter's (rate, decay)."""
    return {
        name: (group["lr"], group["decoupled_decay"]) for group in groups for name in group["param_names"]
    }


def test_biases_and_norms_do_not_decay() -> None:
    found = settings_of(param_groups(small_net(), learning_rate=0.1, weight_decay=0.01))
    decayed = {name for name, (_, decay) in found.items() if decay == 0.01}
    assert decayed == {"conv1.weight", "layer1.0.conv.weight", "layer1.1.conv.weight", "fc.weight"}
    assert {decay for name, (_, decay) in found.items() if name not in decayed} == {0.0}


def test_every_parameter_is_in_one_group() -> None:
    net = small_net()
    groups = param_groups(net, learning_rate=0.1, weight_decay=0.01, rates={"fc": 10.0})
    held = [parameter for group in groups for parameter in group["params"]]
    assert len(groups) == 4
    assert len(held) == len(list(net.parameters())) == len({id(parameter) for parameter in held})


def test_names_that_the_network_spares_do_not_decay() -> None:
    vit = timm.create_model("test_vit", num_classes=3)
    found = settings_of(param_groups(vit, learning_rate=0.1, weight_decay=0.01))
    assert found["pos_embed"] == (0.1, 0.0)
    assert found["blocks.0.mlp.fc1.weight"] == (0.1, 0.01)


def test_the_longest_path_gives_the_rate() -> None:
    rates = {"layer1": 0.5, "layer1.1": 0.25, "fc": 4.0}
    found = settings_of(param_groups(small_net(), learning_rate=0.1, rates=rates))
    assert found["conv1.weight"][0] == pytest.approx(0.1)
    assert found["layer1.0.conv.weight"][0] == pytest.approx(0.05)
    assert found["layer1.1.bn.bias"][0] == pytest.approx(0.025)
    assert found["fc.bias"][0] == pytest.approx(0.4)


def test_layer_decay_lowers_the_rate_once_a_layer() -> None:
    found = settings_of(param_groups(small_net(), learning_rate=0.1, layer_decay=0.5, stages=["layer1"]))
    rates = {name: rate for name, (rate, _) in found.items()}
    assert rates["fc.weight"] == rates["fc.bias"] == pytest.approx(0.1)
    assert rates["layer1.1.conv.weight"] == rates["layer1.1.bn.weight"] == pytest.approx(0.05)
    assert rates["layer1.0.conv.weight"] == pytest.approx(0.025)
    assert rates["conv1.weight"] == rates["bn1.weight"] == pytest.approx(0.0125)


def test_layers_outside_stages_are_modules() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    depths = layer_depths(net)
    assert [depths[f"{index}.weight"] for index in (0, 2, 3, 4)] == [0, 1, 1, 2]


def test_networks_of_timm_name_their_own_layers() -> None:
    depths = layer_depths(timm.create_model("test_vit", num_classes=3))
    assert depths["pos_embed"] == 0
    assert depths["blocks.0.mlp.fc1.weight"] < depths["blocks.1.mlp.fc1.weight"] < depths["head.weight"]


def test_frozen_parameters_are_in_no_group() -> None:
    net = small_net()
    net.get_submodule("layer1").requires_grad_(False)
    names = settings_of(param_groups(net, learning_rate=0.1, rates={"conv1": 0.0}))
    assert set(names) == {"bn1.weight", "bn1.bias", "fc.weight", "fc.bias"}


def test_a_frozen_stage_does_not_change_and_a_slow_one_changes_less() -> None:
    torch.manual_seed(0)
    net = small_net()
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    groups = param_groups(net, learning_rate=0.1, rates={"conv1": 0.0, "layer1": 0.01})
    optimizer = torch.optim.SGD(groups, lr=0.1)
    net(torch.randn(8, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    for name, parameter in net.named_parameters():
        if name.startswith("conv1."):
            assert torch.equal(parameter, before[name])
            assert parameter.grad is None
            continue
        rate = 0.001 if name.startswith("layer1.") else 0.1
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.detach(), before[name] - rate * parameter.grad)


def test_a_path_without_parameters_is_refused() -> None:
    with pytest.raises(
        GraftError, match="'layer9' contains no parameter; expected a path under conv1, bn1, layer1"
    ):
        param_groups(small_net(), learning_rate=0.1, rates={"layer9": 0.1})


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(GraftError, match="no parameter is left to train"):
        param_groups(small_net().requires_grad_(False), learning_rate=0.1)
