"""The family of a layer: what colours its box in a picture."""

from __future__ import annotations

from typing import Literal

from torch import nn

from zoo.layers.join import Add, Auxiliary, Concat, Multiply

Family = Literal["convolution", "linear", "norm", "activation", "pool", "drop", "join", "shape", "other"]

KINDS: tuple[tuple[tuple[type[nn.Module], ...], Family], ...] = (
    ((nn.modules.conv._ConvNd,), "convolution"),
    ((nn.Linear,), "linear"),
    ((nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm), "norm"),
    ((Add, Auxiliary, Concat, Multiply), "join"),
    ((nn.Flatten, nn.Identity), "shape"),
)
HOMES: dict[str, Family] = {  # a part of the name of the Python module that a class comes from
    "activation": "activation",
    "drop": "drop",
    "stochastic_depth": "drop",
    "pool": "pool",
    "upsampling": "shape",
    "padding": "shape",
    "norm": "norm",
    "zoo.layers.resize": "shape",
    "zoo.layers.shortcut": "shape",
}


def family_of(module: nn.Module) -> Family:
    """Tell a module's family, by its class or by where that is kept."""
    for classes, family in KINDS:
        if isinstance(module, classes):
            return family
    home = type(module).__module__
    return next((family for part, family in HOMES.items() if part in home), "other")
