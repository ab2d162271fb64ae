"""Fully connected layers, the step from feature maps to flat features, and the identity."""

from __future__ import annotations

from math import prod

from zoo.layers.shape import Layer, Positive, Shape, features_of
from zoo.registry import layer


@layer
def linear(x: Shape, *, out: Positive, bias: bool = True) -> Layer:
    """Multiply by a matrix and add a bias: (F,) to (out,)."""
    features = features_of(x)
    return Layer((out,), lambda m: m.nn.Linear(features, out, bias), (features + bias) * out)


@layer
def flatten(x: Shape) -> Layer:
    """Flatten a feature map: (C, H, W) to (C H W,)."""
    return Layer((prod(x),), lambda m: m.nn.Flatten())
