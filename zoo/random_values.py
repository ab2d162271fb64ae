"""Random numbers that are the same on every machine: one stream a parameter, from the seed and its path.

Drawn in float64 by numpy's PCG64 and rounded to float32, so that neither the number of threads nor the
processor's vector units show; a layer's start does not depend on which other layers there are.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

CHUNK = 1 << 20  # values drawn at a time: float64 takes room


class Draw:
    """The stream of one parameter."""

    def __init__(self, seed: int, path: str) -> None:
        digest = hashlib.sha256(path.encode()).digest()
        words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))

    def normal(self, tensor: Tensor, std: float, mean: float = 0.0) -> None:
        """Fill with a normal distribution."""
        for part in _parts(tensor):
            part[:] = mean + std * self.rng.standard_normal(len(part))

    def uniform(self, tensor: Tensor, bound: float) -> None:
        """Fill evenly from -bound to bound."""
        for part in _parts(tensor):
            part[:] = bound * (2.0 * self.rng.random(len(part)) - 1.0)


def _parts(tensor: Tensor) -> list[np.ndarray]:
    flat: np.ndarray = tensor.detach().view(-1).numpy()
    return [flat[start : start + CHUNK] for start in range(0, len(flat), CHUNK)]


def from_array(tensor: Tensor, array: np.ndarray) -> None:
    """Fill with an array's values."""
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).view_as(tensor))
