"""A group of layers with wires: children run in order, values kept for those that take them later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Step:
    """One child: its name; which values it takes (None: the one just made), and where its own is kept.

    `keep` is for this group's later children, `tap` for those of other groups. `wired`: the child needs
    the taps itself.
    """

    name: str
    reads: tuple[str, ...] | None = None
    keep: bool = False
    tap: bool = False
    wired: bool = False
    id: str = ""


class Graph(nn.Module):
    """Runs its steps; as a call of nn.Sequential otherwise. Taps pass from group to group in one dict."""

    def __init__(self, children: Mapping[str, nn.Module], steps: Iterable[Step], wiring: Wiring) -> None:
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)
        self._steps = tuple(steps)
        self._wiring = wiring

    def extra_repr(self) -> str:
        """The wires, such as `add(a, c)`; nothing where every child takes what the one before it gives."""
        wiring = self._wiring
        wires = [wiring.input] if wiring.keep_input or wiring.tap_input else []
        for step in self._steps:
            if step.reads is not None or step.keep or step.tap:
                reads = "" if step.reads is None else f"({', '.join(step.reads)})"
                wires.append(f"{step.name}{reads}" + (f" -> {step.id}" if step.keep or step.tap else ""))
        return ", ".join([*wires, f"result={wiring.result}"] if wiring.result else wires)

    def forward(self, x: Tensor, taps: dict[str, Tensor] | None = None) -> Any:  # noqa: ANN401
        """Give the value of `result`. A root makes its own taps."""
        taps = {} if taps is None else taps
        kept: dict[str, Tensor] = {}
        wiring = self._wiring
        if wiring.keep_input:
            kept[wiring.input] = x
        if wiring.tap_input:
            taps[wiring.input] = x
        value = x
        for step in self._steps:
            child = self._modules[step.name]
            assert child is not None
            inputs: tuple[Tensor, ...] = (value,)
            if step.reads is not None:
                inputs = tuple(kept[read] if read in kept else taps[read] for read in step.reads)
            value = child(*inputs, taps=taps) if step.wired else child(*inputs)
            if step.keep:
                kept[step.id] = value
            if step.tap:
                taps[step.id] = value
        if wiring.result is None:
            return value
        return kept[wiring.result] if wiring.result in kept else taps[wiring.result]


@dataclass(frozen=True)
class Wiring:
    """A group's own input and result: the id of its input and who else needs it; the id of its result.

    `result` None stands for the last child's value.
    """

    input: str
    keep_input: bool
    tap_input: bool
    result: str | None
