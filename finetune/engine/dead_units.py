"""Dead units: those whose activation is the same for every image, or saturated for nearly all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn

SATURATED = 0.99
"""Share of places at which a unit must be saturated to count as dead."""
MAP_AXES = 4


@contextmanager
def count_dead(net: nn.Module) -> Iterator[dict[str, tuple[int, int]]]:
    """Inside the block, each forward pass adds to the dictionary: activation's path -> (dead units, units).

    Only activations that are modules are counted. One that runs several times in a pass counts each time.
    """
    counts: dict[str, tuple[int, int]] = {}

    def count(name: str, module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim > 1:
            dead = dead_units(module, output.detach())
            before = counts.get(name, (0, 0))
            counts[name] = (before[0] + int(dead.sum()), before[1] + len(dead))

    with ExitStack() as stack:
        for name, module in net.named_modules():
            if is_activation(module):
                stack.enter_context(module.register_forward_hook(partial(count, name)))
        yield counts


def dead_shares(counts: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Return the share of dead units of each activation."""
    return {name: dead / units for name, (dead, units) in counts.items()}


def is_activation(module: nn.Module) -> bool:
    """Return whether a module is a nonlinearity; torch, timm and zoo define theirs in files of that name."""
    if next(module.children(), None) is not None or "oftmax" in type(module).__name__:
        return False
    return "activation" in type(module).__module__ and not isinstance(module, nn.MultiheadAttention)


def dead_units(module: nn.Module, output: Tensor) -> Tensor:
    """Return which units of an activation's output are dead.

    In: (N, C, H, W) or (N, C), where a unit is a channel; for other shapes units lie on the last axis.
    Out: bool (C,).
    """
    units = output.transpose(0, 1) if output.ndim in (2, MAP_AXES) else output.movedim(-1, 0)
    values = units.flatten(1).float()
    constant: Tensor = values.amax(1) == values.amin(1)
    if isinstance(module, nn.Tanh):
        return constant | ((values.abs() > SATURATED).float().mean(1) >= SATURATED)
    if isinstance(module, nn.Sigmoid):
        return constant | (((values - 0.5).abs() > SATURATED / 2).float().mean(1) >= SATURATED)
    return constant
