"""Every spec of the zoo, found by globbing: it reads, fits its schema and facts, builds, and runs forward."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from jsonschema import Draft202012Validator
from torch import nn

import zoo
from zoo.builder.network import BuiltLayer, build_network
from zoo.spec.expand import INPUT_DROP
from zoo.spec.nodes import plain
from zoo.spec.spec import Spec
from zoo.spec.yaml import read_file

SPECS = Path(__file__).resolve().parents[2] / "specs"
ALL = sorted(SPECS.rglob("*.yaml"))
DECLARED = [
    path for path in ALL if zoo.read_spec(path).layers is not None
]  # the others name a model elsewhere
SMALL = [
    path for path in ALL if path.stem in {"lenet5", "resnet20", "resnet_small", "mobilenet_small", "unet"}
]
WIDTHS_STATED = {"mobilenet_v3_small", "mobilenet_v3_large"}
"""Their squeeze and excitation states the width that comes in, which maxout changes."""
# Every norm, activation and drop in turn; a network that takes one of each takes them in any company.
SWAPS = [
    ("none", "leaky_relu", "dropout", "xavier_normal"),
    ("batch_norm", "elu", "dropout2d", "kaiming_uniform"),
    ("layer_norm", "gelu", "drop_block", "orthogonal"),
    ("group_norm", "silu", "drop_path", "sparse"),
    ("local_response_norm", "softsign", "none", "uniform"),
    ("weight_norm", "maxout", "none", "xavier_uniform"),
    ("instance_norm", "sigmoid", "none", "zeros"),
    ("none", "relu6", "none", "kaiming_normal"),
    ("none", "tanh", "none", "ones"),
]

every_spec = pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
every_declared = pytest.mark.parametrize("path", DECLARED, ids=lambda path: path.stem)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def macs(layer: BuiltLayer) -> int:
    """Multiply-adds of one layer for one image: each output value takes its unit's weights."""
    weights = layer.module.get_parameter("weight")
    return layer.output[0] * weights[0].numel() * int(torch.Size(layer.output[1:]).numel())


def test_the_zoo_is_there() -> None:
    assert len(DECLARED) >= 25


@every_spec
def test_spec_states_its_schema_and_fits_it(path: Path) -> None:
    schema_file = SPECS / "spec.schema.json"
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve() == schema_file
    schema = json.loads(schema_file.read_text(encoding="utf-8"))
    errors = Draft202012Validator(schema).iter_errors(plain(read_file(path, path.name)))
    assert [error.message for error in errors] == []


@every_declared
def test_spec_holds_its_facts(path: Path) -> None:
    spec = zoo.read_spec(path)
    network = build_network(spec)
    layers = {layer.path: layer for layer in network.layers}
    facts = spec.facts
    assert spec.source
    assert facts.params in (None, parameters(network.net))
    assert facts.params_of == {part: parameters(network.net.get_submodule(part)) for part in facts.params_of}
    assert facts.macs_of == {part: macs(layers[part]) for part in facts.macs_of}


@every_declared
def test_spec_has_a_head_and_stages_that_are_modules(path: Path) -> None:
    spec = zoo.read_spec(path)
    net = build_network(spec).net
    anatomy = zoo.anatomy(spec, net)
    head = net.get_submodule(anatomy.head)
    assert head.get_parameter("weight").shape[0] == spec.classes
    assert len(anatomy.stages) >= 3
    assert all(net.get_submodule(stage) is not head for stage in anatomy.stages)


@every_declared
def test_resolved_spec_is_a_spec_of_the_same_network(path: Path, tmp_path: Path) -> None:
    spec = zoo.read_spec(path)
    resolved = tmp_path / "anything.yaml"
    resolved.write_text(spec.to_yaml(), encoding="utf-8")
    again = zoo.read_spec(resolved)
    assert "extends" not in spec.document.items
    assert again.name == spec.name
    assert again.to_yaml() == spec.to_yaml()
    assert again.sha256 == spec.sha256
    shapes, shapes_again = (
        {key: value.shape for key, value in build_network(read).net.state_dict().items()}
        for read in (spec, again)
    )
    assert list(shapes.items()) == list(shapes_again.items())


@every_declared
def test_spec_takes_another_number_of_classes(path: Path) -> None:
    spec = zoo.read_spec(path)
    output = build_network(spec, classes=7).output
    assert output[0] == 7
    assert output[1:] == ((spec.input.height, spec.input.width) if spec.task == "segmentation" else ())


SWAPPED = [
    pytest.param(path, swap, id=f"{path.stem}-{'-'.join(swap)}")
    for path in DECLARED
    for swap in SWAPS
    if not ("maxout" in swap and path.stem in WIDTHS_STATED)
]


@pytest.mark.parametrize(("path", "swap"), SWAPPED)
def test_any_choice_can_be_swapped(path: Path, swap: tuple[str, ...]) -> None:
    norm, act, drop, init = swap
    chosen = {"choices.norm": norm, "choices.act": act, "choices.drop": drop, "choices.init": init}
    spec = zoo.read_spec(path, chosen | {"choices.input_drop": "dropout"})
    network = build_network(spec)
    ops = {layer.op for layer in network.layers}
    assert network.layers[0].path == INPUT_DROP
    assert act in ops
    assert norm in {*ops, "none", "weight_norm"}
    assert drop in {*ops, "none"}
    zoo.anatomy(spec, network.net)


@pytest.mark.parametrize("name", sorted(WIDTHS_STATED))
def test_an_activation_that_changes_stated_widths_is_refused_with_the_layer(name: str) -> None:
    spec = zoo.read_spec(name, {"choices.act": "maxout"})
    with pytest.raises(zoo.SpecError, match=r"layers\.features\.\d+\.\S+: needs inputs"):
        build_network(spec)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_small_network_runs_and_learns(path: Path) -> None:
    spec = zoo.read_spec(path)
    net = zoo.build(spec, classes=3, seed=1)
    image = torch.linspace(-1, 1, 2 * spec.input.channels * spec.input.height * spec.input.width)
    batch = image.view(2, spec.input.channels, spec.input.height, spec.input.width)
    out = net(batch)
    assert out.shape[:2] == (2, 3)
    out.square().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    with torch.no_grad():
        assert net.eval()(batch).isfinite().all()


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
@pytest.mark.parametrize("norm", ["weight_norm", "group_norm"])
def test_small_network_runs_with_another_norm(path: Path, norm: str) -> None:
    spec: Spec = zoo.read_spec(path, {"choices.norm": norm})
    net = zoo.build(spec, seed=1).eval()
    with torch.no_grad():
        out = net(torch.zeros(1, spec.input.channels, spec.input.height, spec.input.width))
    assert out.isfinite().all()
