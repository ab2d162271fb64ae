"""In what order the modules of a network run: told by one pass."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Call:
    """One call of a module: the moments of its start and its end, and what it gave out.

    `shape` and `dtype` are those of a tensor; of anything else they are None.
    """

    start: int
    end: int
    shape: tuple[int, ...] | None
    dtype: torch.dtype | None


Calls = dict[str, list[Call]]
"""By module path, each module under the first of its paths; the network itself is the empty path."""


def record_calls(net: nn.Module, inputs: Tensor) -> Calls:
    """Every call of every module in one pass; modules that are never called have no entry."""
    clock, calls = count(), Calls()
    running: dict[str, list[int]] = {}

    def begin(path: str) -> None:
        running.setdefault(path, []).append(next(clock))

    def end(path: str, output: object) -> None:
        tensor = output if isinstance(output, Tensor) else None
        shape, dtype = (None, None) if tensor is None else (tuple(tensor.shape), tensor.dtype)
        calls.setdefault(path, []).append(Call(running[path].pop(), next(clock), shape, dtype))

    with ExitStack() as hooks, torch.no_grad():
        for path, module in net.named_modules():
            hooks.enter_context(module.register_forward_pre_hook(lambda *_, path=path: begin(path)))
            hooks.enter_context(module.register_forward_hook(lambda _, __, out, path=path: end(path, out)))
        net(inputs)
    return calls
