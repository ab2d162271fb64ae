"""Penalties on weights: L2, L1, both together (elastic net), and L2-SP.

The gradients of L2 and L2-SP are added to those of the loss. L1 is not smooth: each optimiser step is
followed by a proximal step, which sets weights to exactly 0; with a subgradient they would oscillate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from finetune.config.optim import L2SP, OptimSettings
from finetune.optim.freeze import covers
from finetune.optim.groups import decayed_names


def starting_point(net: nn.Module, *, new: str) -> dict[str, Tensor]:
    """Copy the pretrained weights, by name, without those of the module at the path `new`."""
    return {
        name: parameter.detach().clone()
        for name, parameter in net.named_parameters()
        if not covers(new, name)
    }


@dataclass(frozen=True)
class Penalty:
    """The penalties on the weights of a network, without biases and norms; `start` is for L2-SP."""

    weights: Mapping[str, nn.Parameter]
    l1: float = 0.0
    l2: float = 0.0
    l2_sp: L2SP | None = None
    start: Mapping[str, Tensor] | None = None

    def value(self) -> Tensor:
        """Return what the penalties add to the loss, ()."""
        total = torch.zeros(())
        for name, weight in self.weights.items():
            total = total.to(weight) + self.l1 * weight.abs().sum() + self.l2 / 2 * weight.square().sum()
            if self.l2_sp is not None:
                strength, difference = self._l2_sp_term(name, weight)
                total = total + strength / 2 * difference.square().sum()
        return total

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add the gradients of L2 and L2-SP to those of the loss, once per step, before clipping."""
        if not self.l2 and self.l2_sp is None:
            return
        for name, weight in self.weights.items():
            if weight.grad is None:
                continue
            weight.grad.add_(weight, alpha=self.l2)
            if self.l2_sp is not None:
                strength, difference = self._l2_sp_term(name, weight)
                weight.grad.add_(difference, alpha=strength)

    @torch.no_grad()
    def shrink(self, optimizer: torch.optim.Optimizer) -> None:
        """Apply the proximal step of L1 after an optimiser step: weights move by rate · l1 towards 0.

        Source: Daubechies et al. 2004, arXiv:math/0307152 (iterative soft thresholding).
        """
        if not self.l1:
            return
        penalised = {id(weight) for weight in self.weights.values()}
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if id(weight) in penalised:
                    weight.copy_(nn.functional.softshrink(weight, group["lr"] * self.l1))

    def _l2_sp_term(self, name: str, weight: Tensor) -> tuple[float, Tensor]:
        """Return the strength of L2-SP, and the weight's difference from its pretrained value, or from 0."""
        assert self.l2_sp is not None
        start = (self.start or {}).get(name)
        return (self.l2_sp.beta, weight) if start is None else (self.l2_sp.alpha, weight - start)


def build_penalty(
    net: nn.Module, settings: OptimSettings, start: Mapping[str, Tensor] | None = None
) -> Penalty:
    """Return the penalties of a spec on the weights that learn."""
    decayed = decayed_names(net)
    weights = {
        name: parameter
        for name, parameter in net.named_parameters()
        if parameter.requires_grad and name in decayed
    }
    return Penalty(weights, l1=settings.l1, l2=settings.l2, l2_sp=settings.l2_sp, start=start)
