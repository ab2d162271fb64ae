"""Networks that torchvision has too: the same keys, order and shapes; with its weights, its outputs."""

from __future__ import annotations

import pytest
import torch
import torchvision
from nets import weight_shapes
from torch import Tensor, nn

import zoo
from zoo.builder.network import build_network
from zoo.pretrained.load import rules_for
from zoo.pretrained.match import copy_tensors, match_tensors

NAMES = (
    *("alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101"),
    *("resnet152", "densenet121", "densenet161", "densenet169", "densenet201"),
    *("mobilenet_v3_small", "mobilenet_v3_large"),
)
PAIRS = [(name, {}, name) for name in NAMES]
PAIRS += [(f"vgg{n}", {"choices.norm": "batch_norm"}, f"vgg{n}_bn") for n in (11, 13, 16, 19)]

ONE_OF_EACH = {
    "alexnet",
    "vgg11",
    "vgg11_bn",
    "resnet18",
    "resnet50",
    "densenet121",
    "mobilenet_v3_small",
}  # for each kind of block


def theirs(name: str, **settings: object) -> nn.Module:
    """Return torchvision's network on the meta device, where making it costs nothing."""
    with torch.device("meta"):
        net: nn.Module = torchvision.models.get_model(name, weights=None, **settings)
    return net


def filled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return values of the same names and shapes, of a size that neither dies out nor blows up."""
    generator = torch.Generator().manual_seed(0)
    values = {}
    for name, tensor in state.items():
        value = torch.empty(tensor.shape, dtype=tensor.dtype)
        if not tensor.is_floating_point():
            value.zero_()
        elif tensor.dim() > 1:
            bound = (3 / tensor[0].numel()) ** 0.5
            value.uniform_(-bound, bound, generator=generator)
        else:
            low = 0.5 if name.endswith(("running_var", "weight")) else -0.1
            value.uniform_(low, low + 0.7, generator=generator)
        values[name] = value
    return values


def same_weights(ours: nn.Module, other: nn.Module) -> None:
    """Check names, order and shapes, then give both networks the same tensors."""
    yours = other.state_dict()
    assert weight_shapes(ours) == weight_shapes(other)
    values = filled(yours)
    ours.load_state_dict(values, assign=True)
    other.load_state_dict(values, assign=True)
    ours.eval()
    other.eval()


@pytest.mark.parametrize(("name", "choices", "their_name"), PAIRS, ids=[pair[2] for pair in PAIRS])
def test_classifier_has_the_weights_of_torchvision(
    name: str, choices: dict[str, object], their_name: str
) -> None:
    """Names, order and shapes."""
    ours, other = build_network(zoo.read_spec(name, choices)).net, theirs(their_name)
    assert weight_shapes(ours) == weight_shapes(other)


@pytest.mark.parametrize(
    ("name", "choices", "their_name"),
    [pair for pair in PAIRS if pair[2] in ONE_OF_EACH],
    ids=[pair[2] for pair in PAIRS if pair[2] in ONE_OF_EACH],
)
def test_classifier_equals_torchvision(name: str, choices: dict[str, object], their_name: str) -> None:
    ours, other = build_network(zoo.read_spec(name, choices)).net, theirs(their_name)
    same_weights(ours, other)
    images = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        out, expected = ours(images), other(images)
    assert expected.isfinite().all()
    assert torch.equal(out, expected)


def test_convnext_equals_torchvision() -> None:
    """Its permuted linear layers are 1x1 convolutions here, so two kinds of weights have another shape."""
    spec = zoo.read_spec("convnext_tiny")
    ours, other = zoo.build(spec).eval(), torchvision.models.convnext_tiny().eval()
    other.load_state_dict(filled(other.state_dict()))
    match = match_tensors(other.state_dict(), ours, rules_for(spec, ours, "imagenet1k_v1", 1000))
    assert match.fits
    copy_tensors(ours, match.copies)
    images = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        out, expected = ours(images), other(images)
    assert expected.isfinite().all() and expected.std() > 0
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (57, 83)])
def test_fcn_resnet50_equals_torchvision(size: tuple[int, int]) -> None:
    ours = build_network(zoo.read_spec("fcn_resnet50")).net
    other = theirs("fcn_resnet50", weights_backbone=None, aux_loss=True, num_classes=21)
    same_weights(ours, other)
    images = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        out, expected = ours(images), other(images)
        assert torch.equal(out, expected["out"])
        for net in (ours, other):  # both heads in training; dropout apart, which draws at random
            net.train()
            for module in net.modules():
                if isinstance(module, nn.Dropout | nn.BatchNorm2d):
                    module.eval()
        main, auxiliary = ours(images)
        expected = other(images)
    assert torch.equal(main, expected["out"])
    assert torch.equal(auxiliary, expected["aux"])


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s"])
def test_fcn_gives_every_input_its_own_size(name: str) -> None:
    """On narrow layers: VGG-16's 4096 channels would take a while and show no more."""
    narrow: dict[str, object] = {"layers.fc6.conv.out": 8, "layers.fc7.conv.out": 8}
    net = zoo.build(zoo.read_spec(name, narrow), classes=3).eval()
    with torch.no_grad():
        for size in ((32, 32), (64, 96), (33, 50)):
            assert net(torch.zeros(1, 3, *size)).shape == (1, 3, *size)
