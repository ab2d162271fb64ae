"""A group of layers with wires: children run in order, and values are kept for later ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Step:
    """One child: its name, the ids of its inputs (None: the latest value), and the id of its output.

    The output is kept for later children of this group (`keep`) or of others (`tap`). A child that is
    `wired` needs the taps itself.
    """

    name: str
    reads: tuple[str, ...] | None = None
    keep: bool = False
    tap: bool = False
    wired: bool = False
    id: str = ""


class Graph(nn.Module):
    """Runs its children as its steps say. Taps pass from group to group in one dict."""

    def __init__(self, children: Mapping[str, nn.Module], steps: Iterable[Step], wiring: Wiring) -> None:
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)
        self._steps = tuple(steps)
        self._wiring = wiring

    def extra_repr(self) -> str:
        """Return the wires, such as `add(a, c)`, of children with other inputs than the latest value."""
        wiring = self._wiring
        wires = [wiring.input] if wiring.keep_input or wiring.tap_input else []
        for step in self._steps:
            if step.reads is not None or step.keep or step.tap:
                reads = "" if step.reads is None else f"({', '.join(step.reads)})"
                wires.append(f"{step.name}{reads}" + (f" -> {step.id}" if step.keep or step.tap else ""))
        return ", ".join([*wires, f"result={wiring.result}"] if wiring.result else wires)

    def forward(self, x: Tensor, taps: dict[str, Tensor] | None = None) -> Any:  # noqa: ANN401
        """Return the value of `result`. The root creates the taps."""
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
    """The id of a group's input, whether it is kept or tapped, and the id of the result.

    `result` is None for the output of the last child.
    """

    input: str
    keep_input: bool
    tap_input: bool
    result: str | None
