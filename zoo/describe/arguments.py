"""The settings of a layer that matter, in short: 3x3, stride 2, pad 1, no bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from zoo.describe.text import counted

EPS = 1e-5
MOMENTUM = 0.1


def format_arguments(module: nn.Module) -> tuple[str, ...]:
    """Return a module's settings, without those at their usual values."""
    describe = next((describe for kind, describe in FORMATS.items() if isinstance(module, kind)), None)
    settings = [module.extra_repr().replace("=", " ")] if describe is None else describe(module)
    return tuple(setting for setting in settings if setting)


def _convolution(module: nn.modules.conv._ConvNd) -> list[str]:
    depthwise = module.groups == module.in_channels > 1
    groups = "depthwise" if depthwise else counted(module.groups, "group") if module.groups > 1 else ""
    return [
        _size(module.kernel_size),
        _unless(1, module.stride, "stride"),
        _unless(0, module.padding, "pad"),
        _unless(0, module.output_padding, "output pad"),
        _unless(1, module.dilation, "dilation"),
        groups,
        *_weights(module),
    ]


def _pool(module: nn.MaxPool2d | nn.AvgPool2d) -> list[str]:
    return [
        _size(module.kernel_size),
        f"stride {_short(module.stride)}",
        _unless(0, module.padding, "pad"),
        _unless(1, getattr(module, "dilation", 1), "dilation"),
        "ceil mode" if module.ceil_mode else "",
    ]


def _norm(module: Any) -> list[str]:  # noqa: ANN401  (batch, group and layer norms share no class)
    groups, momentum = getattr(module, "num_groups", None), getattr(module, "momentum", MOMENTUM)
    return [
        counted(groups, "group") if groups else "",
        "" if getattr(module, "affine", True) else "no scale",
        "" if module.eps == EPS else f"eps {module.eps:g}",
        "" if momentum == MOMENTUM else f"momentum {momentum}",
    ]


def _unless(usual: int, value: object, name: str) -> str:
    text = _short(value)
    return "" if text == str(usual) else f"{name} {text}"


def _short(value: object) -> str:
    """Return 2 for (2, 2), and 2x1 for (2, 1)."""
    values = value if isinstance(value, tuple | list) else (value,)
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _size(value: object) -> str:
    values = value if isinstance(value, tuple | list) else (value, value)
    return "x".join(map(str, values))


def _weights(module: nn.Module) -> list[str]:
    weight_norm = parametrize.is_parametrized(module, "weight")
    return ["no bias" if module.bias is None else "", "weight norm" if weight_norm else ""]


FORMATS: dict[Any, Callable[[Any], list[str]]] = {
    nn.modules.conv._ConvNd: _convolution,
    nn.Linear: lambda module: [f"{module.in_features:,} to {module.out_features:,}", *_weights(module)],
    (nn.MaxPool2d, nn.AvgPool2d): _pool,
    (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d): lambda module: [f"to {_size(module.output_size)}"],
    (nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._NormBase): _norm,
    nn.LocalResponseNorm: lambda module: [
        f"size {module.size}", f"alpha {module.alpha:g}", f"beta {module.beta:g}", f"k {module.k:g}",
    ],
    nn.modules.dropout._DropoutNd: lambda module: [f"p {module.p:g}"],
    nn.LeakyReLU: lambda module: [f"slope {module.negative_slope:g}"],
    nn.GELU: lambda module: [] if module.approximate == "none" else [module.approximate],
    (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Flatten): lambda module: [],
    nn.Identity: lambda module: ["unchanged"],
}  # fmt: skip
