"""What is wrong with a search, found before any image is read: each mistake at its place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import zoo
from finetune.search.space import override_values
from zoo.errors import Mark, Problem, SpecError, nearest
from zoo.spec.nodes import ListNode, MapNode, Node, plain

SECTION = "search"
PARTS = ("finetune", "augment", "choices", "input", "layers", "blocks")
"""What of a spec may be searched: all trials have the same images and classes."""
NOT_SEARCHED = {
    "finetune.epochs": "search.epochs says how long a trial is",
    "finetune.seed": "the images are split by it, and all trials share them",
    "finetune.cache": "a folder is no hyper-parameter",
    "finetune.ensemble": "a trial trains one network",
    "finetune.after_stopping": "a trial ends with its epochs",
    "finetune.precision": "all trials have the plan's",
    "finetune.plan": "all trials follow one",
    "finetune.budget_minutes": "search.epochs says how long a trial is",
    "finetune.evidence_images": "the plan is made once, for all trials",
    "finetune.test_time": "a trial is judged on the images as they are",
    "finetune.checks": "a trial is not checked",
    "finetune.monitor": "a trial is not monitored",
    "finetune.trackers": "a trial is not tracked",
}


def check_space(spec: zoo.Spec) -> None:
    """Try both ends of every range, and every choice, in the spec.

    Raises: zoo.SpecError with every key that the spec language lacks and every value it refuses, by place.
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
    """The same spec, with the search that it would have without its `search` section."""
    return zoo.override(spec, {SECTION: None}) if SECTION in spec.document.items else spec


def _check_key(spec: zoo.Spec, key: str, node: Node, space: MapNode) -> Iterator[Problem]:
    mark, where = space.keys[key], f"{SECTION}.space.{key}"
    part = key.partition(".")[0]
    if part not in PARTS:
        expected = ", ".join(f"{name}.…" for name in PARTS)
        yield Problem(mark, where, f"'{part}' cannot be searched", expected, nearest(part, PARTS))
    elif said := [why for fixed, why in NOT_SEARCHED.items() if f"{key}.".startswith(f"{fixed}.")]:
        yield Problem(mark, where, f"cannot be searched: {said[0]}", "another key")
    elif within := [other for other in space.items if key.startswith(other + ".")]:
        yield Problem(mark, where, f"lies within '{within[0]}', which is searched too", "one of them")
    else:
        for value, at in _ends(node):
            yield from _refusals(spec, {key: value}, where, mark, at)


def _ends(node: Node) -> Iterator[tuple[object, Mark]]:
    """The values that stand in a range, as a trial may draw them, and their places."""
    assert isinstance(node, MapNode)
    for kind, listed in node.items.items():
        for item in listed.items if isinstance(listed, ListNode) else ():
            value = plain(item)
            yield float(value) if kind in ("log", "uniform") and isinstance(value, int) else value, item.mark


def _refusals(
    spec: zoo.Spec, tried: Mapping[str, object], where: str, at_key: Mark, at_value: Mark
) -> Iterator[Problem]:
    """What the spec language says against one value of a key."""
    try:
        override_values(spec, tried)
    except SpecError as error:
        for problem in error.problems:
            key_is_wrong = problem.mark is not None and not problem.mark.line and problem.mark.column == 1
            inside = "" if problem.where in ("", *tried) or key_is_wrong else f"{problem.where}: "
            mark = at_key if key_is_wrong else at_value
            yield Problem(mark, where, inside + problem.message, problem.expected, problem.suggestion)
