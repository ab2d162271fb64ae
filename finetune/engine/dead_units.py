"""Units whose activation says nothing: the same for every image, or saturated for nearly all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

ALWAYS = 0.99
"""Share of places at which a saturated unit is taken to be saturated for good."""
MAP_AXES = 4


@contextmanager
def count_dead(net: nn.Module) -> Iterator[dict[str, tuple[int, int]]]:
    """Inside the block, each pass adds to the dictionary: activation's path -> (dead units, units).

    Only activations that are modules are seen. One that runs several times in a pass counts each time.
    """
    counts: dict[str, tuple[int, int]] = {}

    def hook_of(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim > 1:
                dead = dead_units(module, output.detach())
                before = counts.get(name, (0, 0))
                counts[name] = (before[0] + int(dead.sum()), before[1] + len(dead))

        return hook

    with ExitStack() as stack:
        for name, module in net.named_modules():
            if is_activation(module):
                stack.enter_context(module.register_forward_hook(hook_of(name)))
        yield counts


def dead_shares(counts: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """The share of dead units of each activation."""
    return {name: dead / units for name, (dead, units) in counts.items()}


def is_activation(module: nn.Module) -> bool:
    """Whether a module is a nonlinearity by its home: torch's, timm's and our own are called so."""
    if next(module.children(), None) is not None or "oftmax" in type(module).__name__:
        return False
    return "activation" in type(module).__module__ and not isinstance(module, nn.MultiheadAttention)


def dead_units(module: nn.Module, output: Tensor) -> Tensor:
    """Which units of an activation's output are dead.

    In: (N, C, H, W) or (N, C), where a unit is a channel; else its last axis is. Out: bool (C,).
    """
    units = output.transpose(0, 1) if output.ndim in (2, MAP_AXES) else output.movedim(-1, 0)
    values = units.flatten(1).float()
    still: Tensor = values.amax(1) == values.amin(1)
    if isinstance(module, nn.Tanh):
        return still | ((values.abs() > ALWAYS).float().mean(1) >= ALWAYS)
    if isinstance(module, nn.Sigmoid):
        return still | (((values - 0.5).abs() > ALWAYS / 2).float().mean(1) >= ALWAYS)
    return still
