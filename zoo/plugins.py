"""What other packages add to Graft: its own packages by name, third parties' by entry point."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from zoo.errors import GraftError

SECTIONS, CHECKS, EXPORTERS = "graft.sections", "graft.checks", "graft.exporters"
TASKS = "graft.tasks"
BUILT_IN = {
    SECTIONS: {
        "data": "finetune.config:DataSettings",
        "augment": "finetune.config:AugmentSettings",
        "finetune": "finetune.config:FinetuneSettings",
        "export": "finetune.config:ExportSettings",
        "search": "finetune.config:SearchSettings",
        "card": "finetune.config:CardSettings",
    },
    CHECKS: {
        "search": "finetune.search.check:check_space",
        "finetune": "finetune.experiment.spec_check:check_spec",
        "augment": "finetune.experiment.spec_check:check_spec",
    },
    TASKS: {"finetune": "finetune.tasks:TASKS"},
    EXPORTERS: {
        "onnx": "serve.export:export_run",
        "int8": "serve.export:export_int8",
        "float16": "serve.export:export_float16",
    },
}
"""Resolved when they are first needed, so that no package imports one above it."""


def find_plugins(group: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each name of a group with the function that loads its object, Graft's own first.

    A section is a pydantic model or TypeAdapter, by the section's name.

    Raises GraftError when an installed package claims a name that is taken.
    """
    taken = set()
    for name, target in BUILT_IN[group].items():
        taken.add(name)
        yield name, partial(pkgutil.resolve_name, target)
    from importlib.metadata import entry_points  # takes longer to import than a small spec to read

    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        if point.name in taken:
            raise GraftError(f"{group}: {point.name!r} is already taken; the second is {point.value}")
        taken.add(point.name)
        yield point.name, point.load
