"""`make bench-strategy`: every strategy to its end, and what `auto` picks, on images near and far.

Runs that stand in the log are not repeated, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.document import machine, write_between
from bench.pool import Line, read_log, run_all
from bench.regret import tables
from bench.transfer import few
from bench.trial import QUIET, load, measure_plan
from finetune.data import Split, Splits
from finetune.ensembles.regroup import pick_rows
from finetune.setup import read_recipe

SPEC = "resnet_small"
SIZES = (5, 20, 80, None)
"""Labelled images a class, those held back for validation included; None for all."""
DRAWS = 3
NEAR = (2, 5, 10)
"""Classes of the tasks that are drawn from Tiny ImageNet's validation images."""
NEAR_SHARES: dict[str, object] = {"data.val": 0.1, "data.test": 0.4}
WAYS: dict[str, dict[str, object]] = {
    "linear_probe": {},
    "stage_probe": {},
    "partial": {},
    "partial, probe's head": {"finetune.strategy": "partial", "finetune.head": "probe"},
    "full": {},
    "full, probe's head": {"finetune.strategy": "full", "finetune.head": "probe"},
    "scratch": {},
    "auto": {},
}
"""What is compared; a name without keys is a strategy."""
FOLDER = Path("runs/bench")
DOCUMENT = Path("docs/strategy.md")


@dataclass(frozen=True)
class Task:
    """One run. `folder` None: the builtin digits; `classes` None: all of them, else so many drawn ones."""

    data: str
    folder: str | None
    classes: int | None
    images: int | None
    way: str
    draw: int


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", default=[], help="a folder of images; may be given again")
    parser.add_argument(
        "--near", help="folder of Tiny ImageNet's parquet files, for the tasks near the weights"
    )
    given = parser.parse_args()
    log = FOLDER / "strategy.jsonl"
    run_all(list(all_tasks(given.data, given.near)), train_one, log)
    write_between(DOCUMENT, "strategy", "\n\n".join([machine(), *tables(read_log(log))]))


def all_tasks(folders: list[str], near: str | None) -> Iterator[Task]:
    """Every run; a draw of all before the next."""
    sets: list[tuple[str, str | None, int | None]] = [("digits", None, None)]
    sets += [(Path(folder).name, folder, None) for folder in folders]
    if near is not None:
        place = str(validation_images(Path(near).expanduser(), FOLDER / "near"))
        sets += [(f"{count} near classes", place, count) for count in NEAR]
    for draw in range(DRAWS):
        for data, folder, classes in sets:
            for images in SIZES:
                yield from (Task(data, folder, classes, images, way, draw) for way in WAYS)


def train_one(task: Task) -> Line:
    """Draw the images, choose and train as a user would, and test on images that no choice saw."""
    with tempfile.TemporaryDirectory() as cache:
        values = {**QUIET, "finetune.seed": task.draw, "finetune.cache": cache}
        values |= WAYS[task.way] or {"finetune.strategy": task.way}
        values |= NEAR_SHARES if task.classes else {}
        recipe = read_recipe(SPEC, task.folder, values)
        splits = load(recipe)
        if task.classes is not None:
            splits = some_classes(splits, task.classes, task.draw)
        line, plan = measure_plan(recipe, few(splits, task.images, task.draw))
    evidence: Any = plan.evidence
    return {
        **line,
        "strategy": plan.strategy,
        "cell": plan.cell,
        "forecast": evidence["forecast"].get(plan.strategy),
        "race": evidence.get("race"),
        "drift": {name: value for name, value in evidence.get("measured", {}).items() if "drift" in name},
    }


def validation_images(data: Path, out: Path) -> Path:
    """A folder with nothing but Tiny ImageNet's validation images, which no weights were trained on."""
    if not (out / "classes.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(data.glob("val*.parquet")):
            shutil.copy(path, out / path.name.replace("val", "train", 1))
        names = json.loads((data / "classes.json").read_text())
        (out / "classes.json").write_text(json.dumps(names))
    return out


def some_classes(splits: Splits, count: int, seed: int) -> Splits:
    """The splits with so many of their classes, drawn by the seed."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(splits.classes), count, replace=False))
    place = {int(label): index for index, label in enumerate(chosen)}

    def narrowed(split: Split) -> Split:
        kept = pick_rows([split], np.flatnonzero(np.isin(split.targets, chosen)))
        return replace(kept, targets=np.array([place[int(label)] for label in kept.targets], dtype=np.int64))

    return replace(
        splits,
        classes=tuple(splits.classes[label] for label in chosen),
        train=narrowed(splits.train),
        val=narrowed(splits.val),
        test=narrowed(splits.test),
    )


if __name__ == "__main__":
    main()
