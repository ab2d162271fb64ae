"""The rows of a declared network: its layers as built on the meta device, its wires as written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from zoo.builder.init import default_call, rule_for
from zoo.builder.network import BuiltLayer, Network
from zoo.describe.arguments import arguments_in_words
from zoo.describe.description import IMAGE, LayerRow, is_within
from zoo.describe.family import family_of
from zoo.describe.macs import macs_of
from zoo.describe.wording import call_in_words
from zoo.registry import Call
from zoo.spec.spec import Spec
from zoo.spec.tree import INPUT, Group, Leaf, items


def declared_rows(spec: Spec, network: Network) -> tuple[tuple[LayerRow, ...], str]:
    """Give every layer in the order of execution, and the id of the row that gives the answer."""
    tree = spec.expand().root
    parts = dict(_parts(tree, network.layers))
    wires = _Wires(tree, parts)
    rows = []
    for leaf, layers in parts.values():
        sources = tuple(wires.giver(source) for source in leaf.sources)
        for built in layers:
            rows.append(_row(spec, built, sources))
            sources = (built.path,)
    return tuple(rows), wires.giver(tree.result)


def _row(spec: Spec, built: BuiltLayer, sources: tuple[str, ...]) -> LayerRow:
    module = built.module
    starts = ((name, _start(spec, built, name)) for name in ("weight", "bias"))
    return LayerRow(
        id=built.path,
        path=built.path,
        kind=built.op,
        family=family_of(module),
        arguments=arguments_in_words(module),
        output=built.output,
        sources=sources,
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=macs_of(module, built.inputs, built.output),
        init={name: call_in_words(call) for name, call in starts if call},
        idle=isinstance(module, nn.Identity),
    )


def _start(spec: Spec, built: BuiltLayer, name: str) -> Call | None:
    """Give what a parameter starts as; None where the layer has no such parameter."""
    parameter = getattr(built.module, name, None)
    if not isinstance(parameter, Tensor):
        return None
    rule = rule_for(built, name, spec.choices.init)
    call: Call | None = getattr(rule, name) if rule else default_call(name, parameter)
    return call


Parts = dict[str, tuple[Leaf, tuple[BuiltLayer, ...]]]


def _parts(
    tree: Group, layers: Iterable[BuiltLayer]
) -> Iterator[tuple[str, tuple[Leaf, tuple[BuiltLayer, ...]]]]:
    """Give each item of the tree with the layers built for it: one, or those that it stands for."""
    left = list(layers)
    for item in items(tree):
        if isinstance(item, Leaf):
            count = next(
                (i for i, built in enumerate(left) if not is_within(built.path, item.path)), len(left)
            )
            yield item.path, (item, tuple(left[:count]))
            del left[:count]


class _Wires:
    """Follows the ids of values to the rows that give them."""

    def __init__(self, tree: Group, parts: Parts) -> None:
        self.tree = tree
        self.parts = parts
        self.groups = {item.path: item for item in items(tree) if isinstance(item, Group)}

    def giver(self, value: str) -> str:
        """Give the id of the row whose value this is."""
        if value == INPUT:
            return IMAGE
        if value.endswith(INPUT):
            return self.giver(self.groups[value.removesuffix(INPUT)].source)
        if value in self.groups:
            return self.giver(self.groups[value].result)
        leaf, layers = self.parts[value]
        return layers[-1].path if layers else self.giver(leaf.sources[0])
