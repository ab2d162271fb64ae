"""The description of a network: its layers in the order of execution, their sizes and stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from zoo.errors import GraftError, did_you_mean
from zoo.spec.spec import Spec

IMAGE = ":image"  # the id of the network's input


@dataclass(frozen=True)
class LayerRow:
    """One call of one layer. `output` is the shape for one image, () for a layer that never runs.

    `kind` is the op in the spec, or the module's class for networks of other libraries. `sources` are the ids
    of the rows whose outputs it takes. `init` maps parameters to their initialiser. `part` is the path of its
    stage, or of the head.
    """

    id: str
    path: str
    kind: str
    arguments: tuple[str, ...] = ()
    output: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    params: int = 0
    macs: int = 0
    init: Mapping[str, str] = field(default_factory=dict)
    part: str = ""


@dataclass(frozen=True)
class Description:
    """A network's layers and sizes; `result` is the id of the row that gives the network's output."""

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

    def below(self, path: str) -> tuple[LayerRow, ...]:
        """Return the layers of a module. Raises GraftError, with the nearest path."""
        rows = tuple(row for row in self.layers if is_within(row.path, path))
        if not rows:
            hint = did_you_mean(path, dict.fromkeys(row.path for row in self.layers))
            raise GraftError(f"the network has no module '{path}'{hint}")
        return rows


@dataclass(frozen=True)
class Part:
    """Consecutive layers of one stage, or of the head. `path` is '' where there are no stages.

    `continued`: other layers of this stage came before, with layers of another stage between.
    """

    path: str
    rows: tuple[LayerRow, ...]
    continued: bool

    @property
    def params(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.rows)


def parts(rows: Sequence[LayerRow]) -> tuple[Part, ...]:
    """Split the layers into parts."""
    found: list[Part] = []
    for path, part in groupby(rows, key=lambda row: row.part):
        found.append(Part(path, tuple(part), any(path == earlier.path for earlier in found)))
    return tuple(found)


def assign_parts(rows: Sequence[LayerRow], head: str, stages: Sequence[str]) -> tuple[LayerRow, ...]:
    """Set the part of every layer.

    A stage is named by its last module and has all layers after the stage before it. What comes after the
    last stage belongs to the last stage, the head excepted.
    """
    ends = {
        stage: max((i for i, row in enumerate(rows) if is_within(row.path, stage)), default=-1)
        for stage in stages
    }

    def part(index: int, row: LayerRow) -> str:
        if head and is_within(row.path, head):
            return head
        inside = next((stage for stage in stages if is_within(row.path, stage)), None)
        return inside or next((stage for stage in stages if ends[stage] > index), stages[-1])

    return tuple(replace(row, part=part(i, row) if stages else "") for i, row in enumerate(rows))


def is_within(path: str, module: str) -> bool:
    """Return whether a module path is that of `module` or below it."""
    return path == module or path.startswith(f"{module}.")


def violated_facts(description: Description) -> list[str]:
    """Return every fact of the spec that its network violates, with the expected and the actual number."""
    return [
        f"{name}: {actual}" if isinstance(actual, str) else f"{name}: expected {expected:,}, found {actual:,}"
        for name, expected, actual in _facts(description)
        if expected != actual
    ]


def _facts(description: Description) -> Iterator[tuple[str, int, int | str]]:
    """Yield every fact: its name, the expected number, and the actual one or why there is none."""
    facts = description.spec.facts
    if facts.params is not None:
        yield "params", facts.params, description.params
    if facts.macs is not None:
        yield "macs", facts.macs, description.macs
    for name, expected_of in (("params", facts.params_of), ("macs", facts.macs_of)):
        for path, expected in expected_of.items():
            try:
                actual: int | str = sum(getattr(row, name) for row in description.below(path))
            except GraftError as error:
                actual = str(error)
            yield f"{name}_of.{path}", expected, actual
