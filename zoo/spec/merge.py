"""`extends`, `include` and `SET`: one mapping laid over another, key by key; null removes a key."""

from __future__ import annotations

from dataclasses import replace

from zoo.spec.items import op_key
from zoo.spec.nodes import MapNode, Node, is_null

NETWORK_KEYS = frozenset({"layers", "blocks", "choices"})


def merge_documents(base: MapNode, over: MapNode) -> MapNode:
    """Lay a whole spec over another. In its network, a call of another op replaces the old call whole."""
    return _merge(base, over, depth=0, network=False)


def merge_items(base: Node, over: MapNode) -> Node:
    """Lay an item of a network over another: the keys beside `include` over what is included."""
    return _merge(base, over, depth=1, network=True) if isinstance(base, MapNode) else over


def _merge(base: MapNode, over: MapNode, depth: int, network: bool) -> MapNode:
    items, keys = dict(base.items), dict(base.keys)
    for key, node in over.items.items():
        inside = network or (depth == 0 and key in NETWORK_KEYS)
        if key not in items:
            items[key], keys[key] = node, over.keys[key]
        elif is_null(node):
            del items[key], keys[key]
        else:
            items[key] = _merge_node(items[key], node, depth + 1, inside)
            keys[key] = over.keys[key] if items[key] is node else keys[key]
    return replace(base, items=items, keys=keys)


def _merge_node(base: Node, over: Node, depth: int, network: bool) -> Node:
    if not isinstance(base, MapNode) or not isinstance(over, MapNode):
        return over
    # `layers`, `blocks` and `choices` themselves (depth 1) hold children, whatever these are called.
    if network and depth > 1 and _differs(base, over):
        return over
    return _merge(base, over, depth, network)


def _differs(base: MapNode, over: MapNode) -> bool:
    """Say whether `over` calls something that `base` does not, so that their arguments cannot be mixed."""
    called = op_key(over)
    return bool(called) and called != op_key(base) and not is_null(over.items[called])
