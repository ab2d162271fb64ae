"""Optimisers by name: each function's keywords are what the spec may say about it.

Torch is imported when an optimiser is built, not before: specs are read and checked without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.registry import Call, Registry

if TYPE_CHECKING:
    from torch.optim import Optimizer

OPTIMIZERS = Registry("optimizer")

Groups = list[dict[str, Any]]


@OPTIMIZERS.register
def sgd(groups: Groups, *, momentum: float = 0.9, nesterov: bool = True) -> Optimizer:
    """Stochastic gradient descent, with heavy-ball (Polyak 1964) or Nesterov momentum, or with none at 0."""
    return _create(groups, "sgd", momentum=momentum, nesterov=nesterov and momentum > 0)


@OPTIMIZERS.register
def adagrad(groups: Groups, *, eps: float = 1e-10) -> Optimizer:
    """Rates over the root of the sum of squared gradients. Source: Duchi et al. 2011."""
    return _create(groups, "adagrad", eps=eps)


@OPTIMIZERS.register
def rmsprop(
    groups: Groups, *, decay: float = 0.99, momentum: float = 0.0, nesterov: bool = False, eps: float = 1e-8
) -> Optimizer:
    """Rates over the root of a running mean of squared gradients, plain or with either momentum.

    Source: Hinton 2012; with Nesterov momentum, Deep Learning book, algorithm 8.6.
    """
    if nesterov:
        from finetune.rmsprop import NesterovRMSprop

        return NesterovRMSprop(groups, lr=groups[0]["lr"], decay=decay, momentum=momentum, eps=eps)
    return _create(groups, "rmsprop", alpha=decay, momentum=momentum, eps=eps)


@OPTIMIZERS.register
def adam(
    groups: Groups,
    *,
    betas: list[float] = [0.9, 0.999],
    eps: float = 1e-8,
    amsgrad: bool = False,  # noqa: B006
) -> Optimizer:
    """Adaptive moments. Source: Kingma & Ba 2014, arXiv:1412.6980."""
    return _create(groups, "adam", betas=tuple(betas), eps=eps, amsgrad=amsgrad)


@OPTIMIZERS.register
def adamw(
    groups: Groups,
    *,
    betas: list[float] = [0.9, 0.999],
    eps: float = 1e-8,
    amsgrad: bool = False,  # noqa: B006
) -> Optimizer:
    """Adam, meant for decoupled weight decay. Source: Loshchilov & Hutter 2017, arXiv:1711.05101."""
    return _create(groups, "adamw", betas=tuple(betas), eps=eps, amsgrad=amsgrad)


@OPTIMIZERS.register
def timm(groups: Groups, *, name: str, options: dict[str, Any] = {}) -> Optimizer:  # noqa: B006
    """Any optimiser of timm's factory by its name there, such as lion or lamb, with its own options."""
    return _create(groups, name, **options)


def build_optimizer(call: Call, groups: Groups) -> Optimizer:
    """The optimiser that the spec asks for, over the groups of `param_groups`."""
    optimizer: Optimizer = OPTIMIZERS[call.op].function(groups, **call.args)
    return optimizer


def _create(groups: Groups, name: str, **options: Any) -> Optimizer:
    from timm.optim import create_optimizer_v2

    optimizer: Optimizer = create_optimizer_v2(groups, name, lr=groups[0]["lr"], weight_decay=0.0, **options)
    return optimizer
