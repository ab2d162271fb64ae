"""The spec's `choices`: what the slots `norm`, `act` and `drop` stand for, and the initial weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import zoo.initializers  # noqa: F401  (registers every init)
from zoo import limits
from zoo.registry import INITS, Call, Registry
from zoo.spec.calls import read_call
from zoo.spec.items import NONE, SLOTS, ops
from zoo.spec.nodes import ListNode, MapNode, Node, Problems, is_null, text_of

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
        call: Call = getattr(self, slot)
        return call


def read_choices(node: Node | None, problems: Problems) -> Choices:
    """Read the section `choices`; adds to `problems`."""
    if node is None:
        return Choices()
    if not isinstance(node, MapNode):
        problems.wrong_value(node, "choices", "a mapping")
        return Choices()
    problems.unknown_keys(node, KEYS, "choices")
    slots = {**SLOTS, "input_drop": SLOTS["drop"]}
    calls = {slot: _slot(node.get(slot), slot, registry, problems) for slot, registry in slots.items()}
    return Choices(**calls, init=_rules(node.get("init"), problems))


def _slot(node: Node | None, slot: str, registry: Registry, problems: Problems) -> Call:
    if node is None or text_of(node) == NONE:
        return NO_CALL
    where, names = f"choices.{slot}", (NONE, *registry.names())
    if is_null(node):
        problems.add(node.mark, where, f"unknown {registry.kind} 'null'", ", ".join(names), NONE)
        return NO_CALL
    return read_call(registry, node, where, problems, names) or NO_CALL


def _rules(node: Node | None, problems: Problems) -> tuple[InitRule, ...]:
    """Read `init`: a list of rules and calls; a call alone is for the weights of every weight layer."""
    if isinstance(node, ListNode) and len(node.items) > limits.MAX_RULES:
        message, expected = f"{len(node.items):,} rules", f"at most {limits.MAX_RULES:,}"
        problems.add(node.mark, "choices.init", message, expected)
        return ()
    if isinstance(node, ListNode):
        read = [_rule(item, f"choices.init.{i}", problems) for i, item in enumerate(node.items)]
    else:
        read = [] if node is None else [_rule(node, "choices.init", problems)]
    return tuple(rule for rule in read if rule is not None)


def _rule(node: Node, where: str, problems: Problems) -> InitRule | None:
    if not isinstance(node, MapNode) or (len(node.items) == 1 and next(iter(node.items)) in INITS):
        call = read_call(INITS, node, where, problems)
        return None if call is None else InitRule(WEIGHT_LAYERS, None, call, None, node)
    before = len(problems)
    problems.unknown_keys(node, RULE_KEYS, where)
    if not {"weight", "bias"} & set(node.items) and len(problems) == before:
        problems.add(node.mark, where, "sets nothing", "weight or bias, and layer or path")
    layers, path = _rule_layers(node.get("layer"), f"{where}.layer", problems), node.get("path")
    if path is not None and not text_of(path):
        expected = "a module path; * stands for one part of it, ** for any number"
        problems.wrong_value(path, f"{where}.path", expected)
    calls = {
        part: read_call(INITS, node.items[part], f"{where}.{part}", problems)
        for part in ("weight", "bias")
        if part in node.items
    }
    return None if len(problems) > before else InitRule(layers, text_of(path), **calls, source=node)


def _rule_layers(node: Node | None, where: str, problems: Problems) -> tuple[str, ...]:
    name, expected = text_of(node), "an op, or norm for every norm"
    if name in KINDS:
        return KINDS[name].names()
    if name in ops() and name is not None:
        return (name,)
    if node is not None and name is None:
        problems.wrong_value(node, where, expected)
    elif node is not None and name is not None:
        problems.unknown(f"layer {name}", node.mark, where, (*ops(), *KINDS), expected)
    return ()
