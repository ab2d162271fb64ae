"""Activations: any of them may be the choice of the slot `act`. None works in place: values may be tapped."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from zoo.layers.shape import Shape, ShapeError
from zoo.registry import activation


class Maxout(nn.Module):
    """The largest of each `pieces` neighbouring channels."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, *sizes = x.shape
        return x.reshape(batch, channels // self.pieces, self.pieces, *sizes).amax(dim=2)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"


@activation
def relu(x: Shape) -> nn.Module:
    """max(x, 0)."""
    return nn.ReLU()


@activation
def relu6(x: Shape) -> nn.Module:
    """min(max(x, 0), 6). Source: Howard et al. 2017, arXiv:1704.04861."""
    return nn.ReLU6()


@activation
def leaky_relu(x: Shape, *, slope: Annotated[float, Field(ge=0)] = 0.01) -> nn.Module:
    """X where positive, else slope · x."""
    return nn.LeakyReLU(slope)


@activation
def elu(x: Shape, *, alpha: Annotated[float, Field(gt=0)] = 1.0) -> nn.Module:
    """X where positive, else alpha (e^x - 1). Source: Clevert et al. 2015, arXiv:1511.07289."""
    return nn.ELU(alpha)


@activation
def gelu(x: Shape, *, approximate: Literal["none", "tanh"] = "none") -> nn.Module:
    """X times the normal distribution's share below x. Source: Hendrycks, Gimpel 2016, arXiv:1606.08415."""
    return nn.GELU(approximate)


@activation
def silu(x: Shape) -> nn.Module:
    """X · sigmoid(x)."""
    return nn.SiLU()


@activation
def sigmoid(x: Shape) -> nn.Module:
    """1 / (1 + e^-x)."""
    return nn.Sigmoid()


@activation
def tanh(x: Shape) -> nn.Module:
    """Hyperbolic tangent."""
    return nn.Tanh()


@activation
def softsign(x: Shape) -> nn.Module:
    """X / (1 + |x|)."""
    return nn.Softsign()


@activation
def maxout(x: Shape, *, pieces: Annotated[int, Field(ge=2)] = 2) -> nn.Module:
    """Largest of each `pieces` channels: (C, …) to (C / pieces, …). Source: arXiv:1302.4389."""
    if x[0] % pieces:
        raise ShapeError(f"{pieces} pieces do not divide {x[0]} channels")
    return Maxout(pieces)
