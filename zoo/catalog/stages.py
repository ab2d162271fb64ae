"""Stages of a network that does not name them, from what its modules give out; and what belongs to each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MOST = 6  # stages; more, as the blocks of a transformer, are put together in groups
GROUPS = 4
FEWEST = 3
TRUNK = 0.9  # of the parameters: a module that holds more than that is opened
STEM = 0.01  # of the parameters: a first stage of less is no stage
STEP = 1.5  # places become fewer by at least that factor from stage to stage
HALVING = 8  # a module that leaves fewer places than this factor tells holds several stages
MAP = 4  # dimensions: (N, C, H, W) or (N, H, W, C)


@dataclass(frozen=True)
class Anatomy:
    """Module paths: `head` is the layer that is replaced for other classes; `stages` are in order."""

    head: str
    stages: tuple[str, ...]


@dataclass(frozen=True)
class _Seen:
    """What one module gave out: over how many places, in how many channels, how many times fewer than in."""

    path: str
    places: int
    channels: int
    shrinks: float


def measured_stages(net: nn.Module, head: str, image: Tensor) -> tuple[str, ...]:
    """Find the last module of every resolution before the head, or groups of blocks where there is but one.

    In: a network and an image (N, C, H, W), both on the meta device.
    """
    spine = _spine(net, head, _watch(net, image))
    for by_channels in (False, True):
        stages = _ends(net, _runs(spine, by_channels=by_channels))
        if len(stages) >= FEWEST:
            return stages
    sizes = {seen.path: _parameters(net, [seen]) for seen in spine if _has_matrix(net, seen)}
    blocks = [path for path, size in sizes.items() if size >= STEM * sum(sizes.values())]
    return group(blocks)


def group(stages: Sequence[str]) -> tuple[str, ...]:
    """Give the last of every group, where there are too many to be stages by themselves."""
    count = len(stages)
    if count <= MOST:
        return tuple(stages)
    return tuple(stages[math.ceil((i + 1) * count / GROUPS) - 1] for i in range(GROUPS))


def _watch(net: nn.Module, image: Tensor) -> dict[str, _Seen]:
    """Run the network once; give what each module that is called once gave out, in the order they ended."""
    seen: dict[str, _Seen] = {}
    twice: set[str] = set()

    def note(path: str, given: object, output: object) -> None:
        before, after = _first(given), _first(output)
        if path in seen:
            twice.add(path)
        if after is not None:
            places, channels = _extent(after, image)
            came = _extent(before, image)[0] if before is not None else places
            seen[path] = _Seen(path, places, channels, came / places)

    was_training = net.training
    with ExitStack() as hooks, torch.no_grad():
        for path, module in net.named_modules():
            hooks.enter_context(
                module.register_forward_hook(lambda _, given, output, path=path: note(path, given, output))
            )
        net.eval()(image)
    net.train(was_training)
    return {path: found for path, found in seen.items() if path not in twice}


def _spine(net: nn.Module, head: str, seen: Mapping[str, _Seen]) -> list[_Seen]:
    """Give the modules that the image passes one after another, large ones opened, up to the head."""
    whole = sum(parameter.numel() for parameter in net.parameters())
    order = {path: place for place, path in enumerate(seen)}
    found = []

    def visit(path: str, module: nn.Module) -> None:
        for name, child in module.named_children():
            inside = f"{path}.{name}".strip(".")
            if _holds(head, inside):
                continue
            known = seen.get(inside)
            large = sum(parameter.numel() for parameter in child.parameters()) > TRUNK * whole
            opened = known is None or large or known.shrinks > HALVING or _holds(inside, head)
            if opened and any(True for _ in child.children()):
                visit(inside, child)
            elif known is not None:
                found.append(known)

    visit("", net)
    found.sort(key=lambda one: order[one.path])
    return [one for one in found if head not in order or order[one.path] < order[head]]


def _runs(spine: Sequence[_Seen], *, by_channels: bool) -> list[list[_Seen]]:
    """Cut where places become fewer, or, if asked, where channels change."""
    runs: list[list[_Seen]] = []
    for seen in spine:
        last = runs[-1] if runs else None
        steps = last is not None and not 1 / STEP < last[0].places / seen.places < STEP
        changes = last is not None and by_channels and last[-1].channels != seen.channels
        if last is None or steps or changes:
            runs.append([seen])
        else:
            last.append(seen)
    return runs


def _ends(net: nn.Module, runs: list[list[_Seen]]) -> tuple[str, ...]:
    """Give the last module of each run that has weights to speak of: a layer or the activation after it."""
    weighty = [run for run in runs if any(_has_matrix(net, seen) for seen in run)]
    whole = sum(_parameters(net, run) for run in weighty)
    if weighty and _parameters(net, weighty[0]) < STEM * whole:
        weighty = weighty[1:]
    return tuple(next(seen.path for seen in reversed(run) if _works(net, seen)) for run in weighty)


def _works(net: nn.Module, seen: _Seen) -> bool:
    module = net.get_submodule(seen.path)
    return _parameters(net, [seen]) > 0 or type(module).__module__ == nn.ReLU.__module__


def _parameters(net: nn.Module, run: Sequence[_Seen]) -> int:
    return sum(p.numel() for seen in run for p in net.get_submodule(seen.path).parameters())


def _has_matrix(net: nn.Module, seen: _Seen) -> bool:
    return any(parameter.ndim > 1 for parameter in net.get_submodule(seen.path).parameters())


def _extent(value: Tensor, image: Tensor) -> tuple[int, int]:
    """Give places and channels of a map (channels first or last), of tokens, or of a vector."""
    shape = value.shape
    if value.ndim == MAP:
        ratio = image.shape[2] / image.shape[3]
        first = abs(shape[2] / shape[3] - ratio) <= abs(shape[1] / shape[2] - ratio)
        return (shape[2] * shape[3], shape[1]) if first else (shape[1] * shape[2], shape[3])
    channels = shape[-1] if value.ndim > 1 else 1
    return max(math.prod(shape[1:]) // max(channels, 1), 1), channels


def _first(value: object) -> Tensor | None:
    """Give the tensor, or the first one within."""
    if isinstance(value, Tensor):
        return value
    inner = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    )
    return next((found for found in map(_first, inner) if found is not None), None)


def _holds(path: str, inside: str) -> bool:
    return bool(path) and (inside == path or inside.startswith(path + "."))
