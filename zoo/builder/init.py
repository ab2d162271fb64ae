"""Give a network its first weights, by the spec's rules: by kind of layer or by path, the later rule wins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from torch import Tensor, nn

from zoo.builder.network import BuiltLayer, Network
from zoo.errors import Mark, Problem, SpecError
from zoo.initializers import Site
from zoo.layers.shape import ShapeError
from zoo.random_values import Draw
from zoo.registry import INITS, Call
from zoo.spec.choices import Choices, InitRule

MATRIX_AXES = 2


def initialise(network: Network, choices: Choices, seed: int) -> None:
    """Fill a network that was built on the processor; torch's own stream is not touched.

    Raises SpecError for a rule that fits no layer, or a layer that cannot start so.
    """
    _check_rules(network.layers, choices.init)
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
        message = f"{call.op} cannot start {built.path}.{name}: {error}"
        raise SpecError([Problem(mark, "choices.init", message)]) from error


def default_call(name: str, weight: Tensor) -> Call:
    """Give what torch starts layers with: norms as the identity, others even within 1 / sqrt(fan_in)."""
    if weight.dim() < MATRIX_AXES:
        return Call("ones" if name == "weight" else "zeros", {})
    return Call("uniform", {})


def rule_for(built: BuiltLayer, name: str, rules: Sequence[InitRule]) -> InitRule | None:
    """Give the last rule that says what this parameter of the layer starts as, if any does."""
    fitting = [rule for rule in rules if getattr(rule, name) is not None and _fits(rule, built)]
    return fitting[-1] if fitting else None


def _fits(rule: InitRule, built: BuiltLayer) -> bool:
    if rule.layers and built.op not in rule.layers:
        return False
    return rule.path is None or _pattern(rule.path).fullmatch(built.path) is not None


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    """Give the regular expression of a path: `*` stands for within a part, `**` for any number of parts."""
    parts = re.split(r"(\*\*|\*)", glob)
    meaning = {"*": r"[^.]*", "**": r".*"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))


def _check_rules(layers: Sequence[BuiltLayer], rules: Sequence[InitRule]) -> None:
    """A rule by path that fits nothing is a mistake; one by kind may wait for its kind to be chosen."""
    problems = []
    for rule in rules:
        if rule.path is not None and not any(_pattern(rule.path).fullmatch(built.path) for built in layers):
            mark = rule.source.mark if rule.source else Mark("", 0, 1, "")
            message = f"no layer is at '{rule.path}'"
            problems.append(Problem(mark, "choices.init", message, "a path that make describe shows"))
    if problems:
        raise SpecError(problems)
