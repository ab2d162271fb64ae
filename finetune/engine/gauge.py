"""Measuring one update of the weights: its size relative to the weights, and the gradients behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

MATRIX_AXES = 2


class Gauge:
    """Measures the next update after `arm` and keeps the results.

    `update_ratios` holds by layer the length of the update of its weights divided by the length of the
    weights (biases and norms left out), `gradient_norms` the length of their gradient before clipping,
    `gradient_norm` that of all gradients together, and `rate_factor` the factor of the schedule. Layers are
    named by their module path.
    """

    def __init__(self) -> None:
        self.armed = False
        self.update_ratios: dict[str, float] = {}
        self.gradient_norms: dict[str, float] = {}
        self.gradient_norm = 0.0
        self.rate_factor = 0.0

    def arm(self) -> None:
        """Measure the next update."""
        self.armed = True

    @contextmanager
    def measuring(self, net: nn.Module, rate_factor: float) -> Iterator[None]:
        """Measure the update inside the block, which clips the gradients and changes the weights."""
        if not self.armed:
            yield
            return
        trained = {name: p for name, p in net.named_parameters() if p.grad is not None}
        gradients = _lengths({name: p.grad for name, p in trained.items() if p.grad is not None})
        before = {name: p.detach().clone() for name, p in trained.items() if p.ndim >= MATRIX_AXES}
        sizes = _lengths(before)
        yield
        moves = _lengths({name: trained[name].detach() - old for name, old in before.items()})
        self.armed, self.rate_factor = False, rate_factor
        self.gradient_norm = sum(length**2 for length in gradients.values()) ** 0.5
        layers = {name: name.removesuffix(".weight") for name in before}
        self.gradient_norms = {layer: gradients[name] for name, layer in layers.items()}
        self.update_ratios = {
            layer: moves[name] / sizes[name] for name, layer in layers.items() if sizes[name]
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the results, for a checkpoint in the middle of an epoch."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the results."""
        vars(self).update(state)


def _lengths(tensors: dict[str, Tensor]) -> dict[str, float]:
    """Return the Euclidean length of each, copied from the device at once."""
    if not tensors:
        return {}
    lengths = [torch.linalg.vector_norm(tensor, dtype=torch.float32) for tensor in tensors.values()]
    return dict(zip(tensors, torch.stack(lengths).tolist(), strict=True))
