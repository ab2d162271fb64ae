"""What is known of a network without running it: its layers in the order of execution, sizes and sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from zoo.describe.family import Family
from zoo.errors import GraftError, nearest
from zoo.layers.shape import Shape
from zoo.spec.spec import Spec

IMAGE = ""  # the id of the value that enters the network
MEGABYTE = 10**6


@dataclass(frozen=True)
class LayerRow:
    """One call of one layer; shapes are without the batch, `output` () for a layer that is never run.

    `kind` is the op as in the spec, for networks of other libraries the module's class. `sources` are the
    ids of the rows whose values it takes, IMAGE among them. `init` tells what each parameter starts as.
    """

    id: str
    path: str
    kind: str
    family: Family
    arguments: tuple[str, ...]
    output: Shape
    sources: tuple[str, ...]
    params: int = 0
    macs: int = 0
    init: Mapping[str, str] = field(default_factory=dict)
    idle: bool = False  # gives its input unchanged
    part: str = ""  # the path of the stage it belongs to, or of the head


@dataclass(frozen=True)
class Description:
    """A network's layers and what they come to; `result` is the id of the row that gives the answer."""

    spec: Spec
    layers: tuple[LayerRow, ...]
    result: str
    head: str
    stages: tuple[str, ...]
    params: int
    state_bytes: int

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and linear layers for one image."""
        return sum(row.macs for row in self.layers)

    @property
    def state_mb(self) -> float:
        """Room that parameters and buffers take in float32, in megabytes of 10^6 bytes."""
        return self.state_bytes / MEGABYTE

    def below(self, path: str) -> tuple[LayerRow, ...]:
        """Give the layers of a module. Raises GraftError, with the nearest path."""
        rows = tuple(row for row in self.layers if is_within(row.path, path))
        if not rows:
            near = nearest(path, dict.fromkeys(row.path for row in self.layers))
            hint = f"; did you mean '{near}'?" if near else ""
            raise GraftError(f"the network has no module '{path}'{hint}")
        return rows


def is_within(path: str, module: str) -> bool:
    """Say whether a module path is that of `module` or lies below it."""
    return path == module or path.startswith(f"{module}.")


def with_parts(rows: Sequence[LayerRow], head: str, stages: Sequence[str]) -> tuple[LayerRow, ...]:
    """Tell each layer the stage it belongs to, the head apart.

    A stage is what comes after the stage before it, up to the module that it is named by; what comes after
    the last belongs to the last.
    """
    ends = {
        stage: max((i for i, row in enumerate(rows) if is_within(row.path, stage)), default=-1)
        for stage in stages
    }

    def part(index: int, row: LayerRow) -> str:
        if head and is_within(row.path, head):
            return head
        around = next((stage for stage in stages if is_within(row.path, stage)), None)
        return around or next((stage for stage in stages if ends[stage] > index), stages[-1])

    return tuple(replace(row, part=part(i, row) if stages else "") for i, row in enumerate(rows))


@dataclass(frozen=True)
class Part:
    """Layers that follow each other and belong to one stage, or to the head.

    `path` is '' where there are no stages; `goes_on` says that layers of this stage came before.
    """

    path: str
    rows: tuple[LayerRow, ...]
    goes_on: bool

    @property
    def params(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.rows)


def parts(rows: Sequence[LayerRow]) -> tuple[Part, ...]:
    """Give the layers part by part."""
    found: list[Part] = []
    for path, part in groupby(rows, key=lambda row: row.part):
        found.append(Part(path, tuple(part), any(path == earlier.path for earlier in found)))
    return tuple(found)
