"""Whether a recipe fits the spec's task: found as the spec is read, told with its place."""

from __future__ import annotations

from collections.abc import Iterator

import zoo
from finetune.settings import AugmentSettings, FinetuneSettings
from finetune.tasks import Task, find_task
from zoo.errors import Mark, Problem, SpecError
from zoo.nodes import ListNode, MapNode, Node


def check_task(spec: zoo.Spec) -> None:
    """Raises: SpecError for settings that have no meaning for the task, GraftError for a task unknown."""
    task = find_task(spec.task)
    problems = [*_meaningless(task, spec)]
    if task.name == "segmentation" and spec.input.resize != "squash":
        mark = _mark(spec.document, "input", "resize")
        message = f"{spec.input.resize}, and a mask has to cover its whole image"
        problems.append(Problem(mark, "input.resize", message, "squash"))
    if problems:
        raise SpecError(problems)


def _meaningless(task: Task, spec: zoo.Spec) -> Iterator[Problem]:
    settings, steps = spec.sections["finetune"], spec.sections["augment"]
    assert isinstance(settings, FinetuneSettings)
    assert isinstance(steps, AugmentSettings)
    refused, expected = f"has no meaning for {task.name}", "a spec without it"
    for key in task.refuses:
        if getattr(settings, key, None):
            yield Problem(_mark(spec.document, "finetune", key), f"finetune.{key}", refused, expected)
    for index, call in enumerate(steps.calls or ()):
        if call.op in task.refuses:
            mark = _mark(spec.document, "augment", index)
            yield Problem(mark, f"augment.{index}.{call.op}", refused, expected)
    if not task.probes and settings.strategy.endswith("_probe"):
        mark = _mark(spec.document, "finetune", "strategy")
        yield Problem(mark, "finetune.strategy", f"{settings.strategy} {refused}", "partial, full or scratch")


def _mark(document: MapNode, section: str, key: str | int) -> Mark:
    """The place of a key of a section; of what holds it, where it was not written."""
    found: Node = document.items.get(section, document)
    if isinstance(found, MapNode) and key in found.keys:
        return found.keys[str(key)]
    if isinstance(found, ListNode) and isinstance(key, int) and key < len(found.items):
        return found.items[key].mark
    return found.mark
