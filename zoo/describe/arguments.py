"""What matters of a layer's settings, in a few words: 3x3, stride 2, pad 1, no bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from zoo.describe.wording import counted

EPS = 1e-5
MOMENTUM = 0.1


def arguments_in_words(module: nn.Module) -> tuple[str, ...]:
    """Give a module's settings, those of the usual kind left out."""
    words = next((words for kind, words in WORDS.items() if isinstance(module, kind)), None)
    settings = [module.extra_repr().replace("=", " ")] if words is None else words(module)
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
        _bias(module),
        _weight_norm(module),
    ]


def _window(module: nn.MaxPool2d | nn.AvgPool2d) -> list[str]:
    return [
        _size(module.kernel_size),
        f"stride {_one(module.stride)}",
        _unless(0, module.padding, "pad"),
        _unless(1, getattr(module, "dilation", 1), "dilation"),
        "ceil mode" if module.ceil_mode else "",
    ]


def _linear(module: nn.Linear) -> list[str]:
    return [f"{module.in_features:,} to {module.out_features:,}", _bias(module), _weight_norm(module)]


def _group_norm(module: nn.GroupNorm) -> list[str]:
    return [counted(module.num_groups, "group"), "" if module.affine else "no scale", _eps(module.eps)]


def _batch_norm(module: nn.modules.batchnorm._NormBase) -> list[str]:
    momentum = "" if module.momentum == MOMENTUM else f"momentum {module.momentum}"
    return ["" if module.affine else "no scale", _eps(module.eps), momentum]


def _response_norm(module: nn.LocalResponseNorm) -> list[str]:
    return [f"size {module.size}", f"alpha {module.alpha:g}", f"beta {module.beta:g}", f"k {module.k:g}"]


def _unless(usual: int, value: object, name: str) -> str:
    found = _one(value)
    return "" if found == str(usual) else f"{name} {found}"


def _one(value: object) -> str:
    """Give 2 for (2, 2), else 2x1."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    return str(pair[0]) if len(set(pair)) == 1 else "x".join(map(str, pair))


def _size(value: object) -> str:
    pair = value if isinstance(value, tuple | list) else (value, value)
    return "x".join(map(str, pair))


def _bias(module: nn.Module) -> str:
    return "no bias" if module.bias is None else ""


def _eps(eps: float) -> str:
    return "" if eps == EPS else f"eps {eps:g}"


def _weight_norm(module: nn.Module) -> str:
    return "weight norm" if parametrize.is_parametrized(module, "weight") else ""


WORDS: dict[type[nn.Module], Callable[[Any], list[str]]] = {
    nn.modules.conv._ConvNd: _convolution,
    nn.Linear: _linear,
    nn.MaxPool2d: _window,
    nn.AvgPool2d: _window,
    nn.AdaptiveAvgPool2d: lambda module: [f"to {_size(module.output_size)}"],
    nn.AdaptiveMaxPool2d: lambda module: [f"to {_size(module.output_size)}"],
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: lambda module: [_eps(module.eps)],
    nn.modules.batchnorm._NormBase: _batch_norm,
    nn.LocalResponseNorm: _response_norm,
    nn.modules.dropout._DropoutNd: lambda module: [f"p {module.p:g}"],
    nn.LeakyReLU: lambda module: [f"slope {module.negative_slope:g}"],
    nn.GELU: lambda module: [] if module.approximate == "none" else [module.approximate],
    nn.ReLU: lambda module: [],
    nn.ReLU6: lambda module: [],
    nn.SiLU: lambda module: [],
    nn.Flatten: lambda module: [],
    nn.Identity: lambda module: ["unchanged"],
}
