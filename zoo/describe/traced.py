"""The rows of a network of another library: one image is followed through it on the meta device.

Who is called, in which order, and who gave the values that it takes are seen as the operations pass by;
a value is known by the tensor that holds it.
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

from zoo.describe.arguments import arguments_in_words
from zoo.describe.description import IMAGE, LayerRow
from zoo.describe.family import family_of
from zoo.describe.macs import macs_of_operation
from zoo.spec.header import Input

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
JOINS = {"cat": "concat", "mul": "multiply", "bmm": "product", "sub": "subtract"}


def traced_rows(net: nn.Module, size: Input) -> tuple[tuple[LayerRow, ...], str]:
    """Give every call of a layer in the order of execution, and the id of the row that gives the answer.

    `net` is on the meta device. Products of values with each other, as in attention, count no MACs.
    """
    image = torch.empty(1, size.channels, size.height, size.width, device="meta")
    was_training, fast = net.training, torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it would hide the layers inside attention
    tracer = _Tracer(net.eval(), image)
    try:
        with torch.no_grad(), tracer.watching(), tracer:
            output = net(image)
    finally:
        net.train(was_training)
        torch.backends.mha.set_fastpath_enabled(fast)
    return tracer.finish(), tracer.givers[id(_tensors(output)[0])]


@dataclass(frozen=True)
class _Call:
    """A call of a module that is going on; `row` is None for one that only calls others."""

    path: str
    row: str | None


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Holds the rows so far, and which row gave each tensor, or which module's weights it is made of."""

    def __init__(self, net: nn.Module, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.modules = dict(net.named_modules())
        self.rows: dict[str, LayerRow] = {}
        self.calls: list[_Call] = []
        self.alive: list[Tensor] = [image]  # so that no two tensors are ever known by one id
        self.givers: dict[int, str] = {id(image): IMAGE}
        self.owners = {
            id(parameter): path
            for path, module in self.modules.items()
            for parameter in module.parameters(recurse=False)
        }
        self.counted: set[int] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be told of every call of a module, until the context ends."""
        with ExitStack() as hooks:
            for path, module in self.modules.items():
                hooks.callback(module.register_forward_pre_hook(self._enter(path)).remove)
                hooks.callback(module.register_forward_hook(self._leave).remove)
            yield

    def finish(self) -> tuple[LayerRow, ...]:
        """Give the rows; at their end, modules that have parameters and were never run."""
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
        output = func(*args, **(kwargs or {}))
        for result in reversed(_tensors(output)):  # the first is the value itself, others are its statistics
            self._note(func._schema.name.removeprefix("aten::").rstrip("_"), args, result)
        return output

    def _note(self, op: str, args: Sequence[Any], result: Tensor) -> None:
        """Write down one operation: in the row of the layer called, of the weights it uses, or its own."""
        given = _tensors(args)
        sources = tuple(dict.fromkeys(self.givers[id(t)] for t in given if id(t) in self.givers))
        owner = next((self.owners[id(t)] for t in given if id(t) in self.owners), None)
        self.alive.append(result)
        if not sources:
            if owner is not None:
                self.owners[id(result)] = owner
            return
        row = self._row_for(op, sources, owner)
        if row is None:
            self.givers[id(result)] = sources[0]
            return
        macs = 0 if owner is None else macs_of_operation(op, args, result)
        self._extend(row, sources, macs, result)

    def _row_for(self, op: str, sources: tuple[str, ...], owner: str | None) -> str | None:
        call = self.calls[-1]
        if call.row is not None:
            return call.row
        if owner is not None:
            last = next(reversed(self.rows), None)
            return last if last and self.rows[last].path == owner else self._add(owner)
        if len(sources) > 1:
            return self._add(call.path, JOINS.get(op, op))
        return None

    def _extend(self, row_id: str, sources: Sequence[str], macs: int, result: Tensor) -> None:
        row = self.rows[row_id]
        others = tuple(source for source in sources if source not in (row_id, *row.sources))
        self.rows[row_id] = replace(
            row, sources=(*row.sources, *others), macs=row.macs + macs, output=tuple(result.shape[1:])
        )
        self.givers[id(result)] = row_id

    def _enter(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: object) -> None:
            around = self.calls[-1].row if self.calls else None
            row = self._add(path) if around is None and _is_unit(module) else around
            self.calls.append(_Call(path, row))

        return enter

    def _leave(self, module: nn.Module, args: object, output: Any) -> Any:  # noqa: ANN401
        """End a call. What a layer gives back untouched is made a value of its own."""
        call = self.calls.pop()
        if call.row is None or not isinstance(output, Tensor) or self.givers.get(id(output)) == call.row:
            return output
        self.calls.append(call)
        own = output.view_as(output)
        self.calls.pop()
        return own

    def _add(self, path: str, kind: str = "") -> str:
        """Add a row for another call of a module, or for an operation (`kind`) within it."""
        module = self.modules[path]
        name = f"{path}:{kind}" if kind else path
        row_id = name if name not in self.rows else f"{name}#{len(self.rows)}"
        own = [] if kind else list(module.parameters(recurse=_is_unit(module)))
        params = sum(p.numel() for p in own if id(p) not in self.counted)
        self.counted |= {id(p) for p in own}
        self.rows[row_id] = LayerRow(
            id=row_id,
            path=path,
            kind=kind or type(module).__name__,
            family="join" if kind else family_of(module),
            arguments=arguments_in_words(module) if _is_unit(module) and not kind else (),
            output=(),
            sources=(),
            params=params,
            idle=isinstance(module, nn.Identity),
        )
        return row_id


def _is_unit(module: nn.Module) -> bool:
    """Say whether a module is a layer by itself: it holds no others, or torch makes one thing of them."""
    if isinstance(module, CONTAINERS):
        return False
    return not any(True for _ in module.children()) or type(module).__module__.startswith("torch.nn.")


def _tensors(values: object) -> list[Tensor]:
    return [value for value in pytree.tree_leaves(values) if isinstance(value, Tensor)]
