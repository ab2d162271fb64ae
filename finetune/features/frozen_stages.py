"""The frozen stages at the bottom of a network: where they end, and how to run the rest on their outputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from finetune.optim.freeze import covers, set_training
from finetune.runtime.precision import Precision, evaluating
from finetune.runtime.seeds import keep_random_state

TRACED, TRIED = 2, 3
"""Images that calls are recorded with, and that a cut is tested with; the numbers must differ."""
CLOSE = 1e-3
"""Two outputs are equal when they differ by at most this share of the largest number."""


class _BoundaryError(Exception):
    """Ends a pass at the boundary."""


@dataclass(frozen=True)
class Call:
    """One call of a module: when it started and ended, in counts of such events, and its output.

    `shape` and `dtype` are None where the output is not a tensor.
    """

    start: int
    end: int
    shape: tuple[int, ...] | None
    dtype: torch.dtype | None


Calls = dict[str, list[Call]]
"""Calls by module path; the network itself has the empty path."""


@dataclass(frozen=True)
class FrozenStages:
    """The part of a network up to and including the module `boundary`, none of which learns.

    `skipped` holds the other modules that end before the boundary does, by path, with the shape (without the
    batch) and dtype of their outputs. `image` is the (C, H, W) of the network's input; `shape` and `dtype`
    are those of the boundary's output.
    """

    boundary: str
    skipped: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
    image: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype

    def outputs(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Compute the boundary's output (N, …) from the network's inputs (N, C, H, W), in evaluation mode."""
        with evaluating(net):
            return _run_up_to(net, self.boundary, inputs)

    def run_above(self, net: nn.Module, outputs: Tensor) -> Any:  # noqa: ANN401  (as the network's own forward)
        """Compute the network's output from the boundary's `outputs` (N, …), without the stages below.

        Modules below output NaN of their shapes, so that a use of their outputs is noticed.
        """
        size, device = len(outputs), outputs.device
        with ExitStack() as skipping:
            skipping.enter_context(_returning(net.get_submodule(self.boundary), outputs))
            for path, (shape, dtype) in self.skipped.items():
                stand_in = _nan(size, shape, dtype, device)
                skipping.enter_context(_returning(net.get_submodule(path), stand_in))
            return net(_nan(size, self.image, torch.float32, device))


def find_frozen_stages(
    net: nn.Module, stages: Sequence[str], inputs: Tensor, precision: Precision
) -> FrozenStages | None:
    """Return the frozen part up to the highest stage below all that learns; None where no stage can be cut.

    In: the network with `requires_grad` as in training, on its device; `inputs`, `TRIED` or more normalised
    images (N, C, H, W). A cut is valid only if the part above alone gives the output of the whole network, in
    training and in evaluation, whatever the modules below other than the boundary output. So stages that
    another value bypasses, or that draw at random, are not valid. The network and the random state stay.
    """
    if all(parameter.requires_grad for parameter in net.parameters()):
        return None
    net = copy.deepcopy(net)  # training mode changes statistics
    set_training(net)
    inputs = precision.arrange(inputs[:TRIED])
    with keep_random_state(inputs.device), precision.context(inputs.device):
        calls = record_calls(net, inputs[:TRACED])
        start = _first_trained(net, calls)
        for stage in reversed(stages):
            frozen = _cut(net, stage, calls, tuple(inputs.shape[1:]), before=start)
            if frozen is not None and _is_valid(frozen, net, inputs):
                return frozen
    return None


def record_calls(net: nn.Module, inputs: Tensor) -> Calls:
    """Record the calls of all modules in one pass; modules that are never called have no entry."""
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


def _first_trained(net: nn.Module, calls: Calls) -> int:
    """Return when the first module starts that has a parameter that learns.

    A parameter of a module that is never called counts for the enclosing module, which may use it. A
    parameter that several modules share counts for all of them.
    """
    first = max(call.end for of_one in calls.values() for call in of_one)
    for name, parameter in net.named_parameters(remove_duplicate=False):
        if parameter.requires_grad:
            path = name.rpartition(".")[0]
            while path not in calls:
                path = path.rpartition(".")[0]
            first = min(first, *(call.start for call in calls[path]))
    return first


def _cut(
    net: nn.Module, stage: str, calls: Calls, image: tuple[int, ...], *, before: int
) -> FrozenStages | None:
    """Return the cut at a stage that ended `before`; None where a module up to it outputs no tensor."""
    boundary = _only_output(calls.get(stage, []))
    end = max((call.end for call in calls.get(stage, [])), default=before)
    if boundary is None or end >= before:
        return None
    skipped = {}
    for path in _ended(net, stage, calls, end):
        output = _only_output(calls[path])
        if output is None:
            return None
        skipped[path] = output
    return FrozenStages(stage, skipped, image, *boundary)


def _ended(net: nn.Module, boundary: str, calls: Calls, end: int) -> list[str]:
    """Return the outermost modules that end by then, except the boundary and what it is part of."""
    found: list[str] = []
    for path, _ in net.named_modules():
        inside = any(covers(outer, path) for outer in (boundary, *found))
        if path in calls and not inside and not covers(path, boundary):
            last = max(call.end for call in calls[path])
            found += [path] if last < end else []
    return found


def _only_output(calls: Sequence[Call]) -> tuple[tuple[int, ...], torch.dtype] | None:
    """Return the shape without the batch, and the dtype, where all calls output a tensor of the same kind."""
    kinds = {(call.shape, call.dtype) for call in calls}
    if len(kinds) != 1:
        return None
    shape, dtype = kinds.pop()
    if shape is None or dtype is None or not shape or shape[0] != TRACED:
        return None
    return shape[1:], dtype


@torch.no_grad()
def _is_valid(frozen: FrozenStages, net: nn.Module, inputs: Tensor) -> bool:
    """Return whether the part above gives the output of the whole network, in training and in evaluation."""
    state = copy.deepcopy(net.state_dict())
    try:
        outputs = frozen.outputs(net, inputs).clone()
        set_training(net)
        if not _close(outputs, _run_up_to(net, frozen.boundary, inputs)):
            return False  # dropout below, or a norm that uses the batch
        for mode in (set_training, nn.Module.eval):
            mode(net)
            net.load_state_dict(state)
            torch.manual_seed(0)  # for dropout above
            whole = net(inputs)
            frozen.outputs(net, inputs.flip(0))  # whatever the frozen stages store is now of other images
            net.load_state_dict(state)
            torch.manual_seed(0)
            if not _close(whole, frozen.run_above(net, outputs.clone())):
                return False
    except (RuntimeError, ValueError, TypeError, LookupError, AssertionError, AttributeError):
        return False  # unknown code, run on values that it was not written for
    return True


@torch.no_grad()
def _run_up_to(net: nn.Module, boundary: str, inputs: Tensor) -> Tensor:
    """Return the output of that module; the pass ends there."""
    reached: list[Tensor] = []

    def hook(module: nn.Module, given: object, output: Tensor) -> None:
        reached.append(output)
        raise _BoundaryError

    with suppress(_BoundaryError), net.get_submodule(boundary).register_forward_hook(hook):
        net(inputs)
    [output] = reached
    return output


def _close(first: object, second: object) -> bool:
    """Return whether two outputs, tensors or tuples of them, are equal up to rounding."""
    if isinstance(first, (tuple, list)) and isinstance(second, (tuple, list)):
        return len(first) == len(second) and all(map(_close, first, second))
    if not isinstance(first, Tensor) or not isinstance(second, Tensor) or first.shape != second.shape:
        return False
    scale = float(first.abs().max())
    return torch.allclose(first.float(), second.float(), rtol=0.0, atol=CLOSE * scale)


def _nan(size: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return NaN of the shape (size, *shape), which takes no memory; zero for a dtype without NaN."""
    value = torch.nan if dtype.is_floating_point else 0
    return torch.full((1,), value, dtype=dtype, device=device).expand(size, *shape)


@contextmanager
def _returning(module: nn.Module, output: Tensor) -> Iterator[None]:
    """Let the module return this output inside the block, whatever it is called with."""
    own = vars(module).get("forward")
    module.forward = lambda *_, **__: output
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own
