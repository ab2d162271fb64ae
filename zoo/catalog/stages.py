"""Find the stages of a network that does not name them, from the shapes of its modules' outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

MAX_STAGES = 6  # more, such as the blocks of a transformer, are grouped
GROUPS = 4
MIN_STAGES = 3
TRUNK = 0.9  # share of the parameters above which a module is split into its children
STEM = 0.01  # share of the parameters below which the first stage is dropped
STEP = 1.5  # factor between the positions of one stage and the next
HALVING = 8  # a module that has fewer positions by more than this factor holds several stages
MAP_AXES = 4  # (N, C, H, W) or (N, H, W, C)


@dataclass(frozen=True)
class _Block:
    """A module and its output: the number of positions and channels, and the factor of fewer positions."""

    path: str
    module: nn.Module
    positions: int
    channels: int
    shrink: float

    @cached_property
    def params(self) -> int:
        return _count(self.module)

    @cached_property
    def has_matrix(self) -> bool:
        return any(parameter.ndim > 1 for parameter in self.module.parameters())

    @cached_property
    def can_end_stage(self) -> bool:
        return self.params > 0 or type(self.module).__module__ == nn.ReLU.__module__


def measured_stages(net: nn.Module, head: str, image: Tensor) -> tuple[str, ...]:
    """Return the last module of every resolution before the head; if they are few, groups of blocks.

    In: a network and an image (N, C, H, W), both on the meta device.
    """
    blocks = _sequence(net, head, _outputs(net, image))
    for by_channels in (False, True):
        stages = _ends(_split(blocks, by_channels=by_channels))
        if len(stages) >= MIN_STAGES:
            return stages
    with_weights = [block for block in blocks if block.has_matrix]
    least = STEM * sum(block.params for block in with_weights)
    return group([block.path for block in with_weights if block.params >= least])


def group(stages: Sequence[str]) -> tuple[str, ...]:
    """Return the last of every group of stages if there are too many of them."""
    count = len(stages)
    if count <= MAX_STAGES:
        return tuple(stages)
    return tuple(stages[math.ceil((i + 1) * count / GROUPS) - 1] for i in range(GROUPS))


def is_within(path: str, outer: str) -> bool:
    """Return whether a path is a module or lies in it; nothing lies in ''."""
    return bool(outer) and (path == outer or path.startswith(outer + "."))


def _outputs(net: nn.Module, image: Tensor) -> dict[str, _Block]:
    """Run the network; return every module that is called once, in the order in which they return."""
    found: dict[str, _Block] = {}
    repeated: set[str] = set()

    def record(path: str, module: nn.Module, inputs: object, output: object) -> None:
        before, after = _first_tensor(inputs), _first_tensor(output)
        if path in found:
            repeated.add(path)
        if after is not None:
            positions, channels = _size(after, image)
            taken = _size(before, image)[0] if before is not None else positions
            found[path] = _Block(path, module, positions, channels, taken / positions)

    was_training = net.training
    with ExitStack() as hooks, torch.no_grad():
        for path, module in net.named_modules():
            hooks.enter_context(
                module.register_forward_hook(lambda m, given, out, path=path: record(path, m, given, out))
            )
        net.eval()(image)
    net.train(was_training)
    return {path: block for path, block in found.items() if path not in repeated}


def _sequence(net: nn.Module, head: str, outputs: Mapping[str, _Block]) -> list[_Block]:
    """Return the modules before the head in the order of execution; large ones are split into children."""
    total = _count(net)
    order = {path: place for place, path in enumerate(outputs)}
    found = []

    def visit(path: str, module: nn.Module) -> None:
        for name, child in module.named_children():
            inside = f"{path}.{name}".strip(".")
            if is_within(inside, head):
                continue
            block = outputs.get(inside)
            large = block is None or _count(child) > TRUNK * total or block.shrink > HALVING
            if (large or is_within(head, inside)) and any(True for _ in child.children()):
                visit(inside, child)
            elif block is not None:
                found.append(block)

    visit("", net)
    found.sort(key=lambda block: order[block.path])
    return [block for block in found if head not in order or order[block.path] < order[head]]


def _split(blocks: Sequence[_Block], *, by_channels: bool) -> list[list[_Block]]:
    """Split a sequence where the positions become fewer or, if asked, where the channels change."""
    runs = [[block] for block in blocks[:1]]
    for before, block in pairwise(blocks):
        steps = not 1 / STEP < runs[-1][0].positions / block.positions < STEP
        if steps or (by_channels and before.channels != block.channels):
            runs.append([block])
        else:
            runs[-1].append(block)
    return runs


def _ends(runs: list[list[_Block]]) -> tuple[str, ...]:
    """Return the last module of each run that has weights: a layer, or the activation after it."""
    runs = [run for run in runs if any(block.has_matrix for block in run)]
    sizes = [sum(block.params for block in run) for run in runs]
    if runs and sizes[0] < STEM * sum(sizes):
        runs = runs[1:]
    return tuple(next(block.path for block in reversed(run) if block.can_end_stage) for run in runs)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _size(value: Tensor, image: Tensor) -> tuple[int, int]:
    """Return positions and channels of a map (channels first or last), of tokens, or of a vector."""
    shape = value.shape
    if value.ndim == MAP_AXES:
        ratio = image.shape[2] / image.shape[3]
        first = abs(shape[2] / shape[3] - ratio) <= abs(shape[1] / shape[2] - ratio)
        return (shape[2] * shape[3], shape[1]) if first else (shape[1] * shape[2], shape[3])
    channels = shape[-1] if value.ndim > 1 else 1
    return max(math.prod(shape[1:]) // max(channels, 1), 1), channels


def _first_tensor(value: object) -> Tensor | None:
    """Return a tensor, or the first one in a mapping, tuple or list."""
    if isinstance(value, Tensor):
        return value
    values: Sequence[object] = ()
    if isinstance(value, Mapping | tuple | list):
        values = list(value.values()) if isinstance(value, Mapping) else value
    return next((found for found in map(_first_tensor, values) if found is not None), None)
