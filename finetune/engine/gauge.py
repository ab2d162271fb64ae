"""Measuring one update of the weights: how large it is for their size, and the gradients behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

MATRIX_AXES = 2


class Gauge:
    """Measures the next update after it has been armed, and keeps what it read.

    `ratios` holds for each layer the length of the update of its weights over their own length (biases and
    norms left out), `norms` the length of their gradient before clipping, `norm` that of all gradients
    together, `factor` what the schedule multiplied rates by. Layers are named by their module path.
    """

    def __init__(self) -> None:
        self.armed = False
        self.ratios: dict[str, float] = {}
        self.norms: dict[str, float] = {}
        self.norm = 0.0
        self.factor = 0.0

    def arm(self) -> None:
        """Measure the next update."""
        self.armed = True

    @contextmanager
    def measuring(self, net: nn.Module, factor: float) -> Iterator[None]:
        """Around an update: gradients stand, and the block clips them and moves the weights."""
        if not self.armed:
            yield
            return
        learning = {name: p for name, p in net.named_parameters() if p.grad is not None}
        gradients = {name: p.grad for name, p in learning.items() if p.grad is not None}
        lengths = _lengths(gradients)
        before = {name: p.detach().clone() for name, p in learning.items() if p.ndim >= MATRIX_AXES}
        sizes = _lengths(before)
        yield
        moves = _lengths({name: learning[name].detach() - old for name, old in before.items()})
        self.armed, self.factor = False, factor
        self.norm = sum(length**2 for length in lengths.values()) ** 0.5
        self.norms = {_layer(name): lengths[name] for name in before}
        self.ratios = {_layer(name): moves[name] / sizes[name] for name in before if sizes[name]}

    def state_dict(self) -> dict[str, Any]:
        """The readings, for a checkpoint in the middle of an epoch."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the readings back."""
        vars(self).update(state)


def _lengths(tensors: dict[str, torch.Tensor]) -> dict[str, float]:
    """The Euclidean length of each, brought to the processor in one go."""
    if not tensors:
        return {}
    lengths = torch.stack(
        [torch.linalg.vector_norm(tensor, dtype=torch.float32) for tensor in tensors.values()]
    )
    return dict(zip(tensors, lengths.tolist(), strict=True))


def _layer(name: str) -> str:
    return name.removesuffix(".weight")
