"""`make bench-transfer`: what the shipped weights are worth on few images, against none and random ones."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file

import zoo
from bench.document import machine, spread, write_between
from bench.pool import Line, read_log, run_all
from bench.trial import QUIET, load, measure
from finetune.data import Splits
from finetune.ensembles.regroup import pick_rows
from finetune.setup import read_recipe

SIZES = (5, 10, 20, 50, None)
"""Labelled images a class; None for all."""
DRAWS = 5
HELD_BACK = 0.2
"""Share of the drawn images, at least one a class, that the best epoch is chosen by."""
WAYS = {
    "probe, our weights": {"finetune.strategy": "linear_probe", "finetune.weights": "default"},
    "probe, random weights": {"finetune.strategy": "linear_probe", "finetune.weights": "random"},
    "scratch": {"finetune.strategy": "scratch", "finetune.weights": "none"},
    "full, our weights": {"finetune.strategy": "full", "finetune.weights": "default"},
}
FOLDER = Path("runs/bench")


@dataclass(frozen=True)
class Task:
    """One run. `folder` None stands for the builtin digits, `images` None for all of them."""

    spec: str
    data: str
    folder: str | None
    images: int | None
    way: str
    draw: int


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", help="the spec whose weights are tried")
    parser.add_argument("--data", help="a folder of images beside the digits")
    given = parser.parse_args()
    spec = zoo.read_spec(given.spec)
    log = FOLDER / f"transfer-{spec.name}.jsonl"
    run_all(list(all_tasks(given.spec, given.data)), train_one, log)
    text = "\n\n".join([machine(), *tables(read_log(log))])
    write_between(Path("docs/pretraining.md"), "transfer", text)


def all_tasks(spec: str, folder: str | None) -> Iterator[Task]:
    """Every run; a draw of all before the next."""
    sets = [("digits", None)] + ([(Path(folder).name, folder)] if folder else [])
    for draw in range(DRAWS):
        for data, place in sets:
            for images in SIZES:
                yield from (Task(spec, data, place, images, way, draw) for way in WAYS)


def train_one(task: Task) -> Line:
    """Draw the images, train, and test on the whole test split."""
    values = {**QUIET, **WAYS[task.way], "finetune.seed": task.draw}
    path = task.spec
    if "random" in task.way:
        path = str(random_weights(zoo.read_spec(task.spec), task.draw))
    recipe = read_recipe(path, task.folder, values)
    return measure(recipe, few(load(recipe), task.images, task.draw))


def random_weights(spec: zoo.Spec, seed: int) -> Path:
    """A spec with weights as they are drawn, to be probed like trained ones."""
    folder = FOLDER / "random"
    folder.mkdir(parents=True, exist_ok=True)
    weights, path = f"{spec.name}-{seed}.safetensors", folder / f"{spec.name}-{seed}.yaml"
    save_file(zoo.build(spec, seed=seed).state_dict(), folder / weights)
    path.write_text(
        f"extends: {spec.path.resolve()}\nweights: {{default: null, random: {{file: {weights}}}}}\n"
    )
    return path


def few(splits: Splits, images: int | None, seed: int) -> Splits:
    """The splits with so many labelled images a class in all, some of them held back for validation."""
    if images is None:
        return splits
    rng = np.random.default_rng(seed)
    held = max(1, round(HELD_BACK * images))
    learned, validated = [], []
    for label in range(len(splits.classes)):
        rows: NDArray[np.intp] = rng.permutation(np.flatnonzero(splits.train.targets == label))[:images]
        validated.append(rows[:held])
        learned.append(rows[held:])
    train, val = (pick_rows([splits.train], np.sort(np.concatenate(rows))) for rows in (learned, validated))
    return replace(splits, train=train, val=val)


def tables(lines: list[Line]) -> Iterator[str]:
    """Test accuracy in %, mean and standard deviation over the draws, for each data set."""
    found: dict[tuple[str, int | None, str], list[float]] = {}
    for line in lines:
        found.setdefault((line["data"], line["images"], line["way"]), []).append(100 * line["accuracy"])
    for data in dict.fromkeys(line["data"] for line in lines):
        rows = [f"| {data}: images a class | {' | '.join(WAYS)} |", "|---|" + "---:|" * len(WAYS)]
        for size in SIZES:
            cells = (spread(found.get((data, size, way), [])) for way in WAYS)
            rows.append(f"| {size or 'all'} | {' | '.join(cells)} |")
        yield "\n".join(rows)


if __name__ == "__main__":
    main()
