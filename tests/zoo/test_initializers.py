"""First weights: their distribution, which rule gives them, and that a seed gives the same everywhere."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from nets import HEAD, TAIL, write
from torch import Tensor, nn

import zoo

WIDE = """\
  conv: {conv: {out: 64, kernel: 5}}
  act: act
"""


def built(folder: Path, init: str, layers: str = WIDE, act: str = "relu", seed: int = 0) -> nn.Module:
    text = f"{HEAD}choices: {{act: {act}, init: {init}}}\nlayers:\n{layers}{TAIL}"
    return zoo.build(write(folder, text), seed=seed)


def weight(folder: Path, init: str, **how: str) -> Tensor:
    return built(folder, init, **how).get_parameter("conv.weight").detach()


def digest(state: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256()
    for name, value in state.items():
        sha.update(name.encode())
        sha.update(value.numpy().tobytes())
    return sha.hexdigest()[:16]


FAN_IN, FAN_OUT = 3 * 25, 64 * 25
LENET5_SEED_0 = "91ca5b96e0b65e61"
RESNET_SMALL_SEED_7 = "326b4402701898f7"


@pytest.mark.parametrize(
    ("init", "act", "variance"),
    [
        ("{normal: {std: 0.3}}", "relu", 0.09),
        ("{uniform: {bound: 0.3}}", "relu", 0.03),
        ("uniform", "relu", 1 / (3 * FAN_IN)),
        ("[]", "relu", 1 / (3 * FAN_IN)),
        ("xavier_uniform", "relu", 2 / (FAN_IN + FAN_OUT)),
        ("{xavier_normal: {gain: 2}}", "relu", 8 / (FAN_IN + FAN_OUT)),
        ("kaiming_uniform", "relu", 2 / FAN_IN),
        ("kaiming_normal", "relu", 2 / FAN_IN),
        ("{kaiming_normal: {mode: fan_out}}", "relu", 2 / FAN_OUT),
        ("kaiming_normal", "tanh", (5 / 3) ** 2 / FAN_IN),
        ("kaiming_normal", "{leaky_relu: {slope: 0.5}}", 2 / 1.25 / FAN_IN),
        ("{kaiming_normal: {activation: sigmoid}}", "relu", 1 / FAN_IN),
    ],
)
def test_variance_is_the_source_s(init: str, act: str, variance: float, tmp_path: Path) -> None:
    drawn = weight(tmp_path, init, act=act)
    # 4,800 draws: their variance is within 10% in more than 999 of 1,000 seeds, and the seed is fixed.
    assert float(drawn.var()) == pytest.approx(variance, rel=0.1)
    assert abs(float(drawn.mean())) < 4 * math.sqrt(variance / drawn.numel())


def test_constants(tmp_path: Path) -> None:
    net = built(tmp_path, "[{layer: conv, weight: {constant: {value: 0.5}}, bias: ones}]")
    assert (net.get_parameter("conv.weight") == 0.5).all()
    assert (net.get_parameter("conv.bias") == 1).all()


def test_orthogonal_rows_have_the_length_of_the_gain(tmp_path: Path) -> None:
    rows = weight(tmp_path, "{orthogonal: {gain: 2}}").flatten(1).double()
    assert torch.allclose(
        rows @ rows.T, 4 * torch.eye(64, dtype=torch.float64), atol=1e-5
    )  # float32 rounding
    tall = built(tmp_path, "orthogonal", layers="  conv: {conv: {out: 200, kernel: 5}}\n  act: act\n")
    columns = tall.get_parameter("conv.weight").detach().flatten(1).double()
    assert torch.allclose(columns.T @ columns, torch.eye(75, dtype=torch.float64), atol=1e-5)


def test_sparse_units_have_as_many_inputs_as_told(tmp_path: Path) -> None:
    drawn = weight(tmp_path, "{sparse: {nonzeros: 7, std: 0.5}}").flatten(1)
    assert ((drawn != 0).sum(1) == 7).all()
    assert float(drawn[drawn != 0].std()) == pytest.approx(0.5, rel=0.15)
    assert ((weight(tmp_path, "{sparse: {nonzeros: 1000}}") != 0).flatten(1).sum(1) == 75).all()


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(4, 2, 1), (16, 8, 4), (3, 2, 1)])
def test_bilinear_upsampler_interpolates(kernel: int, stride: int, padding: int, tmp_path: Path) -> None:
    arguments = f"out: 3, kernel: {kernel}, stride: {stride}, padding: {padding}, bias: false"
    layers = f"  conv: {{conv_transpose: {{{arguments}}}}}\n"
    net = built(tmp_path, "[{layer: conv_transpose, weight: bilinear}]", layers)
    x = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = net.get_submodule("conv")(x)
    if kernel % 2:  # an odd kernel keeps the pixels and fills in between
        assert torch.allclose(out[..., ::2, ::2], x, atol=1e-6)
        assert torch.allclose(out[..., 1::2, ::2], (x[..., 1:, :] + x[..., :-1, :]) / 2, atol=1e-6)
        return
    smooth = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    inside = slice(stride, -stride)  # at the edge a transposed convolution takes zeros from outside
    assert torch.allclose(out[..., inside, inside], smooth[..., inside, inside], atol=1e-6)


def test_later_rule_wins_by_kind_and_by_path(tmp_path: Path) -> None:
    layers = """\
  a: {conv1: {conv: {out: 8, kernel: 3, padding: 1}}, bn1: batch_norm}
  b: {c: {conv1: {conv: {out: 8, kernel: 3, padding: 1}}, bn1: batch_norm}}
"""
    rules = """
    - {layer: conv, weight: zeros, bias: ones}
    - {path: '*.conv1', weight: {constant: {value: 2}}}
    - {path: '**.bn1', weight: zeros}
    - {layer: norm, path: 'b.**', bias: ones}
"""
    text = f"{HEAD}choices:\n  init:{rules}layers:\n{layers}{TAIL}"
    net = zoo.build(write(tmp_path, text))
    seen = {name: sorted(set(value.flatten().tolist())) for name, value in net.state_dict().items()}
    assert (seen["a.conv1.weight"], seen["a.conv1.bias"]) == ([2], [1])
    assert (seen["b.c.conv1.weight"], seen["b.c.conv1.bias"]) == ([0], [1])
    assert (seen["a.bn1.weight"], seen["b.c.bn1.weight"]) == ([0], [0])
    assert (seen["a.bn1.bias"], seen["b.c.bn1.bias"]) == ([0], [1])
    assert (seen["a.bn1.running_mean"], seen["a.bn1.running_var"]) == ([0], [1])
    assert seen["a.bn1.num_batches_tracked"] == [0]


def test_zero_start_of_residual_branches_makes_blocks_the_identity() -> None:
    rules = [{"layer": "conv", "weight": "kaiming_normal"}, {"path": "layer*.*.bn2", "weight": "zeros"}]
    net = zoo.build(zoo.read_spec("resnet20", {"choices.init": rules})).eval()
    x = torch.rand(1, 16, 8, 8)
    with torch.no_grad():
        assert torch.equal(net.get_submodule("layer1.0")(x), x)


def test_one_seed_gives_the_same_weights_on_every_machine() -> None:
    """The digests were taken once; another machine, or another torch, must give them too."""
    assert digest(zoo.build("lenet5", seed=0).state_dict()) == LENET5_SEED_0
    assert digest(zoo.build("resnet_small", seed=7).state_dict()) == RESNET_SMALL_SEED_7


def test_seeds_differ_and_layers_do_not_depend_on_each_other(tmp_path: Path) -> None:
    assert not torch.equal(
        built(tmp_path, "[]", seed=0).get_parameter("conv.weight"),
        built(tmp_path, "[]", seed=1).get_parameter("conv.weight"),
    )
    more = built(tmp_path, "[]", WIDE + "  conv2: {conv: {out: 64, kernel: 3}}\n")
    less = built(tmp_path, "[]")
    assert torch.equal(more.get_parameter("fc.weight"), less.get_parameter("fc.weight"))
    state = more.state_dict()
    assert not torch.equal(state["conv.weight"].flatten()[:64], state["conv2.weight"].flatten()[:64])


def test_torch_s_own_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    zoo.build("lenet5", seed=5)
    assert torch.equal(torch.rand(4), expected)
