"""Fully connected layers, and the step from maps to flat features."""

from __future__ import annotations

from torch import nn

from zoo.layers.shape import Positive, Shape, features_of
from zoo.registry import layer


@layer
def linear(x: Shape, *, out: Positive, bias: bool = True) -> nn.Module:
    """Multiply by a matrix and add a bias: (F,) to (out,)."""
    return nn.Linear(features_of(x), out, bias, device="meta")


@layer
def flatten(x: Shape) -> nn.Module:
    """Lay a map out flat: (C, H, W) to (C H W,)."""
    return nn.Flatten()
