"""Describe a network by running it once on the meta device, where tensors have shapes but no values.

Hooks show which layer is called; a dispatch mode shows every operation. An output is known by the tensor that
holds it, so that each layer's inputs are traced to the layers that made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from zoo.builder.init import default_call, rule_for
from zoo.builder.network import BuiltLayer, build_network, parametrise
from zoo.catalog.anatomy import anatomy
from zoo.catalog.networks import build_on_meta
from zoo.describe.arguments import format_arguments
from zoo.describe.description import IMAGE, Description, LayerRow, assign_parts
from zoo.describe.text import format_call
from zoo.registry import Call
from zoo.spec.header import Input
from zoo.spec.spec import Spec

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
JOINS = {"cat": "concat", "mul": "multiply", "bmm": "product", "sub": "subtract"}


def describe(spec: Spec) -> Description:
    """Describe a spec's network without allocating its weights.

    Raises: SpecError where shapes do not fit, GraftError for a network that cannot run.
    """
    built: dict[str, BuiltLayer] = {}
    if spec.model is None:
        network = build_network(spec)
        parametrise(network, spec.choices)
        net, built = network.net, {layer.path: layer for layer in network.layers}
    else:
        net = build_on_meta(spec)
    rows, result = trace_layers(net, spec.input)
    rows = tuple(_as_declared(row, built[row.path], spec) if row.path in built else row for row in rows)
    found = anatomy(spec, net)
    return Description(
        spec=spec,
        layers=assign_parts(rows, found.head, found.stages),
        result=result,
        head=found.head,
        stages=found.stages,
        params=sum(parameter.numel() for parameter in net.parameters()),
        state_bytes=sum(value.numel() * value.element_size() for value in net.state_dict().values()),
    )


def trace_layers(net: nn.Module, size: Input) -> tuple[tuple[LayerRow, ...], str]:
    """Return every call of a layer in the order of execution, and the id of the row that gives the output.

    `net` is on the meta device.
    """
    image = torch.empty(1, size.channels, size.height, size.width, device="meta")
    was_training, fast = net.training, torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it would hide the layers inside attention
    tracer = _Tracer(net.eval(), image)
    try:
        with torch.no_grad(), tracer.hooks(), tracer:
            output = net(image)
    finally:
        net.train(was_training)
        torch.backends.mha.set_fastpath_enabled(fast)
    return tracer.finish(), tracer.makers[id(_tensors(output)[0])]


def _as_declared(row: LayerRow, built: BuiltLayer, spec: Spec) -> LayerRow:
    """Use the op in the spec as the kind, and add the initialisers."""
    calls = {name: _initialiser(built, name, spec) for name in ("weight", "bias")}
    init = {name: format_call(call) for name, call in calls.items() if call}
    return replace(row, kind=built.op, init=init)


def _initialiser(built: BuiltLayer, name: str, spec: Spec) -> Call | None:
    parameter = getattr(built.module, name, None)
    if not isinstance(parameter, Tensor):
        return None
    rule = rule_for(built, name, spec.choices.init)
    call: Call | None = getattr(rule, name) if rule else default_call(name, parameter)
    return call


@dataclass(frozen=True)
class _Call:
    """A call of a module that has not returned; `row` is None for a module that only calls others."""

    path: str
    row: str | None


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the rows, and for each tensor the row that made it or the owner of its parameter."""

    def __init__(self, net: nn.Module, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.modules = dict(net.named_modules())
        self.rows: dict[str, LayerRow] = {}
        self.calls: list[_Call] = []
        self.alive: list[Tensor] = [image]  # a tensor that is freed could pass its id on
        self.makers: dict[int, str] = {id(image): IMAGE}
        self.owners = {
            id(parameter): path
            for path, module in self.modules.items()
            for parameter in module.parameters(recurse=False)
        }
        self.counted: set[int] = set()

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Observe every call of a module, until the context ends."""
        with ExitStack() as stack:
            for path, module in self.modules.items():
                stack.callback(module.register_forward_pre_hook(self._enter(path)).remove)
                stack.callback(module.register_forward_hook(self._leave).remove)
            yield

    def finish(self) -> tuple[LayerRow, ...]:
        """Return the rows; modules with parameters that never ran come last."""
        for path, module in self.modules.items():
            if any(id(parameter) not in self.counted for parameter in module.parameters(recurse=False)):
                self._add(path)
        return tuple(self.rows.values())

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        op = func._schema.name.removeprefix("aten::")
        if op == "relu":  # torch takes 10 ms to infer the shape of this one and the next
            output: Any = torch.empty_like(args[0])
        elif op == "native_batch_norm":
            output = (torch.empty_like(args[0]), *torch.empty(2, 0, device="meta"))
        else:
            output = func(*args, **(kwargs or {}))
        given = _tensors(args)
        owner = next((self.owners[id(t)] for t in given if id(t) in self.owners), None)
        count = flop_registry.get(func._overloadpacket)
        # Only products with weights: papers do not count those of two activations, as in attention.
        macs = 0 if owner is None or count is None else count(*args, **(kwargs or {}), out_val=output) // 2
        sources = tuple(dict.fromkeys(self.makers[id(t)] for t in given if id(t) in self.makers))
        for result in reversed(_tensors(output)):  # the first is the output proper, others are statistics
            self._record(op.rstrip("_"), sources, owner, macs, result)
            macs = 0
        return output

    def _record(
        self, op: str, sources: tuple[str, ...], owner: str | None, macs: int, result: Tensor
    ) -> None:
        """Add an operation to the row of the layer called, of the weights it uses, or to a row of its own."""
        self.alive.append(result)
        if not sources:
            if owner is not None:
                self.owners[id(result)] = owner
            return
        row_id = self._row_for(op, sources, owner)
        if row_id is None:
            self.makers[id(result)] = sources[0]
            return
        row = self.rows[row_id]
        others = tuple(source for source in sources if source not in (row_id, *row.sources))
        self.rows[row_id] = replace(
            row, sources=(*row.sources, *others), macs=row.macs + macs, output=tuple(result.shape[1:])
        )
        self.makers[id(result)] = row_id

    def _row_for(self, op: str, sources: Sequence[str], owner: str | None) -> str | None:
        call = self.calls[-1]
        if call.row is not None:
            return call.row
        if owner is not None:
            last = next(reversed(self.rows), None)
            return last if last and self.rows[last].path == owner else self._add(owner)
        if len(sources) > 1:
            return self._add(call.path, JOINS.get(op, op))
        return None

    def _enter(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: object) -> None:
            outer = self.calls[-1].row if self.calls else None
            row = self._add(path) if outer is None and _is_layer(module) else outer
            self.calls.append(_Call(path, row))

        return enter

    def _leave(self, module: nn.Module, args: object, output: Any) -> Any:  # noqa: ANN401
        """End a call. An output that is the very input, as of a dropout, becomes a tensor of its own."""
        call = self.calls.pop()
        if call.row is None or not isinstance(output, Tensor) or self.makers.get(id(output)) == call.row:
            return output
        self.calls.append(call)
        own = output.view_as(output)
        self.calls.pop()
        return own

    def _add(self, path: str, kind: str = "") -> str:
        """Add a row for another call of a module, or for an operation (`kind`) inside it; return its id."""
        module = self.modules[path]
        name = f"{path}:{kind}" if kind else path
        row_id = name if name not in self.rows else f"{name}#{len(self.rows)}"
        own = [] if kind else list(module.parameters(recurse=_is_layer(module)))
        params = sum(p.numel() for p in own if id(p) not in self.counted)
        self.counted |= {id(p) for p in own}
        arguments = format_arguments(module) if _is_layer(module) and not kind else ()
        self.rows[row_id] = LayerRow(row_id, path, kind or type(module).__name__, arguments, params=params)
        return row_id


def _is_layer(module: nn.Module) -> bool:
    """Return whether a module is one layer: it has no children, or is one of torch's, such as attention."""
    if isinstance(module, CONTAINERS):
        return False
    return not any(True for _ in module.children()) or type(module).__module__.startswith("torch.nn.")


def _tensors(values: object) -> list[Tensor]:
    return [value for value in pytree.tree_leaves(values) if isinstance(value, Tensor)]
