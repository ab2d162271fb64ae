"""The spec's `choices`: what the slots `norm`, `act` and `drop` stand for, and what weights start as."""

from __future__ import annotations

from dataclasses import dataclass, field

import zoo.initializers  # noqa: F401  (registers every init)
from zoo.errors import Problem, nearest
from zoo.registry import INITS, Call, Registry
from zoo.spec.calls import read_call
from zoo.spec.items import NONE, SLOTS, ops
from zoo.spec.nodes import ListNode, MapNode, Node, Scalar, describe, is_null, text_of

KEYS = ("norm", "act", "drop", "input_drop", "init")
RULE_KEYS = ("layer", "path", "weight", "bias")
KINDS: dict[str, Registry] = {"norm": SLOTS["norm"]}  # names that rules may use for many layers at once
WEIGHT_LAYERS = ("conv", "depthwise_conv", "conv_transpose", "linear")
NO_CALL = Call(NONE, {})


@dataclass(frozen=True)
class InitRule:
    """Weights and biases of the layers of a kind, or at a path (a glob), and what they start as."""

    layers: tuple[str, ...] = ()
    path: str | None = None
    weight: Call | None = None
    bias: Call | None = None
    source: Node | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Choices:
    """One call a slot (`none`: no module), and the init rules, of which the later wins."""

    norm: Call = NO_CALL
    act: Call = NO_CALL
    drop: Call = NO_CALL
    input_drop: Call = NO_CALL
    init: tuple[InitRule, ...] = ()

    def of(self, slot: str) -> Call:
        """Give the call that a slot stands for."""
        return {"norm": self.norm, "act": self.act, "drop": self.drop, "input_drop": self.input_drop}[slot]


def read_choices(node: Node | None, problems: list[Problem]) -> Choices:
    """Read the section `choices`; adds to `problems`."""
    if node is None:
        return Choices()
    if not isinstance(node, MapNode):
        problems.append(Problem(node.mark, "choices", f"found {describe(node)}", "a mapping"))
        return Choices()
    for key in node.items:
        if key not in KEYS:
            message = f"unknown key '{key}'"
            problems.append(Problem(node.keys[key], "choices", message, ", ".join(KEYS), nearest(key, KEYS)))
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
    if call is None:  # the list of names leaves out the one that no registry holds
        problems[before:] = [_with_none(problem) for problem in problems[before:]]
    return call or NO_CALL


def _with_none(problem: Problem) -> Problem:
    if not problem.message.startswith("unknown ") or problem.message.startswith("unknown key"):
        return problem
    near = problem.suggestion or (NONE if "'null'" in problem.message else "")
    return Problem(problem.mark, problem.where, problem.message, f"{NONE}, {problem.expected}", near)


def _rules(node: Node, problems: list[Problem]) -> tuple[InitRule, ...]:
    """Read `init`: a list of rules and calls; a call alone means the weights of every weight layer."""
    items = node.items if isinstance(node, ListNode) else (node,)
    places = (
        [f"choices.init.{i}" for i in range(len(items))] if isinstance(node, ListNode) else ["choices.init"]
    )
    read = (_rule(item, where, problems) for item, where in zip(items, places, strict=True))
    return tuple(rule for rule in read if rule is not None)


def _rule(node: Node, where: str, problems: list[Problem]) -> InitRule | None:
    if not isinstance(node, MapNode) or (len(node.items) == 1 and next(iter(node.items)) in INITS):
        call = read_call(INITS, node, where, problems)
        return None if call is None else InitRule(WEIGHT_LAYERS, None, call, None, node)
    before = len(problems)
    for key in node.items:
        if key not in RULE_KEYS:
            near = nearest(key, RULE_KEYS)
            message = f"unknown key '{key}'"
            problems.append(Problem(node.keys[key], where, message, ", ".join(RULE_KEYS), near))
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
    name = text_of(node)
    if name in KINDS:
        return KINDS[name].names()
    if name is None or name not in ops():
        known = (*ops(), *KINDS)
        found = describe(node) if name is None else f"unknown layer '{name}'"
        near = nearest(name or "", known)
        problems.append(Problem(node.mark, f"{where}.layer", found, "an op, or norm for every norm", near))
        return ()
    return (name,)


def _rule_path(node: Node | None, where: str, problems: list[Problem]) -> str | None:
    if node is None or text_of(node):
        return text_of(node)
    wanted = "a module path; * stands for one part of it, ** for any number"
    problems.append(Problem(node.mark, f"{where}.path", f"found {describe(node)}", wanted))
    return None
