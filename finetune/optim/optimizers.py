"""Optimisers by name; the keyword arguments of a function are its keys in a spec.

Torch is imported when an optimiser is built, not before: specs are read and checked without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from finetune.optim.ranges import Decay, Pair, Positive
from zoo.errors import did_you_mean
from zoo.registry import Call, Registry

if TYPE_CHECKING:
    from torch.optim import Optimizer
else:
    Optimizer = Any  # the registry reads the annotations, without torch

OPTIMIZERS = Registry("optimizer")

Groups = list[dict[str, Any]]
BETAS = [0.9, 0.999]
# Set by param_groups and the schedule.
OWN_OPTIONS = ("params", "lr", "weight_decay")
# adahessian needs second derivatives; kron has a random generator of its own, which is not in the checkpoint.
UNSUPPORTED = ("adahessian", "kron*")


def check_timm_name(name: str) -> str:
    """Return the name of an optimiser of timm that runs on any machine.

    Raises: ValueError, with the nearest name, for any other.
    """
    from timm.optim import get_optimizer_info, list_optimizers

    known = [
        known
        for known in list_optimizers(exclude_filters=list(UNSUPPORTED))
        if not isinstance(get_optimizer_info(known).opt_class, str)  # needs a library for one type of GPU
    ]
    if name.removeprefix("lookahead_") not in known:
        hint = did_you_mean(name, known)
        raise ValueError(f"no optimizer '{name}' in timm: expected one of {', '.join(known)}{hint}")
    return name


def check_timm_options(name: str, options: Mapping[str, object]) -> None:
    """Raise ValueError when an optimiser of timm does not accept an option or its value."""
    from timm.optim import get_optimizer_class
    from torch import ones

    optimizer = get_optimizer_class(name.removeprefix("lookahead_"), bind_defaults=False)
    known = [option for option in inspect.signature(optimizer).parameters if option not in OWN_OPTIONS]
    for option in options:
        if option not in known:
            raise ValueError(f"{name} takes no option '{option}': expected {', '.join(known)}")
    weight = ones(2, 2)
    weight.grad = ones(2, 2)
    try:
        _create([{"params": [weight], "lr": 1.0}], name, options).step()
    except Exception as error:
        # timm checks some values; others fail in arithmetic
        raise ValueError(f"{name} does not accept its options: {error}") from error


TimmName = Annotated[str, AfterValidator(check_timm_name)]


@OPTIMIZERS.register
def sgd(groups: Groups, *, momentum: Decay = 0.9, nesterov: bool = True) -> Optimizer:
    """Stochastic gradient descent with heavy-ball (Polyak 1964) or Nesterov momentum; 0: without."""
    return _create(groups, "sgd", {"momentum": momentum, "nesterov": nesterov and momentum > 0})


@OPTIMIZERS.register
def adagrad(groups: Groups, *, eps: Positive = 1e-10) -> Optimizer:
    """Divide by the root of the sum of squared gradients. Source: Duchi et al. 2011."""
    return _create(groups, "adagrad", {"eps": eps})


@OPTIMIZERS.register
def rmsprop(
    groups: Groups,
    *,
    decay: Decay = 0.9,
    momentum: Decay = 0.0,
    nesterov: bool = False,
    eps: Positive = 1e-8,
) -> Optimizer:
    """Divide by the root of a running mean of squared gradients; with heavy-ball or Nesterov momentum.

    Source: Hinton 2012; with Nesterov momentum, Goodfellow et al. 2016, Deep Learning, algorithm 8.6.
    """
    if nesterov:
        from finetune.optim.rmsprop import NesterovRMSprop

        return NesterovRMSprop(groups, lr=groups[0]["lr"], decay=decay, momentum=momentum, eps=eps)
    return _create(groups, "rmsprop", {"alpha": decay, "momentum": momentum, "eps": eps})


@OPTIMIZERS.register
def adam(groups: Groups, *, betas: Pair = BETAS, eps: Positive = 1e-8, amsgrad: bool = False) -> Optimizer:
    """Adaptive moments. Source: Kingma & Ba 2014, arXiv:1412.6980."""
    return _create(groups, "adam", {"betas": tuple(betas), "eps": eps, "amsgrad": amsgrad})


@OPTIMIZERS.register
def adamw(groups: Groups, *, betas: Pair = BETAS, eps: Positive = 1e-8, amsgrad: bool = False) -> Optimizer:
    """The same as adam, since weight decay is decoupled in every optimiser here.

    Source: Loshchilov & Hutter 2017, arXiv:1711.05101.
    """
    return _create(groups, "adamw", {"betas": tuple(betas), "eps": eps, "amsgrad": amsgrad})


@OPTIMIZERS.register
def timm(groups: Groups, *, name: TimmName, options: dict[str, Any] = {}) -> Optimizer:  # noqa: B006
    """Any optimiser of timm by its name there, such as lion or lookahead_lamb, with its options."""
    return _create(groups, name, options)


def build_optimizer(call: Call, groups: Groups) -> Optimizer:
    """Return the optimiser of a spec, over the groups of `param_groups`.

    Each step first multiplies the weights of a group by 1 - learning rate · `decoupled_decay`.
    """
    optimizer: Optimizer = OPTIMIZERS[call.op].function(groups, **call.args)
    inner: Optimizer = getattr(optimizer, "_base_optimizer", optimizer)  # timm's Lookahead calls no hooks
    inner.register_step_pre_hook(_decay_weights)
    return optimizer


def set_rates(optimizer: Optimizer, rate: float, momentum: float | None = None) -> None:
    """Set learning rates to `rate` times the initial ones, and momentum (Adam's first beta) if given."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * rate
        if momentum is not None and "momentum" in group:
            group["momentum"] = momentum
        elif momentum is not None and "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])


def _create(groups: Groups, name: str, options: Mapping[str, Any]) -> Optimizer:
    from timm.optim import create_optimizer_v2

    optimizer: Optimizer = create_optimizer_v2(groups, name, lr=groups[0]["lr"], weight_decay=0.0, **options)
    return optimizer


def _decay_weights(optimizer: Optimizer, args: object, kwargs: object) -> None:
    """Apply decoupled weight decay. Source: Loshchilov & Hutter 2017, arXiv:1711.05101."""
    for group in optimizer.param_groups:
        if group.get("decoupled_decay", 0.0):
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.data.mul_(1 - group["lr"] * group["decoupled_decay"])
