"""The spec's `choices`: what the slots `norm`, `act` and `drop` stand for, and the initial weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import zoo.initializers  # noqa: F401  (registers every init)
from zoo.errors import Problem
from zoo.registry import INITS, Call, Registry
from zoo.spec.calls import read_call
from zoo.spec.items import NONE, SLOTS, ops
from zoo.spec.nodes import (
    ListNode,
    MapNode,
    Node,
    Scalar,
    is_null,
    text_of,
    unknown_keys,
    unknown_name,
    wrong_value,
)

KEYS = ("norm", "act", "drop", "input_drop", "init")
RULE_KEYS = ("layer", "path", "weight", "bias")
KINDS: dict[str, Registry] = {"norm": SLOTS["norm"]}  # names in rules that stand for several ops
WEIGHT_LAYERS = ("conv", "depthwise_conv", "conv_transpose", "linear")
NO_CALL = Call(NONE, {})


@dataclass(frozen=True)
class InitRule:
    """The initial weights and biases of the layers of a kind, or at a path (a glob)."""

    layers: tuple[str, ...] = ()
    path: str | None = None
    weight: Call | None = None
    bias: Call | None = None
    source: Node | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Choices:
    """One call per slot (`none`: no module), and the init rules, of which the later wins."""

    norm: Call = NO_CALL
    act: Call = NO_CALL
    drop: Call = NO_CALL
    input_drop: Call = NO_CALL
    init: tuple[InitRule, ...] = ()

    def of(self, slot: str) -> Call:
        """Return the call that a slot stands for."""
        return {"norm": self.norm, "act": self.act, "drop": self.drop, "input_drop": self.input_drop}[slot]


def read_choices(node: Node | None, problems: list[Problem]) -> Choices:
    """Read the section `choices`; adds to `problems`."""
    if node is None:
        return Choices()
    if not isinstance(node, MapNode):
        problems.append(wrong_value(node, "choices", "a mapping"))
        return Choices()
    problems += unknown_keys(node, KEYS, "choices")
    norm, act, drop = (_slot(node, slot, SLOTS[slot], problems) for slot in SLOTS)
    input_drop = _slot(node, "input_drop", SLOTS["drop"], problems)
    init = node.get("init")
    rules = () if init is None else _rules(init, problems)
    return Choices(norm, act, drop, input_drop, rules)


def _slot(node: MapNode, slot: str, registry: Registry, problems: list[Problem]) -> Call:
    chosen = node.get(slot)
    if chosen is None or text_of(chosen) == NONE:
        return NO_CALL
    if is_null(chosen):
        chosen = Scalar("null", chosen.mark)
    before = len(problems)
    call = read_call(registry, chosen, f"choices.{slot}", problems)
    if call is None:  # the names that were listed lack the one that is in no registry
        problems[before:] = [_with_none(problem) for problem in problems[before:]]
    return call or NO_CALL


def _with_none(problem: Problem) -> Problem:
    if not problem.message.startswith("unknown ") or problem.message.startswith("unknown key"):
        return problem
    near = problem.suggestion or (NONE if "'null'" in problem.message else "")
    return replace(problem, expected=f"{NONE}, {problem.expected}", suggestion=near)


def _rules(node: Node, problems: list[Problem]) -> tuple[InitRule, ...]:
    """Read `init`: a list of rules and calls; a call alone is for the weights of every weight layer."""
    if isinstance(node, ListNode):
        read = [_rule(item, f"choices.init.{i}", problems) for i, item in enumerate(node.items)]
    else:
        read = [_rule(node, "choices.init", problems)]
    return tuple(rule for rule in read if rule is not None)


def _rule(node: Node, where: str, problems: list[Problem]) -> InitRule | None:
    if not isinstance(node, MapNode) or (len(node.items) == 1 and next(iter(node.items)) in INITS):
        call = read_call(INITS, node, where, problems)
        return None if call is None else InitRule(WEIGHT_LAYERS, None, call, None, node)
    before = len(problems)
    problems += unknown_keys(node, RULE_KEYS, where)
    if not {"weight", "bias"} & set(node.items) and len(problems) == before:
        problems.append(Problem(node.mark, where, "sets nothing", "weight or bias, and layer or path"))
    layers = _rule_layers(node.get("layer"), where, problems)
    path = _rule_path(node.get("path"), where, problems)
    calls = {
        part: read_call(INITS, node.items[part], f"{where}.{part}", problems)
        for part in ("weight", "bias")
        if part in node.items
    }
    if len(problems) > before:
        return None
    return InitRule(layers, path, calls.get("weight"), calls.get("bias"), node)


def _rule_layers(node: Node | None, where: str, problems: list[Problem]) -> tuple[str, ...]:
    if node is None:
        return ()
    name, where = text_of(node), f"{where}.layer"
    if name in KINDS:
        return KINDS[name].names()
    if name in ops() and name is not None:
        return (name,)
    expected = "an op, or norm for every norm"
    if name is None:
        problems.append(wrong_value(node, where, expected))
    else:
        problem = unknown_name("layer", name, node.mark, where, (*ops(), *KINDS))
        problems.append(replace(problem, expected=expected))
    return ()


def _rule_path(node: Node | None, where: str, problems: list[Problem]) -> str | None:
    if node is None or text_of(node):
        return text_of(node)
    expected = "a module path; * stands for one part of it, ** for any number"
    problems.append(wrong_value(node, f"{where}.path", expected))
    return None
