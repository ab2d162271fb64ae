"""What a recipe's sections ask of each other and of the network: told as the spec is read, by place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import zoo
from finetune.config import AugmentSettings, DataSettings, FinetuneSettings
from finetune.losses.registry import conflicts
from finetune.optim.freeze import covers
from finetune.strategies import find_strategy
from finetune.tasks.base import find_task
from zoo.errors import Mark, Problem, SpecError, nearest
from zoo.spec.nodes import ListNode, MapNode, Node
from zoo.spec.tree import items

CHOSEN = ("auto", "none")
WANTED = {"plan": "a plan.json", "distill": "the folder of a finished run"}


def check_spec(spec: zoo.Spec) -> None:
    """Raises: SpecError with all that goes with nothing else in the spec, each with its place."""
    settings = spec.sections["finetune"]
    assert isinstance(settings, FinetuneSettings)
    checks = (_of_task, _of_weights, _of_paths, _of_sizes)
    problems = [problem for check in checks for problem in check(spec, settings)]
    if problems:
        raise SpecError(problems)


def check_files(spec: zoo.Spec) -> None:
    """Raises: SpecError with the files that are not there; a run that has ended does not need them."""
    settings = spec.sections["finetune"]
    assert isinstance(settings, FinetuneSettings)
    given = {"plan": settings.plan, "distill": settings.distill and settings.distill.run}
    problems = [
        Problem(_mark(spec, "finetune", key), f"finetune.{key}", f"{place} is not there", WANTED[key])
        for key, place in given.items()
        if place and not Path(place).expanduser().exists()
    ]
    if problems:
        raise SpecError(problems)


def _of_task(spec: zoo.Spec, settings: FinetuneSettings) -> Iterator[Problem]:
    """What has no meaning for the task."""
    task, steps = find_task(spec.task), spec.sections["augment"]
    assert isinstance(steps, AugmentSettings)
    refused, expected = f"has no meaning for {task.name}", "a spec without it"
    for key in task.refuses:
        if getattr(settings, key, None):
            yield Problem(_mark(spec, "finetune", key), f"finetune.{key}", refused, expected)
    for index, call in enumerate(steps.calls or ()):
        if call.op in task.refuses:
            yield Problem(_mark(spec, "augment", index), f"augment.{index}.{call.op}", refused, expected)
    for message, wanted in conflicts(settings.loss, settings, masks=task.ignore_index is not None):
        yield Problem(_mark(spec, "finetune", "loss"), "finetune.loss", message, wanted)
    if not task.probes and settings.strategy != "auto" and find_strategy(settings.strategy).probe:
        mark, message = _mark(spec, "finetune", "strategy"), f"{settings.strategy} {refused}"
        yield Problem(mark, "finetune.strategy", message, "partial, full or scratch")
    if task.name == "segmentation" and spec.input.resize != "squash":
        message = f"{spec.input.resize}, and a mask has to cover its whole image"
        yield Problem(_mark(spec, "input", "resize"), "input.resize", message, "squash")


def _of_weights(spec: zoo.Spec, settings: FinetuneSettings) -> Iterator[Problem]:
    """Weights by a name that the spec has not, and what cannot be without any."""
    if settings.weights not in (*CHOSEN, *spec.weights):
        message = f"{spec.name} has no weights '{settings.weights}'"
        expected = ", ".join((*spec.weights, *CHOSEN))
        near = nearest(settings.weights, spec.weights)
        yield Problem(_mark(spec, "finetune", "weights"), "finetune.weights", message, expected, near)
    if settings.weights == "none" or (settings.weights == "auto" and not spec.weights):
        why = "finetune.weights is none" if settings.weights == "none" else f"{spec.name} declares none"
        if settings.strategy != "auto" and find_strategy(settings.strategy).pretrained:
            message = f"{settings.strategy} needs pretrained weights, and there are none: {why}"
            yield Problem(
                _mark(spec, "finetune", "strategy"), "finetune.strategy", message, "auto or scratch"
            )
        if settings.l2_sp is not None:
            message = f"ties weights to pretrained ones, and there are none: {why}"
            yield Problem(_mark(spec, "finetune", "l2_sp"), "finetune.l2_sp", message, "none, or weights")


def _of_paths(spec: zoo.Spec, settings: FinetuneSettings) -> Iterator[Problem]:
    """Module paths that the network has not."""
    if spec.tree is not None:
        paths = [item.path for item in items(spec.tree.root) if item.path]
        for path in settings.stage_rates:
            if not any(covers(path, known) or covers(known, path) for known in paths):
                expected = ", ".join(dict.fromkeys(known.split(".")[0] for known in paths))
                message = f"the network has no module '{path}'"
                mark, near = _mark(spec, "finetune", "stage_rates"), nearest(path, paths)
                yield Problem(mark, f"finetune.stage_rates.{path}", message, expected, near)


def _of_sizes(spec: zoo.Spec, settings: FinetuneSettings) -> Iterator[Problem]:
    """Images that grow, where black and white are told pixel by pixel of the full size; crops beyond one."""
    yield from _of_crops(spec)
    data = spec.sections["data"]
    assert isinstance(data, DataSettings)
    attacked = settings.adversarial is not None and settings.adversarial.fgsm is not None
    if attacked and settings.progressive_resizing is not None and data.normalise == "mean_image":
        mark = _mark(spec, "finetune", "progressive_resizing")
        message = "cannot be joined with finetune.adversarial.fgsm and data.normalise: mean_image"
        yield Problem(mark, "finetune.progressive_resizing", message, "a spec without one of the three")


def _of_crops(spec: zoo.Spec) -> Iterator[Problem]:
    """What a crop mirrors at the edges has to be there."""
    steps, side = spec.sections["augment"], min(spec.input.height, spec.input.width)
    assert isinstance(steps, AugmentSettings)
    most = {"reflect": side - 1, "symmetric": side}
    for index, call in enumerate(steps.calls or ()):
        fill = call.args.get("fill")
        if call.op == "crop" and fill in most and call.args.get("padding", 0) > most[fill]:
            mark, place = _mark(spec, "augment", index), f"augment.{index}.crop.padding"
            message = f"{call.args['padding']} pixels of images of {side} cannot be filled by fill: {fill}"
            yield Problem(mark, place, message, f"{most[fill]} at most")


def _mark(spec: zoo.Spec, section: str, key: str | int) -> Mark:
    """The place of a key of a section; of what holds it, where it was not written."""
    found: Node = spec.document.items.get(section, spec.document)
    if isinstance(found, MapNode) and key in found.keys:
        return found.keys[str(key)]
    if isinstance(found, ListNode) and isinstance(key, int) and key < len(found.items):
        return found.items[key].mark
    return found.mark
