"""What a choice costs against the best in hindsight, and the tasks that it is measured on."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import pytest

from bench.near import IMAGES, enough, some_classes
from bench.regret import (
    by_cell,
    complete,
    cost,
    overlapping,
    regret,
    regret_of,
    regret_of_table,
    tables,
)
from bench.strategy import DRAWS, NEAR, SIZES, WAYS, all_tasks
from bench.switches import SWITCHES, switch_table
from finetune.config import DataSettings
from finetune.data import load_splits
from finetune.strategies import STRATEGIES

CELL = ("quite a lot of data", "different")  # of which the table says full
ACCURACY = {"linear_probe": 0.80, "stage_probe": 0.85, "partial": 0.90, "full": 0.88, "scratch": 0.70}


def line(way: str, draw: int, accuracy: float, **more: object) -> dict[str, object]:
    return {"data": "d", "images": 5, "way": way, "draw": draw, "accuracy": accuracy, "seconds": 10.0, **more}


LINES = [line(way, draw, accuracy) for draw in range(2) for way, accuracy in ACCURACY.items()]
FAR_APART = {"partial": (0.9, 0.01), "stage_probe": (0.8, 0.01), "full": (0.85, 0.2)}
CLOSE_BY = {"partial": (0.9, 0.06), "stage_probe": (0.8, 0.05)}


def race(expected: dict[str, tuple[float, float]]) -> dict[str, object]:
    pairs = expected.items()
    return {"scores": {name: {"expected": {"value": v, "error": e}} for name, (v, e) in pairs}}


NAMES = (*STRATEGIES, "auto")
LINES += [
    line("auto", 0, 0.90, strategy="partial", cell=CELL, race=race(FAR_APART)),
    line("auto", 1, 0.85, strategy="stage_probe", cell=CELL, race=race(CLOSE_BY)),
]


def test_regret_is_what_the_best_strategy_has_more() -> None:
    [ways] = by_cell(LINES).values()
    assert complete(ways, NAMES)
    assert regret(ways) == pytest.approx(90 - 87.5)
    assert regret_of(ways, "full") == pytest.approx(2)
    assert regret_of_table(ways) == pytest.approx(2)
    assert cost(ways) == (20, 100)


def test_the_document_tells_picks_and_sums() -> None:
    cells, sums = tables(LINES)
    assert "| d, 5 |" in cells
    assert "| partial, stage_probe | 2.5 |" in cells
    assert "| auto | 2.5 | 2.5 |" in sums
    assert "| always partial | 0.0 | 0.0 |" in sums
    assert "0.20 of the time" in sums
    assert "In 0 of 1 cells it picked the same in all draws; in 0 of the others" in sums


def test_picks_that_differ_may_be_as_good() -> None:
    names = {"partial", "stage_probe"}
    assert not overlapping(LINES[-2:], names)
    assert overlapping(LINES[-1:], names)
    assert overlapping(LINES[-2:], {"partial", "full"})


def test_a_cell_that_is_not_through_is_left_out() -> None:
    [ways] = by_cell(LINES[:-1]).values()
    assert not complete(ways, NAMES)


def test_a_switch_is_measured_against_the_same_strategy_without_it() -> None:
    name = next(name for name, switch in SWITCHES.items() if switch.strategy == "full")
    switched = [
        line(name, draw, accuracy, cell=("", "different"), images=images)
        for draw, accuracy, images in ((0, 0.90, 5), (0, 0.84, 20), (1, 0.10, 5))
    ]
    plain = [line("full", 0, 0.88, images=20)]
    _, row = switch_table([*LINES, *switched, *plain])
    assert row == f"| {name} | different | 2 | -1.0 | -4.0 | +2.0 |"


def test_every_strategy_runs_in_every_cell() -> None:
    given = Namespace(spec="my.yaml", data=["/somewhere/flowers"], near=None, sizes=None, ways=WAYS)
    tasks = list(all_tasks(given))
    assert len(tasks) == 2 * len(SIZES) * (DRAWS * (len(WAYS) - len(SWITCHES)) + len(SWITCHES))
    assert set(STRATEGIES) | {"auto"} <= set(WAYS)
    assert {task.data for task in tasks} == {"digits", "flowers"}
    assert {task.spec for task in tasks} == {"my.yaml"}
    given.sizes, given.ways = [5], ["full", "auto"]
    assert {(task.images, task.way) for task in all_tasks(given)} == {(5, "full"), (5, "auto")}


def test_near_tasks_ask_for_no_more_images_than_there_are() -> None:
    assert enough(5, 20) and enough(5, None) and not enough(5, IMAGES + 1)
    assert enough(None, 80)


def test_near_tasks_have_some_of_the_classes() -> None:
    splits = load_splits(DataSettings(builtin="digits"), 0)
    for count in NEAR:
        some = some_classes(splits, count, seed=1)
        assert len(some.classes) == count
        kept = [splits.classes.index(name) for name in some.classes]
        assert len(some.test) == int(np.isin(splits.test.targets, kept).sum())
        assert set(some.train.targets) == set(range(count))
    assert some_classes(splits, 5, seed=1).classes != some_classes(splits, 5, seed=2).classes
