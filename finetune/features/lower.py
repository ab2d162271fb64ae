"""The frozen lower part of a network: where it ends, and how the rest runs on what it gave out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from finetune.features.calls import Call, Calls, record_calls
from finetune.optim.freeze import covers, set_training
from finetune.runtime.precision import Precision, evaluating

TRACED, TRIED = 2, 3
"""Images that calls are recorded with, and, another number, that a cut is tried out with."""
CLOSE = 1e-3
"""The two ways to an answer do the same arithmetic: they may differ by this share of its largest number."""


class _ReachedError(Exception):
    """Ends a pass at the boundary."""


@dataclass(frozen=True)
class Lower:
    """A network's part up to and with the module `boundary`, none of which learns.

    `skipped` holds the other modules that have ended when the boundary has, by path, with the shape (without
    the batch) and type of what they give; `image` is the (C, H, W) of the network's input, `shape` and
    `dtype` belong to the boundary's output.
    """

    boundary: str
    skipped: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
    image: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype

    def outputs(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """What the boundary gives for the network's inputs (N, C, H, W), in evaluation mode. Out: (N, …)."""
        with evaluating(net):
            return _run_up_to(net, self.boundary, inputs)

    def upper(self, net: nn.Module, outputs: Tensor) -> Any:  # noqa: ANN401  (as the network's own forward)
        """The network's answer where its boundary gives `outputs` (N, …); what lies below is not computed.

        What the modules below would give is stood in for by NaN of their shapes, so that nothing of it can
        pass for a number if it should reach the answer.
        """
        count, device = len(outputs), outputs.device
        with ExitStack() as skipping:
            skipping.enter_context(_giving(net.get_submodule(self.boundary), outputs))
            for path, (shape, dtype) in self.skipped.items():
                stand_in = _nothing(count, shape, dtype, device)
                skipping.enter_context(_giving(net.get_submodule(path), stand_in))
            return net(_nothing(count, self.image, torch.float32, device))


def find_lower(net: nn.Module, stages: Sequence[str], inputs: Tensor, precision: Precision) -> Lower | None:
    """The lower part up to the highest of the stages below all that learns; None where there is no such cut.

    In: the network with `requires_grad` as it is trained, on its device; `inputs`, normalised images (N, C,
    H, W) of `TRIED` or more. A cut is one only if the upper part alone answers as the whole network does, in
    training as in evaluation, and whatever the lower modules but the boundary give out: stages that several
    values pass, or that draw at random, are none. The network stays as it is; random numbers are drawn aside.
    """
    if all(parameter.requires_grad for parameter in net.parameters()):
        return None
    net = copy.deepcopy(net)  # training mode changes statistics
    set_training(net)
    inputs = precision.arrange(inputs[:TRIED])
    with _drawing_aside(inputs.device), precision.context(inputs.device):
        calls = record_calls(net, inputs[:TRACED])
        learning = _first_learning(net, calls)
        for stage in reversed(stages):
            lower = _cut(net, stage, calls, tuple(inputs.shape[1:]), before=learning)
            if lower is not None and _holds(lower, net, inputs):
                return lower
    return None


def _first_learning(net: nn.Module, calls: Calls) -> int:
    """The moment when the first module starts that has a parameter that learns.

    A parameter of a module that is never called counts for the module round it: that one may use it. One that
    several modules share counts for all of them.
    """
    first = max(call.end for of_one in calls.values() for call in of_one)
    for name, parameter in net.named_parameters(remove_duplicate=False):
        if parameter.requires_grad:
            path = name.rpartition(".")[0]
            while path not in calls:
                path = path.rpartition(".")[0]
            first = min(first, *(call.start for call in calls[path]))
    return first


def _cut(net: nn.Module, stage: str, calls: Calls, image: tuple[int, ...], *, before: int) -> Lower | None:
    """The cut at a stage that ended before that moment; None where it or one below gives no single tensor."""
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
    return Lower(stage, skipped, image, *boundary)


def _ended(net: nn.Module, boundary: str, calls: Calls, end: int) -> list[str]:
    """The outermost modules of which no call ends later, but for the boundary and what it is part of."""
    found: list[str] = []
    for path, _ in net.named_modules():
        inside = any(covers(outer, path) for outer in (boundary, *found))
        if path in calls and not inside and not covers(path, boundary):
            last = max(call.end for call in calls[path])
            found += [path] if last < end else []
    return found


def _only_output(calls: Sequence[Call]) -> tuple[tuple[int, ...], torch.dtype] | None:
    """Shape without the batch, and type, where each of the calls gave one tensor of the same."""
    kinds = {(call.shape, call.dtype) for call in calls}
    if len(kinds) != 1:
        return None
    shape, dtype = kinds.pop()
    if shape is None or dtype is None or not shape or shape[0] != TRACED:
        return None
    return shape[1:], dtype


@torch.no_grad()
def _holds(lower: Lower, net: nn.Module, inputs: Tensor) -> bool:
    """Whether the upper part answers as the whole network does, in training and in evaluation."""
    state = copy.deepcopy(net.state_dict())
    try:
        outputs = lower.outputs(net, inputs).clone()
        set_training(net)
        if not _close(outputs, _run_up_to(net, lower.boundary, inputs)):
            return False  # dropout below, or a norm that goes by the batch
        for mode in (set_training, nn.Module.eval):
            mode(net)
            net.load_state_dict(state)
            torch.manual_seed(0)  # of dropout in the upper part
            whole = net(inputs)
            lower.outputs(net, inputs.flip(0))  # what the lower part leaves lying is of other images now
            net.load_state_dict(state)
            torch.manual_seed(0)
            if not _close(whole, lower.upper(net, outputs.clone())):
                return False
    except (RuntimeError, ValueError, TypeError, LookupError, AssertionError, AttributeError):
        return False  # anyone's code, run on values that it was not written for
    return True


@torch.no_grad()
def _run_up_to(net: nn.Module, boundary: str, inputs: Tensor) -> Tensor:
    """What that module gives out; the pass ends there."""
    reached: list[Tensor] = []

    def hook(module: nn.Module, given: object, output: Tensor) -> None:
        reached.append(output)
        raise _ReachedError

    with suppress(_ReachedError), net.get_submodule(boundary).register_forward_hook(hook):
        net(inputs)
    [output] = reached
    return output


def _close(first: object, second: object) -> bool:
    """Whether two answers, tensors or several of them, are the same but for rounding."""
    if isinstance(first, (tuple, list)) and isinstance(second, (tuple, list)):
        return len(first) == len(second) and all(map(_close, first, second))
    if not isinstance(first, Tensor) or not isinstance(second, Tensor) or first.shape != second.shape:
        return False
    scale = float(first.abs().max())
    return torch.allclose(first.float(), second.float(), rtol=0.0, atol=CLOSE * scale)


def _nothing(count: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """NaN of the shape (count, *shape), which takes no memory; of a type without NaN, its zero."""
    value = torch.nan if dtype.is_floating_point else 0
    return torch.full((1,), value, dtype=dtype, device=device).expand(count, *shape)


@contextmanager
def _giving(module: nn.Module, answer: Tensor) -> Iterator[None]:
    """Inside the block the module gives this out, whatever it is called with."""
    own = vars(module).get("forward")
    module.forward = lambda *_, **__: answer
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


@contextmanager
def _drawing_aside(device: torch.device) -> Iterator[None]:
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
