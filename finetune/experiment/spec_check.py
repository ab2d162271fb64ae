"""Checks of a recipe's sections against each other and the network; a problem names its place in the spec."""

from __future__ import annotations

from collections.abc import Iterator

import zoo
from files.paths import expand_home
from finetune.config import AugmentSettings, DataSettings, FinetuneSettings, get_section
from finetune.losses.registry import conflicts
from finetune.optim.freeze import covers
from finetune.strategies import find_strategy
from finetune.tasks import find_task
from zoo.errors import Mark, Problem, SpecError, nearest
from zoo.spec.nodes import ListNode, MapNode, Node
from zoo.spec.tree import items

WEIGHT_KEYWORDS = ("auto", "none")
EXPECTED_FILES = {"plan": "a plan.json", "distill": "the folder of a finished run"}


def check_spec(spec: zoo.Spec) -> None:
    """Raises: SpecError with every setting that contradicts the rest of the spec."""
    settings = get_section(spec, FinetuneSettings)
    checks = (_check_task, _check_weights, _check_stage_rates, _check_resizing, _check_crops)
    problems = [problem for check in checks for problem in check(spec, settings)]
    if problems:
        raise SpecError(problems)


def check_files(spec: zoo.Spec) -> None:
    """Raises: SpecError with the files that do not exist; a finished run does not need them."""
    settings = get_section(spec, FinetuneSettings)
    paths = {"plan": settings.plan, "distill": settings.distill and settings.distill.run}
    problems = [
        _problem(spec, "finetune", key, f"{path} is not there", EXPECTED_FILES[key])
        for key, path in paths.items()
        if path and not expand_home(path).exists()
    ]
    if problems:
        raise SpecError(problems)


def _check_task(spec: zoo.Spec, settings: FinetuneSettings) -> Iterator[Problem]:
    task, augment = find_task(spec.task), get_section(spec, AugmentSettings)
    refused, expected = f"has no meaning for {task.name}", "a spec without it"
    for key in task.refuses:
        if getattr(settings, key, None):
            yield _problem(spec, "finetune", key, refused, expected)
    for index, call in enumerate(augment.calls or ()):
        if call.op in task.refuses:
            yield _problem(spec, "augment", index, refused, expected, below=f".{call.op}")
    for message, wanted in conflicts(settings.loss, settings, target=task.target):
        yield _problem(spec, "finetune", "loss", message, wanted)
    if not task.probes and settings.strategy != "auto" and find_strategy(settings.strategy).probe:
        message = f"{settings.strategy} {refused}"
        yield _problem(spec, "finetune", "strategy", message, "partial, full or scratch")
    if spec.input.resize not in task.resize_rules:
        message = f"{spec.input.resize} {refused}, whose targets must cover the whole image"
        yield _problem(spec, "input", "resize", message, " or ".join(task.resize_rules))


def _check_weights(spec: zoo.Spec, settings: FinetuneSettings) -> Iterator[Problem]:
    if spec.is_chosen:  # among specs that have weights of their own
        return
    if settings.weights not in (*WEIGHT_KEYWORDS, *spec.weights):
        message = f"{spec.name} has no weights '{settings.weights}'"
        expected = ", ".join((*spec.weights, *WEIGHT_KEYWORDS))
        near = nearest(settings.weights, spec.weights)
        yield _problem(spec, "finetune", "weights", message, expected, near=near)
    if settings.weights == "none" or (settings.weights == "auto" and not spec.weights):
        why = "finetune.weights is none" if settings.weights == "none" else f"{spec.name} declares none"
        if settings.strategy != "auto" and find_strategy(settings.strategy).pretrained:
            message = f"{settings.strategy} needs pretrained weights, and there are none: {why}"
            yield _problem(spec, "finetune", "strategy", message, "auto or scratch")
        if settings.l2_sp is not None:
            message = f"ties weights to pretrained ones, and there are none: {why}"
            yield _problem(spec, "finetune", "l2_sp", message, "none, or weights")


def _check_stage_rates(spec: zoo.Spec, settings: FinetuneSettings) -> Iterator[Problem]:
    paths = [item.path for item in items(spec.tree.root) if item.path] if spec.tree is not None else []
    for path in settings.stage_rates if paths else ():
        if not any(covers(path, known) or covers(known, path) for known in paths):
            expected = ", ".join(dict.fromkeys(known.split(".")[0] for known in paths))
            message, near = f"the network has no module '{path}'", nearest(path, paths)
            yield _problem(spec, "finetune", "stage_rates", message, expected, near=near, below=f".{path}")


def _check_resizing(spec: zoo.Spec, settings: FinetuneSettings) -> Iterator[Problem]:
    """With a mean image, the darkest and brightest pixels of an attack are known at the full size alone."""
    attacked = settings.adversarial is not None and settings.adversarial.fgsm is not None
    mean_image = get_section(spec, DataSettings).normalise == "mean_image"
    if attacked and settings.progressive_resizing is not None and mean_image:
        message = "cannot be combined with finetune.adversarial.fgsm and data.normalise: mean_image"
        yield _problem(spec, "finetune", "progressive_resizing", message, "a spec without one of the three")


def _check_crops(spec: zoo.Spec, settings: FinetuneSettings) -> Iterator[Problem]:
    """A crop cannot mirror more pixels at the edges than there are."""
    side = min(spec.input.height, spec.input.width)
    largest = {"reflect": side - 1, "symmetric": side}
    for index, call in enumerate(get_section(spec, AugmentSettings).calls or ()):
        fill, padding = call.args.get("fill"), call.args.get("padding", 0)
        if call.op == "crop" and fill in largest and padding > largest[fill]:
            message = f"{padding} pixels of images of {side} cannot be filled by fill: {fill}"
            expected = f"{largest[fill]} at most"
            yield _problem(spec, "augment", index, message, expected, below=".crop.padding")


def _problem(
    spec: zoo.Spec,
    section: str,
    key: str | int,
    message: str,
    expected: str,
    *,
    near: str = "",
    below: str = "",
) -> Problem:
    """Return a problem of a section's key; `below` is the rest of the dotted name."""
    return Problem(_mark(spec, section, key), f"{section}.{key}{below}", message, expected, near)


def _mark(spec: zoo.Spec, section: str, key: str | int) -> Mark:
    """Return the place of a section's key; if it is not written, of the section or the file."""
    found: Node = spec.document.items.get(section, spec.document)
    if isinstance(found, MapNode) and key in found.keys:
        return found.keys[str(key)]
    if isinstance(found, ListNode) and isinstance(key, int) and key < len(found.items):
        return found.items[key].mark
    return found.mark
