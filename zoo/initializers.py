"""What weights and biases may start as: the functions that `choices.init` names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from zoo.layers.shape import ShapeError, in_words
from zoo.random_values import Draw, from_array
from zoo.registry import Call, init

Mode = Literal["fan_in", "fan_out"]
Gain = Annotated[float, Field(gt=0)]
Spread = Annotated[float, Field(ge=0)]

HALF_PASSES = math.sqrt(2)  # activations that let about half of the variance through
GAINS = {"none": 1.0, "sigmoid": 1.0, "softsign": 1.0, "maxout": 1.0, "tanh": 5 / 3}
MATRIX_AXES = 2
UPSAMPLER_AXES = 4


@dataclass(frozen=True)
class Site:
    """The parameter to fill, the weight of its layer, the network's activation, and the stream to draw."""

    tensor: Tensor
    weight: Tensor
    activation: Call
    draw: Draw

    @property
    def fan_in(self) -> int:
        """Inputs of one unit, as torch counts them (for a transposed convolution: of its forward twin)."""
        return self._fan(1)

    @property
    def fan_out(self) -> int:
        """Outputs that one input reaches, counted likewise."""
        return self._fan(0)

    def _fan(self, axis: int) -> int:
        if self.weight.dim() < MATRIX_AXES:
            raise ShapeError(f"needs weights of two axes or more, found {in_words(tuple(self.weight.shape))}")
        return self.weight.shape[axis] * math.prod(self.weight.shape[2:])

    def gain(self, activation: str | None) -> float:
        """Give the factor that keeps the variance through the activation named, else the network's."""
        name = activation or self.activation.op
        if name == "leaky_relu":
            slope = 0.01 if activation else self.activation.args.get("slope", 0.01)
            return math.sqrt(2 / (1 + slope**2))
        return GAINS.get(name, HALF_PASSES)


@init
def zeros(site: Site) -> None:
    """All 0: for biases, and for the last norm of a residual branch."""
    constant(site, value=0.0)


@init
def ones(site: Site) -> None:
    """All 1: for the scales of norms."""
    constant(site, value=1.0)


@init
def constant(site: Site, *, value: float) -> None:
    """All the same."""
    site.tensor.detach().fill_(value)


@init
def normal(site: Site, *, std: Spread, mean: float = 0.0) -> None:
    """Normal with a given standard deviation."""
    site.draw.normal(site.tensor, std, mean)


@init
def uniform(site: Site, *, bound: Gain | None = None) -> None:
    """Even from -bound to bound; without `bound`, 1 / sqrt(fan_in), the default of every layer."""
    site.draw.uniform(site.tensor, bound or 1 / math.sqrt(site.fan_in))


@init
def xavier_uniform(site: Site, *, gain: Gain = 1.0) -> None:
    """Even, of variance 2 gain^2 / (fan_in + fan_out). Source: Glorot and Bengio 2010."""
    site.draw.uniform(site.tensor, gain * math.sqrt(6 / (site.fan_in + site.fan_out)))


@init
def xavier_normal(site: Site, *, gain: Gain = 1.0) -> None:
    """Normal, of variance 2 gain^2 / (fan_in + fan_out). Source: Glorot and Bengio 2010."""
    site.draw.normal(site.tensor, gain * math.sqrt(2 / (site.fan_in + site.fan_out)))


@init
def kaiming_uniform(site: Site, *, mode: Mode = "fan_in", activation: str | None = None) -> None:
    """Even, of variance gain^2 / fan; the gain follows from the activation. Source: He et al. 2015."""
    fan = site.fan_in if mode == "fan_in" else site.fan_out
    site.draw.uniform(site.tensor, site.gain(activation) * math.sqrt(3 / fan))


@init
def kaiming_normal(site: Site, *, mode: Mode = "fan_in", activation: str | None = None) -> None:
    """Normal, of variance gain^2 / fan; the gain follows from the activation. Source: He et al. 2015."""
    fan = site.fan_in if mode == "fan_in" else site.fan_out
    site.draw.normal(site.tensor, site.gain(activation) / math.sqrt(fan))


@init
def orthogonal(site: Site, *, gain: Gain = 1.0) -> None:
    """Rows (or columns, where fewer) orthogonal, of length `gain`. Source: Saxe 2013, arXiv:1312.6120."""
    rows = site.fan_in and site.tensor.shape[0]
    columns = site.tensor.numel() // rows
    drawn = site.draw.rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.sign(np.diag(r))  # makes the decomposition, and so the distribution, unique
    from_array(site.tensor, gain * (q if rows >= columns else q.T))


@init
def sparse(site: Site, *, nonzeros: Annotated[int, Field(gt=0)] = 15, std: Spread = 0.01) -> None:
    """Normal in `nonzeros` inputs of each unit, 0 elsewhere. Source: Martens 2010."""
    units = site.fan_in and site.tensor.shape[0]
    inputs = site.tensor.numel() // units
    kept = min(nonzeros, inputs)
    places = np.argsort(site.draw.rng.random((units, inputs)), axis=1, kind="stable")[:, :kept]
    values = np.zeros((units, inputs))
    np.put_along_axis(values, places, std * site.draw.rng.standard_normal((units, kept)), axis=1)
    from_array(site.tensor, values)


@init
def bilinear(site: Site) -> None:
    """A transposed convolution that interpolates, channel by channel. Source: Long et al. 2015."""
    shape = tuple(site.tensor.shape)
    if len(shape) != UPSAMPLER_AXES or shape[0] != shape[1]:
        raise ShapeError(f"needs as many channels in as out, found weights of {in_words(shape)}")
    height, width = (_triangle(size) for size in shape[2:])
    values = np.zeros(shape)
    values[np.arange(shape[0]), np.arange(shape[0])] = np.outer(height, width)
    from_array(site.tensor, values)


def _triangle(size: int) -> np.ndarray:
    """Give the weights of linear interpolation for a kernel of `size`."""
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    weights: np.ndarray = 1 - np.abs(np.arange(size) - centre) / factor
    return weights
