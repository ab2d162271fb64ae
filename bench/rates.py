"""`make bench-rates`: what other learning rates are worth than the default one, on few images per class.

`full`, or another strategy, is trained to its end at multiples of the rate that its plan would take. Runs
that stand in the log are not repeated, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

from bench.document import machine, spread, write_or_print
from bench.draw import draw_images
from bench.near import enough
from bench.pool import Line, read_log, run_all
from bench.regret import by_cell
from bench.strategy import DOCUMENT, DRAWS, FOLDER, SPEC, arguments, sets, values
from bench.task import Task
from bench.trial import measure_plan
from finetune.experiment.recipe import read_recipe

FACTORS = (0.354, 1.0, 2.83)
"""Between batches of 8 and of 64 images, rates in proportion to the batch and to its root differ by 2.83."""
SIZES = (5, 20)
"""Labelled images a class, those held back for validation included."""
STRATEGY = "full"


def main() -> None:
    """Run what is missing and write the table."""
    parser = arguments(__doc__)
    parser.add_argument("spec", nargs="?", default=SPEC, help=f"whose strategy is trained; else {SPEC}")
    parser.add_argument("--strategy", default=STRATEGY, help=f"default: {STRATEGY}")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="labelled images a class")
    given = parser.parse_args()
    tasks = [
        Task(given.spec, data, folder, classes, images, way_of(given.strategy, factor), draw)
        for draw, (data, folder, classes), images, factor in product(
            range(DRAWS), sets(given.data, given.near), given.sizes, FACTORS
        )
        if enough(classes, images)
    ]
    name = Path(given.spec).stem
    log = FOLDER / f"rates-{name}.jsonl"
    run_all(tasks, train_one, log)
    text = f"{machine()}\n\n{table(read_log(log), given.strategy)}"
    write_or_print(DOCUMENT, f"rates {name} {given.strategy}", text)


def way_of(strategy: str, factor: float) -> str:
    """Return the name of a strategy at so many times its rate."""
    return f"{strategy} {factor:g}"


def train_one(task: Task) -> Line:
    """Draw the images, train at the factor of the task, and test."""
    strategy, factor = task.way.split()
    with tempfile.TemporaryDirectory() as cache:
        own = values(task.draw, cache, near_weights=task.classes is not None)
        recipe = read_recipe(task.spec, task.folder, own | {"finetune.strategy": strategy})
        splits = draw_images(recipe, classes=task.classes, images=task.images, seed=task.draw)
        line, _ = measure_plan(
            recipe, splits, lambda plan: replace(plan, learning_rate=float(factor) * plan.learning_rate)
        )
    return line


def table(lines: list[Line], strategy: str) -> str:
    """Markdown: test accuracy in % at each factor, mean and standard deviation over the draws."""
    ways = [way_of(strategy, factor) for factor in FACTORS]
    head = " | ".join(f"{factor:g} times" for factor in FACTORS)
    rows = [f"| {strategy}, images per class | {head} |", "|---|" + "---:|" * len(FACTORS)]
    for (data, images), found in by_cell(lines).items():
        cells = [spread([100 * line["accuracy"] for line in found.get(way, [])]) for way in ways]
        rows.append(f"| {data}, {images} | {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
