"""Hold a network against what its spec says of it under `facts`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from zoo.describe.description import Description, LayerRow
from zoo.describe.follow import describe
from zoo.errors import GraftError
from zoo.spec.spec import Spec

Measure = Callable[[LayerRow], int]


def check_facts(spec: Spec) -> list[str]:
    """Give every fact that the network violates, with what was expected and found; [] when all hold.

    Raises GraftError for a network that cannot be described.
    """
    return violations(describe(spec))


def violations(description: Description) -> list[str]:
    """Give every fact of its spec that a description violates."""
    facts = description.spec.facts
    wrong = [
        _told(name, expected, found)
        for name, expected, found in (
            ("params", facts.params, description.params),
            ("macs", facts.macs, description.macs),
        )
        if expected is not None and expected != found
    ]
    wrong += _of_modules(description, "params_of", facts.params_of, lambda row: row.params)
    wrong += _of_modules(description, "macs_of", facts.macs_of, lambda row: row.macs)
    return wrong


def _of_modules(
    description: Description, name: str, facts: Mapping[str, int], measure: Measure
) -> Iterator[str]:
    for path, expected in facts.items():
        try:
            found = sum(measure(row) for row in description.below(path))
        except GraftError as error:
            yield f"{name}.{path}: {error}"
            continue
        if found != expected:
            yield _told(f"{name}.{path}", expected, found)


def _told(name: str, expected: int, found: int) -> str:
    return f"{name}: expected {expected:,}, found {found:,}"
