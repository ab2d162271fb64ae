"""The kinds of items of a network: a call of an op or slot, a use of a block, or children."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

import zoo.layers  # noqa: F401  (registers every layer)
from zoo.registry import ACTIVATIONS, DROPS, LAYERS, NORMS, Entry, Registry
from zoo.spec.nodes import ListNode, MapNode, Node, is_null, text_of

SLOTS: Mapping[str, Registry] = {"norm": NORMS, "act": ACTIVATIONS, "drop": DROPS}
NONE = "none"  # the choice that adds no module
PARAMETRISATIONS = frozenset({"weight_norm"})  # norms that change how weights are held, and add no module
WIRES = ("from", "as")
USE_KEYS = ("use", "repeat", "with", "first", "names")
KEPT = 4096  # answers; without them, each level of nesting would double the time
RESERVED = frozenset({*WIRES, *USE_KEYS, "include"})
ATTRIBUTES = """
T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu
load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters
register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict to
to_empty train type xpu zero_grad
"""
MODULE_NAMES = frozenset(ATTRIBUTES.split())  # public attributes of torch.nn.Module: not names of children


@cache
def ops() -> dict[str, Entry]:
    """Return every op that a network may call, by name; no two registries share a name."""
    found: dict[str, Entry] = {}
    for registry in (LAYERS, NORMS, ACTIVATIONS, DROPS):
        for name in registry.names():
            if name in found or name in SLOTS or name == NONE or name in RESERVED:
                raise ValueError(f"{registry.kind} '{name}' has a name that is taken")
            found[name] = registry[name]
    return found


def is_callable_name(name: str) -> bool:
    """Return whether an item may call this name: an op, a slot or `none`."""
    return name in ops() or name in SLOTS or name == NONE


@lru_cache(KEPT)
def op_key(node: Node) -> str:
    """Return the key that makes a mapping a call: an op or slot, `use` or `include`; '' for children."""
    if not isinstance(node, MapNode):
        return ""
    for key in ("use", "include"):
        if key in node.items:
            return key
    rest = [key for key in node.items if key not in WIRES]
    called = [key for key in rest if is_callable_name(key)]
    if len(called) != 1 or _is_child(called[0], node.items[called[0]]):
        return ""
    others = (node.items[key] for key in rest if key != called[0])
    return "" if any(is_null(other) or _looks_like_item(other) for other in others) else called[0]


def misspelt_op(node: MapNode) -> str:
    """Return the only key of a mapping if it cannot be a child, so must be meant as an op; else ''."""
    rest = [key for key in node.items if key not in WIRES]
    if len(rest) != 1 or _looks_like_item(node.items[rest[0]]):
        return ""
    return rest[0]


def _is_child(name: str, value: Node) -> bool:
    """Return whether an op's name is a child's name here: its value is an item, not arguments."""
    if isinstance(value, MapNode) and name in ops():
        parameters = {parameter.name for parameter in ops()[name].parameters}
        if parameters & set(value.items):
            return False
    return _looks_like_item(value)


@lru_cache(KEPT)
def _looks_like_item(node: Node) -> bool:
    if isinstance(node, ListNode):
        return any(_looks_like_item(item) for item in node.items)
    if isinstance(node, MapNode):
        return bool(op_key(node)) or any(_looks_like_item(item) for item in node.items.values())
    text = text_of(node)
    return text is not None and is_callable_name(text)
