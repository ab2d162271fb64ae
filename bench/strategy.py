"""`make bench-strategy`: every strategy of a spec to its end, and what `auto` picks, on images near and far.

Runs that stand in the log are not repeated, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from bench import near
from bench.document import machine, write_or_print
from bench.draw import draw_images
from bench.pool import Line, read_log, run_all
from bench.regret import tables
from bench.switches import DRAW as SWITCHED
from bench.switches import SWITCHES, switch_table
from bench.task import Task
from bench.trial import QUIET, measure_plan
from finetune.experiment.recipe import read_recipe
from finetune.records.evidence import Forecast, RaceResult
from finetune.strategies import STRATEGIES

SPEC = "specs/resnet_small.yaml"
"""The spec whose runs the prior is taken from."""
SIZES = (5, 20, 80, None)
"""Labelled images a class, those held back for validation included; None for all."""
DRAWS = 3
NEAR = (2, 5, 10)
"""Classes of the tasks that are drawn from Tiny ImageNet's validation images."""
WAYS: dict[str, dict[str, object]] = {
    **{name: {"finetune.strategy": name} for name in STRATEGIES},
    **{name: switch.ways for name, switch in SWITCHES.items()},
    "auto": {},
}
"""What is compared, and what it sets."""
FOLDER = Path("runs/bench")
DOCUMENT = Path("docs/strategy-measurements.md")


def main() -> None:
    """Run what is missing; write the tables, or print them where the document has no place for the spec."""
    parser = arguments(__doc__)
    parser.add_argument("spec", nargs="?", default=SPEC, help=f"whose strategies are compared; else {SPEC}")
    parser.add_argument(
        "--sizes", nargs="+", type=int, help="labelled images a class; else 5, 20, 80 and all"
    )
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=list(WAYS), help="what is compared; else all"
    )
    given = parser.parse_args()
    log, name = log_of(given.spec), Path(given.spec).stem
    run_all(list(all_tasks(given)), train_one, log)
    lines = [line for line in read_log(log) if line["way"] in given.ways]
    if given.sizes:
        lines, name = [line for line in lines if line["images"] in given.sizes], f"{name} few"
    write_or_print(DOCUMENT, f"strategy {name}", "\n\n".join([machine(), *tables(lines)]))
    if set(SWITCHES) & set(given.ways):
        write_or_print(DOCUMENT, f"switches {name}", "\n\n".join([machine(), "\n".join(switch_table(lines))]))


def log_of(spec: str) -> Path:
    """Where the runs of that spec stand."""
    return FOLDER / f"strategy-{Path(spec).stem}.jsonl"


def arguments(words: str | None) -> argparse.ArgumentParser:
    """Takes the folders that the command line names, as `data` and `near`."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--data", action="append", default=[], help="a folder of images; may be given again")
    parser.add_argument(
        "--near", help="folder of Tiny ImageNet's parquet files, for the tasks near the weights"
    )
    return parser


def sets(folders: list[str], tiny_imagenet: str | None) -> list[near.Set]:
    """The data sets: the digits, the folders, and the tasks near the weights."""
    far: list[near.Set] = [("digits", None, None), *((Path(folder).name, folder, None) for folder in folders)]
    return far + (near.sets(tiny_imagenet, NEAR, FOLDER / "near") if tiny_imagenet else [])


def values(draw: int, cache: str, *, near_weights: bool) -> dict[str, object]:
    """What a run of the benchmark sets in its spec."""
    own: dict[str, object] = {**QUIET, "finetune.seed": draw, "finetune.cache": cache}
    return own | (near.SHARES if near_weights else {})


def all_tasks(given: argparse.Namespace) -> Iterator[Task]:
    """Every run that is asked for; one draw of all before the next, and in it the fixed strategies first."""
    for draw, way in product(range(DRAWS), given.ways):
        for (data, folder, classes), images in product(sets(given.data, given.near), given.sizes or SIZES):
            if near.enough(classes, images) and (way not in SWITCHES or draw == SWITCHED):
                yield Task(given.spec, data, folder, classes, images, way, draw)


def train_one(task: Task) -> Line:
    """Draw the images, choose and train as a user would, and test on images that no choice saw."""
    with tempfile.TemporaryDirectory() as cache:
        own = values(task.draw, cache, near_weights=task.classes is not None) | WAYS[task.way]
        recipe = read_recipe(task.spec, task.folder, own)
        splits = draw_images(recipe, classes=task.classes, images=task.images, seed=task.draw)
        line, plan = measure_plan(recipe, splits)
    evidence = plan.evidence
    return {
        **line,
        "strategy": plan.strategy,
        "cell": plan.cell,
        "forecast": _as_dict(evidence.forecasts.get(plan.strategy)),
        "race": _as_dict(evidence.race),
        "drift": {name: asdict(value) for name, value in evidence.measured.items() if "drift" in name},
    }


def _as_dict(record: Forecast | RaceResult | None) -> dict[str, Any] | None:
    return None if record is None else asdict(record)


if __name__ == "__main__":
    main()
