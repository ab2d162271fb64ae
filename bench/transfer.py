"""`make bench-transfer`: what the shipped weights are worth on few images, against none and random ones."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save_file

import zoo
from bench import near
from bench.document import machine, spread, write_or_print
from bench.draw import draw_images
from bench.pool import Line, read_log, run_all
from bench.task import Task
from bench.trial import QUIET, measure
from finetune.experiment.recipe import read_recipe

SIZES = (5, 10, 20, 50, None)
"""Labelled images a class; None for all."""
DRAWS = 5
NEAR = 10
"""Classes of the task near the weights."""
WAYS = {
    "probe, our weights": {"finetune.strategy": "linear_probe", "finetune.weights": "default"},
    "probe, random weights": {"finetune.strategy": "linear_probe", "finetune.weights": "random"},
    "scratch": {"finetune.strategy": "scratch", "finetune.weights": "none"},
    "full, our weights": {"finetune.strategy": "full", "finetune.weights": "default"},
}
FOLDER = Path("runs/bench")


def main() -> None:
    """Run what is missing; write the table, or print it where the document has no place for the spec."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", help="the spec whose weights are tried")
    parser.add_argument("--data", help="a folder of images beside the digits")
    parser.add_argument("--near", help="folder of Tiny ImageNet's parquet files, for a task near the weights")
    given = parser.parse_args()
    spec = zoo.read_spec(given.spec)
    log = FOLDER / f"transfer-{spec.name}.jsonl"
    run_all(list(all_tasks(given.spec, given.data, given.near)), train_one, log)
    text = "\n\n".join([machine(), *tables(read_log(log))])
    write_or_print(Path("docs/pretraining.md"), f"transfer {spec.name}", text)


def all_tasks(spec: str, folder: str | None, tiny_imagenet: str | None) -> Iterator[Task]:
    """Every run; a draw of all before the next."""
    sets: list[near.Set] = [("digits", None, None)]
    sets += [(Path(folder).name, folder, None)] if folder else []
    sets += near.sets(tiny_imagenet, [NEAR], FOLDER / "near") if tiny_imagenet else []
    for draw, (data, place, classes), images in product(range(DRAWS), sets, SIZES):
        if near.enough(classes, images):
            yield from (Task(spec, data, place, classes, images, way, draw) for way in WAYS)


def train_one(task: Task) -> Line:
    """Draw the images, train, and test on the whole test split."""
    values = {**QUIET, **WAYS[task.way], "finetune.seed": task.draw}
    values |= near.SHARES if task.classes else {}
    path = task.spec
    if "random" in task.way:
        path = str(random_weights(zoo.read_spec(task.spec), task.draw))
    recipe = read_recipe(path, task.folder, values)
    return measure(recipe, draw_images(recipe, classes=task.classes, images=task.images, seed=task.draw))


def random_weights(spec: zoo.Spec, seed: int) -> Path:
    """A spec with weights as they are drawn, to be probed like trained ones."""
    folder = FOLDER / "random"
    folder.mkdir(parents=True, exist_ok=True)
    weights, path = f"{spec.name}-{seed}.safetensors", folder / f"{spec.name}-{seed}.yaml"
    with TemporaryDirectory(dir=folder) as place:  # a run beside this one may be reading them
        save_file(zoo.build(spec, seed=seed).state_dict(), Path(place, weights))
        Path(place, path.name).write_text(
            f"extends: {spec.path.resolve()}\nweights: {{default: null, random: {{file: {weights}}}}}\n"
        )
        for name in (weights, path.name):
            Path(place, name).replace(folder / name)
    return path


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
