"""`describe`: layers, parameters and multiply-adds, compared with the papers and with torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.builder.network import build_network
from zoo.catalog.networks import build_on_meta
from zoo.describe import Description, LayerRow, describe
from zoo.describe.trace import trace_layers
from zoo.spec.header import Input

ROOT = Path(__file__).resolve().parents[3]
UNET, MOBILENET = "specs/examples/unet.yaml", "specs/examples/mobilenet_small.yaml"
EVERY_KIND = ["alexnet", "densenet121", "fcn8s", "fcn_resnet50", "lenet5", "resnet18", "resnet20"]


@cache
def described(name: str, *changes: tuple[str, str]) -> Description:
    return describe(zoo.read_spec(ROOT / name if name.endswith(".yaml") else name, dict(changes)))


def weighty(description: Description) -> list[LayerRow]:
    return [row for row in description.layers if row.macs]


def test_alexnet_2012_is_that_of_the_paper() -> None:
    rows = weighty(described("alexnet_2012"))
    weights = [row.params - row.output[0] for row in rows]  # biases aside: one an output channel
    assert [round(count / 1e3) for count in weights[:5]] == [35, 307, 885, 664, 442]
    assert [round(count / 1e6) for count in weights[5:]] == [38, 17, 4]
    assert [round(row.macs / 1e6) for row in rows] == [105, 224, 150, 112, 75, 38, 17, 4]
    assert described("alexnet_2012").params == 60_965_224


def test_lenet5_is_that_of_the_paper() -> None:
    assert [row.params for row in weighty(described("lenet5"))] == [156, 2_416, 48_120, 10_164, 850]
    assert described("lenet5").params == 61_706


def test_vgg16_is_that_of_the_paper() -> None:
    kinds = dict.fromkeys(row.params for row in weighty(described("vgg16")))
    assert list(kinds) == [
        1_792, 36_928, 73_856, 147_584, 295_168, 590_080, 1_180_160, 2_359_808, 102_764_544, 16_781_312,
        4_097_000,
    ]  # fmt: skip
    assert described("vgg16").params == 138_357_544
    assert described("vgg16").macs == 15_470_264_320


@pytest.mark.parametrize("name", [*EVERY_KIND, UNET, MOBILENET])
def test_the_layers_are_those_of_the_spec(name: str) -> None:
    description = described(name)
    declared = build_network(description.spec).layers
    assert [row.path for row in description.layers] == [built.path for built in declared]
    for row, built in zip(description.layers, declared, strict=True):
        assert (row.kind, row.output) == (built.op, built.output), row.path
        assert row.params == sum(parameter.numel() for parameter in built.module.parameters()), row.path


def test_the_inputs_of_a_layer_are_the_layers_that_made_them() -> None:
    unet = described(UNET)
    concats = [row for row in unet.layers if row.kind == "concat"]
    assert len(concats) > 1
    assert all(len(row.sources) == 2 for row in concats)
    assert unet.layers[0].sources == (":image",)
    assert unet.result == unet.layers[-1].id


@pytest.mark.parametrize("norm", ["none", "group_norm", "weight_norm"])
def test_parameters_are_those_of_the_network_built(norm: str) -> None:
    description = described("lenet5", ("choices.norm", norm))
    net = zoo.build(description.spec)
    assert description.params == sum(parameter.numel() for parameter in net.parameters())
    assert description.params == sum(row.params for row in description.layers)
    assert description.state_bytes == sum(value.numel() * 4 for value in net.state_dict().values())
    described_so = [row for row in description.layers if "weight norm" in row.arguments]
    assert len(described_so) == (5 if norm == "weight_norm" else 0)


def test_huge_networks_take_no_memory() -> None:
    spec = zoo.read_spec("lenet5", {"layers.fc1.linear.out": 10**8})
    assert describe(spec).below("fc1")[0].params == 401 * 10**8


def test_vgg16_is_described_in_two_seconds() -> None:
    describe(zoo.read_spec("lenet5"))  # torch imports much at its first operation
    start = time.process_time()
    describe(zoo.read_spec("vgg16"))
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("change", "kind", "count"),
    [
        (("choices.norm", "group_norm"), "group_norm", 20),
        (("choices.act", "gelu"), "gelu", 17),
        (("choices.drop", "dropout"), "dropout", 8),
        (("choices.input_drop", "dropout"), "dropout", 1),
    ],
)
def test_choices_change_the_layers(change: tuple[str, str], kind: str, count: int) -> None:
    def of_kind(description: Description) -> int:
        return sum(row.kind == kind for row in description.layers)

    assert of_kind(described("resnet18")) == 0
    assert of_kind(described("resnet18", change)) == count


def test_initialisers_are_described() -> None:
    assert described("resnet18").layers[0].init == {"weight": "kaiming_normal(mode fan_out)"}
    assert described("resnet18").below("bn1")[0].init == {"weight": "ones", "bias": "zeros"}
    swapped = described("resnet18", ("choices.init", "orthogonal"))
    assert swapped.layers[0].init == {"weight": "orthogonal"}
    assert described("alexnet_2012").below("conv2")[0].init == {"weight": "normal(std 0.01)", "bias": "ones"}


def test_arguments_are_described() -> None:
    alexnet, unet = described("alexnet_2012"), described(UNET)
    assert alexnet.below("conv1")[0].arguments == ("11x11", "stride 4")
    assert alexnet.below("conv2")[0].arguments == ("5x5", "pad 2", "2 groups")
    assert alexnet.below("norm1")[0].arguments == ("size 5", "alpha 0.0005", "beta 0.75", "k 2")
    assert alexnet.below("pool1")[0].arguments == ("3x3", "stride 2")
    assert alexnet.below("drop6")[0].arguments == ("p 0.5",)
    assert alexnet.below("fc8")[0].arguments == ("4,096 to 1,000",)
    assert unet.below("up3.up")[0].arguments == ("2x2", "stride 2")
    mobilenet = described(MOBILENET)
    assert mobilenet.below("stage2.0.depthwise")[0].arguments == (
        "3x3", "stride 2", "pad 1", "depthwise", "no bias",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "alexnet_2012", "densenet121", "lenet5"])
def test_stages_are_those_of_partial_fine_tuning(name: str) -> None:
    description = described(name)
    net = build_network(description.spec).net
    trained = {
        stage: sum(sum(p.numel() for p in _parameters(net, path)) for path in paths)
        for stage, paths in zoo.stage_parts(net, zoo.anatomy(description.spec, net)).items()
    }
    shown = {
        stage: sum(row.params for row in description.layers if row.part == stage)
        for stage in description.stages
    }
    assert shown == trained
    assert [row.path for row in description.layers if row.part == description.head] == [description.head]


def _parameters(net: nn.Module, path: str) -> Sequence[nn.Parameter]:
    named = dict(net.named_parameters())
    return [named[path]] if path in named else list(net.get_submodule(path).parameters())


def catalogued(tmp_path: Path, model: str) -> Description:
    file = tmp_path / "net.yaml"
    file.write_text(f"model: {model}\nclasses: 1000\n")
    return describe(zoo.read_spec(file))


def test_catalogued_network_equals_the_declared_one(tmp_path: Path) -> None:
    theirs, ours = catalogued(tmp_path, "{torchvision: resnet18}"), described("resnet18")
    assert (theirs.params, theirs.macs, theirs.head) == (ours.params, ours.macs, ours.head)

    def measured(description: Description) -> list[tuple[str, int, int, tuple[int, ...]]]:
        return [(row.path, row.params, row.macs, row.output) for row in description.layers if row.params]

    assert measured(theirs) == measured(ours)
    assert [row.kind for row in theirs.layers[:4]] == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    joins = [row for row in theirs.layers if row.kind == "add"]
    assert [row.path for row in joins] == [f"layer{i}.{j}" for i in (1, 2, 3, 4) for j in (0, 1)]
    assert joins[0].sources == ("layer1.0.bn2", "maxpool")
    assert joins[2].sources == ("layer2.0.bn2", "layer2.0.downsample.1")


def test_only_products_with_weights_are_counted(tmp_path: Path) -> None:
    description = catalogued(tmp_path, "{timm: test_vit}")
    assert description.params == sum(row.params for row in description.layers)
    net, size = build_on_meta(description.spec).eval(), description.spec.input
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, size.height, size.width, device="meta"))
    operations = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    of_values = operations["aten.bmm"]  # queries by keys, attention by values: no weights in it
    assert sum(operations.values()) - of_values == 2 * description.macs


def test_a_weight_used_outside_of_its_module_counts_as_that_module() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 5, device="meta")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(x, self.layer.weight * 2, self.layer.bias)

    rows, _ = trace_layers(Net(), Input(channels=3, height=4, width=4))
    assert [(row.path, row.params, row.macs) for row in rows] == [("layer", 25, 3 * 4 * 4 * 5)]


def test_attention_of_torch_is_one_layer() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True, device="meta")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens)[0]  # type: ignore[no-any-return]

    rows, result = trace_layers(Net(), Input(channels=8, height=4, width=4))
    assert [(row.path, row.params, row.macs, row.output) for row in rows] == [
        ("attention", 4 * 8 * 8 + 4 * 8, 16 * 4 * 8 * 8, (16, 8))
    ]
    assert result == "attention"


def test_layers_used_twice_and_never() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1, device="meta")
            self.spare = nn.Linear(4, 4, device="meta")
            self.scale = nn.Parameter(torch.empty(3, 1, 1, device="meta"))
            self.keep = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            once = self.conv(x)
            return torch.relu(self.conv(once) * self.scale + self.keep(once))

    rows, result = trace_layers(Net(), Input(channels=3, height=8, width=8))
    assert {row.id: (row.kind, row.params, row.macs, row.sources) for row in rows} == {
        "conv": ("Conv2d", 12, 9 * 64, (":image",)),
        "conv#1": ("Conv2d", 0, 9 * 64, ("conv",)),
        "": ("Net", 3, 0, ("conv#1",)),
        "keep": ("Identity", 0, 0, ("conv",)),
        ":add": ("add", 0, 0, ("", "keep")),
        "spare": ("Linear", 20, 0, ()),
    }
    assert result == ":add"
