"""Every layer: what it refuses in a spec, and what it computes, against torch's own or by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from nets import LAYERS, make, network_of, spec_of
from torch import Tensor, nn

from zoo.errors import SpecError
from zoo.layers.norm import default_groups
from zoo.registry import ACTIVATIONS, DROPS, NORMS, Entry
from zoo.spec.expand import MODULE_NAMES
from zoo.spec.items import PARAMETRISATIONS

WITH_ARGUMENTS = [entry for entry in LAYERS.values() if entry.parameters]
WITH_REQUIRED = [entry for entry in LAYERS.values() if entry.required]


def values(*shape: int) -> Tensor:
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(1, *shape)


def messages(folder: Path, item: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec_of(folder, f"  stem: relu\n  one: {item}\n")
    return [f"{problem.where}: {problem.message}" for problem in caught.value.problems]


@pytest.mark.parametrize("entry", LAYERS.values(), ids=LAYERS)
def test_wrong_key_of_any_layer_is_told(entry: Entry, tmp_path: Path) -> None:
    wires = ", from: [stem, input]" if entry.arity[0] == 2 else ""
    assert f"layers.one.{entry.name}: unknown key 'qq'" in messages(
        tmp_path, f"{{{entry.name}: {{qq: 1}}{wires}}}"
    )


@pytest.mark.parametrize("entry", WITH_REQUIRED, ids=lambda entry: entry.name)
def test_missing_key_of_any_layer_is_told(entry: Entry, tmp_path: Path) -> None:
    expected = [f"layers.one.{entry.name}: missing key '{key}'" for key in entry.required]
    assert messages(tmp_path, f"{{{entry.name}: {{}}}}") == expected
    assert messages(tmp_path, entry.name) == expected


@pytest.mark.parametrize("entry", WITH_ARGUMENTS, ids=lambda entry: entry.name)
def test_wrong_type_of_any_argument_is_told(entry: Entry, tmp_path: Path) -> None:
    wires = ", from: [stem, input]" if entry.arity[0] == 2 else ""
    arguments = ", ".join(f"{parameter.name}: {{a: b}}" for parameter in entry.parameters)
    expected = [
        f"layers.one.{entry.name}.{parameter.name}: found a mapping" for parameter in entry.parameters
    ]
    assert messages(tmp_path, f"{{{entry.name}: {{{arguments}}}{wires}}}") == expected


@pytest.mark.parametrize("entry", LAYERS.values(), ids=LAYERS)
def test_every_layer_says_what_it_does(entry: Entry) -> None:
    assert entry.doc.endswith(".")


def test_depthwise_conv_is_a_conv_in_as_many_groups() -> None:
    depthwise = make("depthwise_conv", (3, 5, 5), kernel=3, multiplier=2)
    assert isinstance(depthwise, nn.Conv2d)
    assert (depthwise.groups, depthwise.out_channels) == (3, 6)
    x = values(3, 5, 5)
    expected = F.conv2d(x, torch.ones(6, 1, 3, 3), torch.zeros(6), groups=3)
    assert torch.equal(depthwise(x), expected)


def test_pools_overlap_and_round_as_told() -> None:
    x = values(1, 6, 6)
    assert make("max_pool", (1, 6, 6), kernel=3, stride=2)(x).flatten().tolist() == [14, 16, 26, 28]
    assert make("max_pool", (1, 6, 6), kernel=3, stride=2, ceil_mode=True)(x).shape[-2:] == (3, 3)
    assert make("avg_pool", (1, 6, 6), kernel=(6, 3))(x).flatten().tolist() == [16, 19]
    assert make("adaptive_avg_pool", (1, 6, 6), size=2)(x).flatten().tolist() == [7, 10, 25, 28]
    assert make("adaptive_max_pool", (1, 6, 6), size=(1, 2))(x).flatten().tolist() == [32, 35]


def test_joins() -> None:
    one, two = values(2, 1, 1), values(2, 1, 1) + 10
    shape = (2, 1, 1)
    assert make("add", shape, shape, shape)(one, two, two).flatten().tolist() == [20, 23]
    assert make("multiply", shape, shape)(one, two).flatten().tolist() == [0, 11]
    assert make("concat", shape, shape)(two, one).flatten().tolist() == [10, 11, 0, 1]


def test_auxiliary_gives_both_in_training_only() -> None:
    joined = make("auxiliary", (2, 4, 4), (2, 4, 4))
    main, other = values(2, 4, 4), values(2, 4, 4) + 1
    assert joined(main, other) is main
    both = joined.train()(main, other)
    assert both.main is main
    assert both.auxiliary is other


def test_pad_shortcut_leaves_pixels_out_and_adds_channels_of_zeros() -> None:
    out = make("pad_shortcut", (2, 4, 4), out=5, stride=2)(values(2, 4, 4))
    assert out.shape == (1, 5, 2, 2)
    assert out[0, 0].tolist() == [[0, 2], [8, 10]]
    assert not out[0, 2:].any()
    assert isinstance(make("pad_shortcut", (2, 4, 4), out=2), nn.Identity)


def test_pad_shortcut_adds_channels_on_both_sides() -> None:
    image = torch.ones(1, 16, 4, 4)
    shortcut = {sides: make("pad_shortcut", (16, 4, 4), out=32, sides=sides) for sides in ("end", "both")}
    kept = {sides: module(image)[0, :, 0, 0].nonzero().ravel() for sides, module in shortcut.items()}
    assert kept["end"].tolist() == list(range(16))
    assert kept["both"].tolist() == list(range(8, 24))
    odd = make("pad_shortcut", (2, 4, 4), out=5, sides="both")(values(2, 4, 4))
    assert odd.shape[1] == 5
    assert not odd[0, [0, 3, 4]].any()


def test_projection_is_the_identity_where_shapes_agree(tmp_path: Path) -> None:
    layers = "  same: {projection: {out: 3}}\n  wide: {projection: {out: 8, stride: 2}}\n"
    plain = network_of(tmp_path, layers, "choices: {norm: none}\n")
    normed = network_of(tmp_path, layers, "choices: {norm: batch_norm}\n")
    assert isinstance(normed.net.get_submodule("same"), nn.Identity)
    assert [layer.op for layer in normed.layers][:3] == ["projection", "conv", "batch_norm"]
    assert [layer.op for layer in plain.layers][:2] == ["projection", "conv"]
    assert "wide.1.running_mean" in normed.net.state_dict()


def test_upsampling_agrees_with_torch() -> None:
    x = values(2, 3, 3)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.equal(make("upsample", (2, 3, 3), scale=2.0)(x), expected)
    assert torch.equal(make("resize_to", (2, 3, 3), (1, 6, 6))(x, values(1, 6, 6)), expected)
    nearest = make("upsample", (2, 3, 3), size=6, mode="nearest")(x)
    assert torch.equal(nearest, x.repeat_interleave(2, 2).repeat_interleave(2, 3))


@pytest.mark.parametrize("size", [(5, 7), (8, 8), (1, 9)])
def test_padding_to_a_multiple_is_undone_by_a_crop(size: tuple[int, int]) -> None:
    x = values(2, *size)
    padded = make("pad_to_multiple", (2, *size), multiple=8)(x)
    assert padded.shape[-2] % 8 == padded.shape[-1] % 8 == 0
    assert padded.sum() == x.sum()
    assert torch.equal(make("crop_to", tuple(padded.shape[1:]), (2, *size))(padded, x), x)


def test_pads() -> None:
    x = values(1, 2, 2)
    assert make("pad", (1, 2, 2), size=1)(x)[0, 0].tolist() == [[0] * 4, [0, 0, 1, 0], [0, 2, 3, 0], [0] * 4]
    assert make("pad", (1, 2, 2), size=1, mode="reflect")(x)[0, 0, 0].tolist() == [3, 2, 3, 2]
    assert make("pad", (1, 2, 2), size=(0, 2, 0, 0), mode="replicate")(x)[0, 0, 1].tolist() == [2, 3, 3, 3]


@pytest.mark.parametrize("name", [name for name in NORMS.names() if name not in PARAMETRISATIONS])
def test_norm_keeps_the_shape_and_evens_out(name: str) -> None:
    module = make(name, (8, 5, 5)).train()
    x = 3 + 2 * torch.randn(4, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    out = module(x).detach()
    assert out.shape == x.shape
    if name != "local_response_norm":  # which divides by neighbours, and centres nothing
        assert abs(float(out.mean())) < 1e-5
        assert abs(float(out.std()) - 1) < 0.01


def test_local_response_norm_is_the_paper_s() -> None:
    x = torch.rand(1, 6, 2, 2, generator=torch.Generator().manual_seed(0))
    out = make("local_response_norm", (6, 2, 2), size=5, alpha=5e-4, beta=0.75, k=2.0)(x)
    neighbours = sum(float(x[0, c, 0, 0]) ** 2 for c in range(1, 6))  # of channel 3, of 5
    expected = float(x[0, 3, 0, 0]) / (2 + 1e-4 * neighbours) ** 0.75
    assert float(out[0, 3, 0, 0]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "group_norm"])
def test_norm_of_flat_features(name: str) -> None:
    out = make(name, (8,)).train()(values(4, 8).reshape(4, 8))
    assert out.shape == (4, 8)


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(1, 1), (2, 1), (3, 1), (6, 3), (7, 1), (16, 8), (32, 16), (48, 24), (64, 32), (96, 32)],
)
def test_default_groups_divide_and_hold_two_channels_or_more(channels: int, groups: int) -> None:
    assert default_groups(channels) == groups


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_activation_of_maps_and_flat_features_leaves_its_input(name: str) -> None:
    for shape in ((4, 3, 3), (4,)):
        x = torch.linspace(-2, 2, 2 * math.prod(shape)).reshape(2, *shape)
        before = x.clone()
        out = make(name, shape)(x)
        assert torch.equal(x, before)
        assert out.shape == ((2, 2, *shape[1:]) if name == "maxout" else x.shape)


def test_activations_compute_what_they_say() -> None:
    x = torch.tensor([[-2.0, 8.0]])
    assert make("relu6", (2,))(x).tolist() == [[0, 6]]
    assert make("leaky_relu", (2,), slope=0.25)(x).tolist() == [[-0.5, 8]]
    assert make("softsign", (2,))(x).tolist() == [[pytest.approx(-2 / 3), pytest.approx(8 / 9)]]
    assert make("maxout", (2,))(x).tolist() == [[8]]
    assert make("maxout", (4, 1, 1))(values(4, 1, 1)).flatten().tolist() == [1, 3]


@pytest.mark.parametrize("name", DROPS.names())
def test_drop_is_the_identity_outside_training_and_at_zero(name: str) -> None:
    x = torch.rand(2, 4, 9, 9)
    assert torch.equal(make(name, (4, 9, 9))(x), x)
    assert torch.equal(make(name, (4, 9, 9), p=0.0).train()(x), x)
    assert make(name, (4,)).train()(torch.rand(2, 4)).shape == (2, 4)


@pytest.mark.parametrize("name", DROPS.names())
def test_drop_zeroes_its_share_and_keeps_the_mean(name: str) -> None:
    torch.manual_seed(0)
    x = torch.ones(400, 10, 14, 14)
    out = make(name, (10, 14, 14), p=0.25).train()(x)
    # Units of drop_path are 400 images: three standard deviations of the share are 3 sqrt(.25 .75 / 400).
    assert float((out == 0).float().mean()) == pytest.approx(0.25, abs=0.065)
    assert float(out.mean()) == pytest.approx(1.0, abs=0.1)


def test_drops_zero_the_units_that_they_say() -> None:
    torch.manual_seed(0)
    x = torch.ones(50, 8, 12, 12)
    by_channel = make("dropout2d", (8, 12, 12), p=0.5).train()(x).flatten(2)
    assert (by_channel.amin(2) == by_channel.amax(2)).all()
    by_image = make("drop_path", (8, 12, 12), p=0.5).train()(x).flatten(1)
    assert (by_image.amin(1) == by_image.amax(1)).all()
    squares = (make("drop_block", (8, 12, 12), p=0.05, size=3).train()(x) == 0).float()
    centres = F.avg_pool2d(squares, 3, stride=1) == 1  # every zero lies in a whole square of zeros
    covered = F.max_pool2d(F.pad(centres.float(), (2, 2, 2, 2)), 3, stride=1)
    assert torch.equal(covered, squares)


def test_names_of_module_attributes_are_reserved() -> None:
    assert {name for name in dir(nn.Module) if not name.startswith("_")} == MODULE_NAMES
