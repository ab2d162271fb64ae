"""Penalties on weights: L2, L1 and their sum, the elastic net, and L2-SP.

L2 and L2-SP are smooth, so that their gradients are added to those of the loss. L1 is not: there each step
is followed by its proximal step, which brings weights to exactly 0 where a subgradient would only let
them jitter around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from finetune.config.optim import L2SP, OptimSettings
from finetune.optim.freeze import covers
from finetune.optim.groups import decayed_names


def starting_point(net: nn.Module, new: Iterable[str] = ()) -> dict[str, Tensor]:
    """Copies of the weights as they were pretrained, by name, without those under the `new` module paths."""
    paths = tuple(new)
    return {
        name: parameter.detach().clone()
        for name, parameter in net.named_parameters()
        if not any(covers(path, name) for path in paths)
    }


@dataclass(frozen=True)
class Penalty:
    """The penalties of a run on the weights of its network; biases and norms are spared.

    `start` holds the pretrained weights, for L2-SP.
    """

    weights: Mapping[str, nn.Parameter]
    l1: float = 0.0
    l2: float = 0.0
    l2_sp: L2SP | None = None
    start: Mapping[str, Tensor] | None = None

    def value(self) -> Tensor:
        """What the penalties add to the loss. Out: ()."""
        total = torch.zeros(())
        for name, weight in self.weights.items():
            total = total.to(weight) + self.l1 * weight.abs().sum() + self.l2 / 2 * weight.square().sum()
            if self.l2_sp is not None:
                strength, tie = self._tie(name)
                total = total + strength / 2 * (weight if tie is None else weight - tie).square().sum()
        return total

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add the gradients of L2 and L2-SP to those the loss left; once a step, before clipping."""
        if not self.l2 and self.l2_sp is None:
            return
        for name, weight in self.weights.items():
            if weight.grad is None:
                continue
            weight.grad.add_(weight, alpha=self.l2)
            if self.l2_sp is not None:
                strength, tie = self._tie(name)
                weight.grad.add_(weight if tie is None else weight - tie, alpha=strength)

    @torch.no_grad()
    def shrink(self, optimizer: torch.optim.Optimizer) -> None:
        """L1's proximal step, right after the optimiser's: every weight goes rate · l1 towards 0, not beyond.

        Source: Daubechies et al. 2004, arXiv:math/0307152 (iterative soft thresholding).
        """
        if not self.l1:
            return
        penalised = {id(weight) for weight in self.weights.values()}
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if id(weight) in penalised:
                    weight.copy_(nn.functional.softshrink(weight, group["lr"] * self.l1))

    def _tie(self, name: str) -> tuple[float, Tensor | None]:
        """The strength of L2-SP on a weight, and the pretrained value it is tied to."""
        assert self.l2_sp is not None
        tie = (self.start or {}).get(name)
        return (self.l2_sp.beta if tie is None else self.l2_sp.alpha), tie


def build_penalty(
    net: nn.Module, settings: OptimSettings, start: Mapping[str, Tensor] | None = None
) -> Penalty:
    """The penalties that the spec asks for, on the weights of the network that learn."""
    decayed = decayed_names(net)
    weights = {
        name: parameter
        for name, parameter in net.named_parameters()
        if parameter.requires_grad and name in decayed
    }
    return Penalty(weights, l1=settings.l1, l2=settings.l2, l2_sp=settings.l2_sp, start=start)
