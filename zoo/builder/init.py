"""Initialise a network by the rules of its spec: by kind of layer or by path; the later rule wins."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from zoo.builder.network import BuiltLayer, Network
from zoo.errors import Problem, SpecError
from zoo.initializers import MATRIX_AXES, Draw, Site
from zoo.layers.shape import ShapeError
from zoo.registry import INITS, Call
from zoo.spec.choices import Choices, InitRule
from zoo.spec.shapes import matches_path


def initialise(network: Network, choices: Choices, seed: int) -> None:
    """Fill the weights of a network on the CPU, without torch's global random stream.

    Raises SpecError for a layer that cannot be initialised as its rule says.
    """
    for built in network.layers:
        for name, parameter in built.module.named_parameters(recurse=False):
            weight = built.module.get_parameter("weight").detach()
            draw = Draw(seed, f"{built.path}.{name}")
            _fill(built, name, Site(parameter.detach(), weight, choices.act, draw), choices.init)
        if isinstance(built.module, nn.modules.batchnorm._NormBase) and built.module.track_running_stats:
            built.module.reset_running_stats()


def _fill(built: BuiltLayer, name: str, site: Site, rules: Sequence[InitRule]) -> None:
    rule = rule_for(built, name, rules)
    call = getattr(rule, name) if rule else default_call(name, site.weight)
    try:
        INITS[call.op].function(site, **call.args)
    except ShapeError as error:
        mark = rule.source.mark if rule and rule.source else built.mark
        message = f"{call.op} cannot initialise {built.path}.{name}: {error}"
        raise SpecError([Problem(mark, "choices.init", message)]) from error


def default_call(name: str, weight: Tensor) -> Call:
    """Return torch's default init: norms as the identity, other layers uniform within 1 / sqrt(fan_in)."""
    if weight.dim() < MATRIX_AXES:
        return Call("ones" if name == "weight" else "zeros", {})
    return Call("uniform", {})


def rule_for(built: BuiltLayer, name: str, rules: Sequence[InitRule]) -> InitRule | None:
    """Return the last rule for this parameter of the layer, if there is one."""
    fitting = [rule for rule in rules if getattr(rule, name) is not None and _fits(rule, built)]
    return fitting[-1] if fitting else None


def _fits(rule: InitRule, built: BuiltLayer) -> bool:
    if rule.layers and built.op not in rule.layers:
        return False
    return rule.path is None or matches_path(rule.path, built.path)
