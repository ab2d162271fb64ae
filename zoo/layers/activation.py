"""Activations: any of them may be the choice of the slot `act`. None works in place: values may be tapped."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.layers.shape import Layer, Shape, ShapeError
from zoo.registry import activation


@activation
def relu(x: Shape) -> Layer:
    """max(x, 0)."""
    return Layer(x, lambda m: m.nn.ReLU())


@activation
def relu6(x: Shape) -> Layer:
    """min(max(x, 0), 6). Source: Howard et al. 2017, arXiv:1704.04861."""
    return Layer(x, lambda m: m.nn.ReLU6())


@activation
def leaky_relu(x: Shape, *, slope: Annotated[float, Field(ge=0)] = 0.01) -> Layer:
    """X where positive, else slope · x."""
    return Layer(x, lambda m: m.nn.LeakyReLU(slope))


@activation
def elu(x: Shape, *, alpha: Annotated[float, Field(gt=0)] = 1.0) -> Layer:
    """X where positive, else alpha (e^x - 1). Source: Clevert et al. 2015, arXiv:1511.07289."""
    return Layer(x, lambda m: m.nn.ELU(alpha))


@activation
def gelu(x: Shape, *, approximate: Literal["none", "tanh"] = "none") -> Layer:
    """X times the normal distribution's share below x. Source: Hendrycks, Gimpel 2016, arXiv:1606.08415."""
    return Layer(x, lambda m: m.nn.GELU(approximate))


@activation
def silu(x: Shape) -> Layer:
    """X · sigmoid(x)."""
    return Layer(x, lambda m: m.nn.SiLU())


@activation
def hardswish(x: Shape) -> Layer:
    """X · min(max(x + 3, 0), 6) / 6. Source: Howard et al. 2019, arXiv:1905.02244."""
    return Layer(x, lambda m: m.nn.Hardswish())


@activation
def hardsigmoid(x: Shape) -> Layer:
    """min(max(x + 3, 0), 6) / 6. Source: Howard et al. 2019, arXiv:1905.02244."""
    return Layer(x, lambda m: m.nn.Hardsigmoid())


@activation
def sigmoid(x: Shape) -> Layer:
    """1 / (1 + e^-x)."""
    return Layer(x, lambda m: m.nn.Sigmoid())


@activation
def tanh(x: Shape) -> Layer:
    """Hyperbolic tangent."""
    return Layer(x, lambda m: m.nn.Tanh())


@activation
def softsign(x: Shape) -> Layer:
    """X / (1 + |x|)."""
    return Layer(x, lambda m: m.nn.Softsign())


@activation
def maxout(x: Shape, *, pieces: Annotated[int, Field(ge=2)] = 2) -> Layer:
    """Maximum of each `pieces` channels: (C, …) to (C / pieces, …). Source: arXiv:1302.4389."""
    if x[0] % pieces:
        raise ShapeError(f"pieces {pieces} does not divide {x[0]} channels")
    return Layer((x[0] // pieces, *x[1:]), lambda m: m.Maxout(pieces))
