"""`zoo.build` and `zoo.anatomy`; networks that other code takes in hand: exported, copied, hooked."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from nets import HEAD, TAIL, write
from torch import nn

import zoo
from zoo.builder.graph import Graph
from zoo.errors import SpecError, WeightsError

SPECS = Path(__file__).resolve().parents[2] / "specs"
WIRED = f"""\
{HEAD}
layers:
  a: [{{conv: {{out: 8, kernel: 3, padding: 1}}, as: low}}, relu]
  b:
    inner: [relu, {{add: {{}}, from: [input, low]}}]
    around: {{concat: {{}}, from: [inner, low, input]}}
  again: {{add: {{}}, from: [b, b]}}
  same: none
{TAIL}"""


def test_wires_within_and_across_groups(tmp_path: Path) -> None:
    net = zoo.build(write(tmp_path, WIRED), seed=0).eval()
    x = torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        low = net.get_submodule("a.0")(x)
        a = low.relu()
        b = torch.cat([a + low, low, a], dim=1)
        expected = net.get_submodule("fc")((b + b).mean((2, 3)))
        assert torch.allclose(net(x), expected, atol=1e-6)  # the pool sums in another order


def test_chains_are_plain_sequentials_and_taps_leave_nothing_behind(tmp_path: Path) -> None:
    net = zoo.build(write(tmp_path, WIRED))
    kinds = {name: type(module) for name, module in net.named_modules()}
    assert kinds[""] is kinds["a"] is kinds["b"] is kinds["b.inner"] is Graph
    assert type(zoo.build("lenet5")) is nn.Sequential
    before = {name: len(vars(module)) for name, module in net.named_modules()}
    net(torch.rand(2, 3, 9, 9))
    assert {name: len(vars(module)) for name, module in net.named_modules()} == before


def test_stages_give_tensors_to_hooks() -> None:
    spec = zoo.read_spec(SPECS / "examples/unet.yaml")
    net = zoo.build(spec).eval()
    seen: dict[str, torch.Size] = {}
    for stage in zoo.anatomy(spec, net).stages:
        net.get_submodule(stage).register_forward_hook(
            lambda module, given, out, stage=stage: seen.update({stage: out.shape})
        )
    with torch.no_grad():
        net(torch.rand(1, 3, 64, 64))
    assert [shape[1] for shape in seen.values()] == [16, 32, 64, 128]


def test_network_is_copied_and_pickled(tmp_path: Path) -> None:
    net = zoo.build(write(tmp_path, WIRED)).eval()
    x = torch.rand(1, 3, 9, 9)
    with torch.no_grad():
        expected = net(x)
        assert torch.equal(copy.deepcopy(net)(x), expected)
        assert torch.equal(pickle.loads(pickle.dumps(net))(x), expected)


@pytest.mark.parametrize("norm", ["batch_norm", "weight_norm"])
def test_wired_network_is_exported(norm: str) -> None:
    spec = zoo.read_spec(SPECS / "examples/unet.yaml", {"choices.norm": norm})
    net = zoo.build(spec, seed=0).eval()
    x = torch.rand(2, 3, 32, 32)
    program = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    with torch.no_grad():
        assert torch.allclose(
            program.module()(x[:1].repeat(3, 1, 1, 1)), net(x[:1].repeat(3, 1, 1, 1)), atol=1e-6
        )


def test_weight_norm_holds_the_same_weights_as_direction_and_length() -> None:
    plain = zoo.build(zoo.read_spec("lenet5"), seed=4).eval()
    held = zoo.build(zoo.read_spec("lenet5", {"choices.norm": "weight_norm"}), seed=4).eval()
    assert "conv1.parametrizations.weight.original0" in held.state_dict()
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(held(x), plain(x), atol=1e-6)  # g v / |v| rounds


def test_weight_norm_holds_zeros_too() -> None:
    """FCN's score layers start at zero, which has no direction."""
    narrow: dict[str, object] = {
        "layers.fc6.conv.out": 8,
        "layers.fc7.conv.out": 8,
        "choices.norm": "weight_norm",
    }
    net = zoo.build(zoo.read_spec("fcn32s", narrow), classes=2).eval()
    with torch.no_grad():
        assert (net(torch.rand(1, 3, 32, 32)) == 0).all()


def test_classes_can_be_others_than_the_spec_s() -> None:
    net = zoo.build("lenet5", classes=3, seed=0)
    assert net.get_parameter("fc3.weight").shape == (3, 84)
    assert torch.equal(
        net.get_parameter("fc2.weight"), zoo.build("lenet5", seed=0).get_parameter("fc2.weight")
    )


def test_fixed_last_layer_is_told_of_other_classes(tmp_path: Path) -> None:
    path = write(tmp_path, WIRED.replace("$classes", "4"))
    zoo.build(path)
    with pytest.raises(SpecError, match="the network returns 4, but classification of 5 classes needs 5"):
        zoo.build(path, classes=5)


def test_weights_that_are_not_declared() -> None:
    with pytest.raises(WeightsError, match=r"unknown weights 'imagenet'\n.*did you mean 'imagenet1k_v1'"):
        zoo.build("resnet18", weights="imagenet")
    with pytest.raises(WeightsError, match=r"unknown weights 'imagenet1k_v1'\n  expected: none$"):
        zoo.build("lenet5", weights="imagenet1k_v1")


def test_anatomy_is_the_spec_s_own() -> None:
    spec = zoo.read_spec("resnet18")
    anatomy = zoo.anatomy(spec, zoo.build("resnet_small"))
    assert anatomy == zoo.Anatomy("fc", ("layer1", "layer2", "layer3", "layer4"))


def test_anatomy_is_found_where_the_spec_says_none(tmp_path: Path) -> None:
    spec = zoo.read_spec(write(tmp_path, WIRED))
    assert zoo.anatomy(spec, zoo.build(spec)) == zoo.Anatomy("fc", ("a", "b"))
    flat = f"{HEAD}layers:\n  conv1: {{conv: {{out: 8, kernel: 3}}}}\n  act1: relu\n{TAIL}"
    spec = zoo.read_spec(write(tmp_path, flat))
    assert zoo.anatomy(spec, zoo.build(spec)).stages == ("conv1", "act1", "pool", "flatten")
