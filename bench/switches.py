"""Switches that `auto` leaves alone: what each is worth, against the same strategy without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean

from bench.pool import Line
from bench.regret import by_cell


@dataclass(frozen=True)
class Switch:
    """What is set, and beside which strategy it is measured."""

    strategy: str
    values: dict[str, object]

    @property
    def ways(self) -> dict[str, object]:
        """What a run sets in its spec."""
        return {"finetune.strategy": self.strategy, **self.values}


SWITCHES = {
    "partial, head from the probe": Switch("partial", {"finetune.head": "probe"}),
    "full, head from the probe": Switch("full", {"finetune.head": "probe"}),
    "partial, statistics of each batch": Switch("partial", {"finetune.batch_norm": "batch"}),
    "full, statistics of each batch": Switch("full", {"finetune.batch_norm": "batch"}),
    "full, rates 0.7 times a stage": Switch("full", {"finetune.layer_decay": 0.7}),
}
DRAW = 0
"""The one that they are run in."""


def switch_table(lines: list[Line]) -> Iterator[str]:
    """Markdown: points of accuracy that each switch adds, over the cells in which it ran."""
    cells = by_cell([line for line in lines if line["draw"] == DRAW])
    yield "| switch | similarity | cells | mean | worst | best |\n|---|---|---:|---:|---:|---:|"
    for name, switch in SWITCHES.items():
        for similarity in ("similar", "different"):
            added = [
                100 * (ways[name][0]["accuracy"] - ways[switch.strategy][0]["accuracy"])
                for ways in cells.values()
                if name in ways and switch.strategy in ways and ways[name][0]["cell"][1] == similarity
            ]
            if added:
                yield (
                    f"| {name} | {similarity} | {len(added)} | {mean(added):+.1f} | {min(added):+.1f} "
                    f"| {max(added):+.1f} |"
                )
