"""RMSProp with Nesterov momentum, which neither torch nor timm has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT


class NesterovRMSprop(torch.optim.Optimizer):
    """RMSProp with Nesterov momentum.

    The algorithm evaluates its gradient g at the interim point, the weights plus momentum · velocity. As in
    torch's Nesterov momentum, the parameters stored here are that point, so that `.grad` is g. The mean of
    squares becomes decay · mean + (1 - decay) · g², the new velocity is
    momentum · velocity - lr · g / (root of the mean + eps), and the parameters move by
    (1 + momentum) · new velocity - momentum · velocity. The eps, against division by 0, is added here.
    Source: Goodfellow et al. 2016, Deep Learning, algorithm 8.6.
    """

    def __init__(
        self, params: ParamsT, lr: float = 1e-3, decay: float = 0.9, momentum: float = 0.9, eps: float = 1e-8
    ) -> None:
        super().__init__(params, {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps})

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["square_mean"] = torch.zeros_like(parameter)
            state["velocity"] = torch.zeros_like(parameter)
        square_mean, velocity = state["square_mean"], state["velocity"]
        momentum = group["momentum"]
        square_mean.mul_(group["decay"]).addcmul_(gradient, gradient, value=1 - group["decay"])
        parameter.sub_(velocity, alpha=momentum)
        velocity.mul_(momentum).addcdiv_(gradient, square_mean.sqrt().add_(group["eps"]), value=-group["lr"])
        parameter.add_(velocity, alpha=1 + momentum)
