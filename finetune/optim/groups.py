"""Parameter groups: the learning rate and the weight decay of each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from finetune.optim.freeze import covers
from zoo.errors import GraftError

if TYPE_CHECKING:
    from torch import nn


def param_groups(
    net: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    rates: Mapping[str, float] | None = None,
    layer_decay: float = 1.0,
    stages: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return the groups for an optimiser: one for each pair of learning rate and weight decay.

    A parameter's rate is `learning_rate`, times the factor of the longest path in `rates` that contains it,
    times `layer_decay` for every layer above its own (see `layer_depths`). A rate of 0 freezes a parameter,
    and frozen parameters are in no group. `decayed_names` says which weights decay.

    Out: groups with `params`, `param_names`, `lr`, `initial_lr` (what schedules multiply) and
    `decoupled_decay`.
    Raises: GraftError when a path in `rates` contains no parameter, or when every parameter is frozen.
    """
    rates = rates or {}
    _check_paths(net, rates)
    depths = layer_depths(net, stages) if layer_decay != 1 else {}
    top = max(depths.values(), default=0)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    decayed = decayed_names(net)
    for name, parameter in net.named_parameters():
        rate = learning_rate * rate_factor(name, rates) * layer_decay ** (top - depths.get(name, top))
        if rate == 0:
            parameter.requires_grad_(False)
        if not parameter.requires_grad:
            continue
        decay = weight_decay if name in decayed else 0.0
        group = groups.setdefault(
            (rate, decay),
            {"params": [], "param_names": [], "lr": rate, "initial_lr": rate, "decoupled_decay": decay},
        )
        group["params"].append(parameter)
        group["param_names"].append(name)
    if not groups:
        raise GraftError("no parameter is left to train: all are frozen or have a learning rate of 0")
    return list(groups.values())


def rate_factor(name: str, rates: Mapping[str, float]) -> float:
    """Return the factor of the longest path that contains the parameter, or 1."""
    paths = [path for path in rates if covers(path, name)]
    return rates[max(paths, key=len)] if paths else 1.0


def decayed_names(net: nn.Module) -> set[str]:
    """Return the weights that regularisers act on: those with two dimensions or more.

    Biases, the parameters of norms, and what the network names in `no_weight_decay()` are not among them.
    """
    no_weight_decay: Callable[[], Iterable[str]] = getattr(net, "no_weight_decay", tuple)
    exempt = set(no_weight_decay())
    return {name for name, parameter in net.named_parameters() if parameter.ndim > 1 and name not in exempt}


def layer_depths(net: nn.Module, stages: Sequence[str] = ()) -> dict[str, int]:
    """Return the depth of every parameter's layer, counted from 0 at the input.

    Networks of timm define their layers. In others, a layer is a block of a stage (a child of one of the
    `stages`), and outside the stages a module; modules without a weight matrix, such as norms, belong to the
    layer before them.
    """
    if hasattr(net, "group_matcher"):
        from timm.models import group_parameters

        matcher: Callable[..., object] = getattr(net, "group_matcher")  # noqa: B009  (unknown to nn.Module)
        found: dict[str, int] = group_parameters(net, matcher(coarse=False), reverse=True)
        return found
    depths: dict[str, int] = {}
    layers: dict[str, int] = {}
    matrices = {_layer_of(name, stages) for name, parameter in net.named_parameters() if parameter.ndim > 1}
    for name, _ in net.named_parameters():
        layer = _layer_of(name, stages)
        if layer in matrices:
            layers.setdefault(layer, len(layers))
        depths[name] = layers.get(layer, max(len(layers) - 1, 0))
    return depths


def _layer_of(name: str, stages: Sequence[str]) -> str:
    """Return the module path of the layer that contains a parameter."""
    parent = name.rpartition(".")[0]
    stage = max((stage for stage in stages if covers(stage, parent)), key=len, default=None)
    if stage is None:
        return parent
    block = parent.removeprefix(stage).removeprefix(".").split(".")[0]
    return f"{stage}.{block}" if block else stage


def _check_paths(net: nn.Module, rates: Mapping[str, float]) -> None:
    names = [name for name, _ in net.named_parameters()]
    for path in rates:
        if not any(covers(path, name) for name in names):
            children = ", ".join(name for name, child in net.named_children() if list(child.parameters()))
            raise GraftError(f"stage_rates: {path!r} contains no parameter; expected a path under {children}")
