"""Initial weights and biases: the functions that `choices.init` names, and the random numbers they draw.

Each parameter has a random stream of its own, from the seed and its path, so that its initial values do not
depend on which other layers there are. Values are drawn in float64 by numpy's PCG64 and rounded to float32:
they are the same on every machine and with any number of threads.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from zoo.layers.shape import ShapeError, format_shape
from zoo.registry import Call, init

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Mode = Literal["fan_in", "fan_out"]
Gain = Annotated[float, Field(gt=0)]
Spread = Annotated[float, Field(ge=0)]

GAINS = {"none": 1.0, "sigmoid": 1.0, "softsign": 1.0, "maxout": 1.0, "tanh": 5 / 3}
RECTIFIER_GAIN = math.sqrt(2)  # of activations that let about half of the variance through
MATRIX_AXES = 2
UPSAMPLER_AXES = 4
CHUNK = 1 << 20  # values drawn at a time, to bound the memory for float64


class Draw:
    """The random stream of one parameter."""

    def __init__(self, seed: int, path: str) -> None:
        import numpy as np

        digest = hashlib.sha256(path.encode()).digest()
        words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))

    def normal(self, tensor: Tensor, std: float, mean: float = 0.0) -> None:
        """Fill with a normal distribution."""
        for part in _chunks(tensor):
            part[:] = mean + std * self.rng.standard_normal(len(part))

    def uniform(self, tensor: Tensor, bound: float) -> None:
        """Fill with a uniform distribution from -bound to bound."""
        for part in _chunks(tensor):
            part[:] = bound * (2.0 * self.rng.random(len(part)) - 1.0)


def _chunks(tensor: Tensor) -> list[np.ndarray]:
    flat: np.ndarray = tensor.detach().view(-1).numpy()
    return [flat[start : start + CHUNK] for start in range(0, len(flat), CHUNK)]


@dataclass(frozen=True)
class Site:
    """The parameter to fill, the weight of its layer, the network's activation, and the random stream."""

    tensor: Tensor
    weight: Tensor
    activation: Call
    draw: Draw

    @property
    def fan_in(self) -> int:
        """Inputs of one unit, as torch counts them (a transposed convolution counts as the convolution)."""
        return self._fan(1)

    @property
    def fan_out(self) -> int:
        """Outputs that one input reaches, counted in the same way."""
        return self._fan(0)

    def _fan(self, axis: int) -> int:
        shape = tuple(self.weight.shape)
        if len(shape) < MATRIX_AXES:
            raise ShapeError(f"needs weights of two or more axes, found {format_shape(shape)}")
        return shape[axis] * math.prod(shape[2:])

    def gain(self, activation: str | None) -> float:
        """Return the factor that keeps the variance through `activation`, by default the network's own."""
        name = activation or self.activation.op
        if name == "leaky_relu":
            slope = 0.01 if activation else self.activation.args.get("slope", 0.01)
            return math.sqrt(2 / (1 + slope**2))
        return GAINS.get(name, RECTIFIER_GAIN)

    def fill(self, values: np.ndarray) -> None:
        """Fill the parameter with the values of an array."""
        self.tensor.detach().view(-1).numpy()[:] = values.reshape(-1)


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
    """All the same value."""
    site.tensor.detach().fill_(value)


@init
def normal(site: Site, *, std: Spread, mean: float = 0.0) -> None:
    """Normal with a given standard deviation."""
    site.draw.normal(site.tensor, std, mean)


@init
def uniform(site: Site, *, bound: Gain | None = None) -> None:
    """Uniform from -bound to bound; without `bound`, 1 / sqrt(fan_in), the default of every layer."""
    site.draw.uniform(site.tensor, bound or 1 / math.sqrt(site.fan_in))


@init
def xavier_uniform(site: Site, *, gain: Gain = 1.0) -> None:
    """Uniform, of variance 2 gain^2 / (fan_in + fan_out). Source: Glorot and Bengio 2010."""
    site.draw.uniform(site.tensor, gain * math.sqrt(6 / (site.fan_in + site.fan_out)))


@init
def xavier_normal(site: Site, *, gain: Gain = 1.0) -> None:
    """Normal, of variance 2 gain^2 / (fan_in + fan_out). Source: Glorot and Bengio 2010."""
    site.draw.normal(site.tensor, gain * math.sqrt(2 / (site.fan_in + site.fan_out)))


@init
def kaiming_uniform(site: Site, *, mode: Mode = "fan_in", activation: str | None = None) -> None:
    """Uniform, of variance gain^2 / fan; the gain follows from the activation. Source: He et al. 2015."""
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
    import numpy as np

    rows = site.fan_in and site.tensor.shape[0]
    columns = site.tensor.numel() // rows
    drawn = site.draw.rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.sign(np.diag(r))  # makes the decomposition, and so the distribution, unique
    site.fill(gain * (q if rows >= columns else q.T))


@init
def sparse(site: Site, *, nonzeros: Annotated[int, Field(gt=0)] = 15, std: Spread = 0.01) -> None:
    """Normal in `nonzeros` inputs of each unit, 0 elsewhere. Source: Martens 2010."""
    import numpy as np

    units = site.fan_in and site.tensor.shape[0]
    inputs = site.tensor.numel() // units
    kept = min(nonzeros, inputs)
    places = np.argsort(site.draw.rng.random((units, inputs)), axis=1, kind="stable")[:, :kept]
    values = np.zeros((units, inputs))
    np.put_along_axis(values, places, std * site.draw.rng.standard_normal((units, kept)), axis=1)
    site.fill(values)


@init
def bilinear(site: Site) -> None:
    """A transposed convolution that interpolates, channel by channel. Source: Long et al. 2015."""
    import numpy as np

    shape = tuple(site.tensor.shape)
    if len(shape) != UPSAMPLER_AXES or shape[0] != shape[1]:
        raise ShapeError(f"needs as many input as output channels, found weights of {format_shape(shape)}")
    height, width = (_triangle(size) for size in shape[2:])
    values = np.zeros(shape)
    values[np.arange(shape[0]), np.arange(shape[0])] = np.outer(height, width)
    site.fill(values)


def _triangle(size: int) -> np.ndarray:
    """Return the weights of linear interpolation for a kernel of `size`."""
    import numpy as np

    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    weights: np.ndarray = 1 - np.abs(np.arange(size) - centre) / factor
    return weights
