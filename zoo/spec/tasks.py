"""The tasks that a spec may name: other packages register them, zoo knows only the shape of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError

from zoo.plugins import TASKS, find_plugins

DEFAULT_TASK = "classification"
"""One answer per image; specs of this task are read without the package that registers the tasks."""


class TaskShape(Protocol):
    """What zoo knows of a task."""

    @property
    def dense(self) -> bool:
        """Whether a network answers for every pixel, (classes, height, width), and not with (classes,)."""


def known_tasks() -> dict[str, TaskShape]:
    """Return every registered task by name, Graft's own first."""
    return {name: task for tasks in _registered() for name, task in tasks.items()}


@cache
def _registered() -> tuple[Mapping[str, TaskShape], ...]:
    return tuple(load() for _, load in find_plugins(TASKS))


def _check_name(name: str) -> str:
    if name not in known_tasks():
        raise PydanticKnownError("literal_error", {"expected": " or ".join(map(repr, known_tasks()))})
    return name


class _Names:
    """Lists the names of the tasks in the JSON Schema."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"enum": [*known_tasks()], "type": "string"}


TaskName = Annotated[str, AfterValidator(_check_name), _Names()]
