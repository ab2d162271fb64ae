"""Checking the `search` section before any image is read: each mistake with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import zoo
from finetune.search.space import override_values
from zoo.errors import Mark, Problem, SpecError, nearest
from zoo.spec.nodes import ListNode, MapNode, Node, plain

SECTION = "search"
PARTS = ("finetune", "augment", "choices", "input", "layers", "blocks")
"""The parts of a spec that may be searched; all trials have the same images and classes."""
NOT_SEARCHED = {
    "finetune.epochs": "search.epochs is the length of a trial",
    "finetune.seed": "it splits the images, which all trials share",
    "finetune.cache": "a folder is no hyperparameter",
    "finetune.ensemble": "a trial trains one network",
    "finetune.after_stopping": "a trial ends after its epochs",
    "finetune.folds": "a trial trains one network",
    "finetune.precision": "all trials use the precision of the plan",
    "finetune.plan": "all trials share one plan",
    "finetune.budget_minutes": "search.epochs is the length of a trial",
    "finetune.evidence_images": "the plan is made once for all trials",
    "finetune.test_time": "a trial is scored on unchanged images",
    "finetune.checks": "a trial is not checked",
    "finetune.monitor": "a trial is not monitored",
    "finetune.trackers": "a trial is not tracked",
}


def check_space(spec: zoo.Spec) -> None:
    """Try both ends of every range, and every choice, in the spec.

    Raises: zoo.SpecError with every unknown key and every value that the spec language refuses.
    """
    section = spec.document.get(SECTION)
    space = section.get("space") if isinstance(section, MapNode) else None
    if not isinstance(space, MapNode):
        return
    bare = without_search(spec)
    problems = [
        problem for key, node in space.items.items() for problem in _check_key(bare, key, node, space)
    ]
    if problems:
        raise SpecError(problems)


def without_search(spec: zoo.Spec) -> zoo.Spec:
    """Return the spec with the default search, as if it had no `search` section."""
    return zoo.override(spec, {SECTION: None}) if SECTION in spec.document.items else spec


def _check_key(spec: zoo.Spec, key: str, node: Node, space: MapNode) -> Iterator[Problem]:
    mark, where = space.keys[key], f"{SECTION}.space.{key}"
    part = key.partition(".")[0]
    if part not in PARTS:
        expected = ", ".join(f"{name}.…" for name in PARTS)
        yield Problem(mark, where, f"'{part}' cannot be searched", expected, nearest(part, PARTS))
    elif reasons := [why for fixed, why in NOT_SEARCHED.items() if f"{key}.".startswith(f"{fixed}.")]:
        yield Problem(mark, where, f"cannot be searched: {reasons[0]}", "another key")
    elif outer := [other for other in space.items if key.startswith(other + ".")]:
        yield Problem(mark, where, f"is part of '{outer[0]}', which is searched too", "one of them")
    else:
        for value, value_mark in _values(node):
            yield from _try_value(spec, {key: value}, where, mark, value_mark)


def _values(node: Node) -> Iterator[tuple[object, Mark]]:
    """Yield the values of a range, as a trial may draw them, and their places."""
    assert isinstance(node, MapNode)
    for kind, listed in node.items.items():
        for item in listed.items if isinstance(listed, ListNode) else ():
            value = plain(item)
            yield float(value) if kind in ("log", "uniform") and isinstance(value, int) else value, item.mark


def _try_value(
    spec: zoo.Spec, tried: Mapping[str, object], where: str, key_mark: Mark, value_mark: Mark
) -> Iterator[Problem]:
    """Yield the problems that the spec has with one value of a key."""
    try:
        override_values(spec, tried)
    except SpecError as error:
        for problem in error.problems:
            key_is_wrong = problem.mark is not None and not problem.mark.line and problem.mark.column == 1
            inside = "" if problem.where in ("", *tried) or key_is_wrong else f"{problem.where}: "
            mark = key_mark if key_is_wrong else value_mark
            yield Problem(mark, where, inside + problem.message, problem.expected, problem.suggestion)
