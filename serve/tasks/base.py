"""The interface of a task, and the registry of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serve.tasks.comparison import Difference, Pair, Parity

Answer: TypeAlias = list[tuple[str, float]]
"""Every label with its value, best first."""


@dataclass(frozen=True)
class Output:
    """The output of a model file; `dtype` as onnxruntime names it."""

    name: str
    dtype: str
    rank: int


class Task(ABC):
    """One kind of answer that a model file can give.

    `score` is the metric to show and its title; `value_name` is the key of an answer's values in JSON.
    `dense`: the output has a value for every pixel, so preprocessing must keep the whole image.
    """

    name: ClassVar[str]
    output: ClassVar[Output]
    score: ClassVar[tuple[str, str]]
    value_name: ClassVar[str]
    max_classes: ClassVar[int | None] = None
    dense: ClassVar[bool] = False

    @abstractmethod
    def values(self, output: NDArray[Any], classes: int) -> NDArray[np.floating[Any]]:
        """Return one value per class, (classes,), for the output of one image."""

    @abstractmethod
    def compare(self, pair: Pair, labels: Sequence[str]) -> Difference:
        """Compare the file's output for one image with the network's."""

    @abstractmethod
    def summary(self, parity: Parity) -> str:
        """Describe the result of a parity check in one sentence."""

    def check_shape(self, _shape: Sequence[int | str | None], _labels: Sequence[str]) -> str:
        """Return what is wrong with the output's shape for these labels; empty if nothing is."""
        return ""

    @abstractmethod
    def check_output(self, output: NDArray[Any], images: Sequence[int], classes: int) -> str:
        """Return what is wrong with the output for a batch of `images`, their shape; empty if nothing is."""

    def answer(self, output: NDArray[Any], labels: Sequence[str]) -> Answer:
        """Return every label with its value, best first; equal values keep the order of the labels."""
        values = self.values(output, len(labels))
        return [(labels[i], float(values[i])) for i in np.argsort(-values, kind="stable")]

    def to_json(self, answer: Answer) -> list[dict[str, Any]]:
        """Return the answer as JSON values, for HTTP and `predict --json`."""
        return [{"label": label, self.value_name: value} for label, value in answer]

    def draw(self, picture: NDArray[np.uint8], _output: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the picture to show with an answer, uint8 (height, width, 3)."""
        return picture

    def colours(self, _labels: Sequence[str]) -> Mapping[str, str]:
        """Return the CSS colour of each label in the drawing, if it has one."""
        return {}


_TASKS: dict[str, Task] = {}


def register(kind: type[Task]) -> type[Task]:
    """Register a task under its name; a class decorator. Raises: ValueError if the name is taken."""
    if kind.name in _TASKS:
        raise ValueError(f"task {kind.name!r} is already registered")
    _TASKS[kind.name] = kind()
    return kind


def find_task(name: str) -> Task:
    """Return the task of that name. Raises: KeyError if there is none."""
    return _TASKS[name]


def task_names() -> tuple[str, ...]:
    """Return the names of all registered tasks."""
    return tuple(_TASKS)
