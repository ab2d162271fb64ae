"""`make bench-networks`: what each network with weights at hand is worth on few images, into docs/zoo.md.

One line per network, data set, number of images per class and draw: a linear probe on the network's features,
which are computed once, and a whole run of `auto`. A spec that chooses its network stands beside them. What
stands in the log is not run again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import mean

import zoo
from bench.document import machine, spread, write_between
from bench.draw import draw_images
from bench.pool import Line, read_log, run_all
from bench.task import Task
from bench.trial import QUIET, measure
from finetune.data import Splits
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import prepare
from finetune.networks.choose import choose_network
from finetune.probes.arithmetic import choose_arithmetic
from finetune.probes.network import network_features
from finetune.probes.probe import fit_probe

SPECS = (
    "resnet_tiny",
    "resnet_small",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "auto",
)
SIZES = (5, 20, 80)
"""Labelled images per class."""
DRAWS = 3
PROBE = "linear probe"
WAYS: dict[str, dict[str, object]] = {
    PROBE: {"finetune.strategy": "linear_probe"},
    "auto": {"finetune.budget_minutes": 10},
}
LOG, DOCUMENT = Path("runs/bench/networks.jsonl"), Path("docs/zoo.md")


def main() -> None:
    """Run what is missing, and write the tables of what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", help="folders of images, beside the digits")
    parser.add_argument("--specs", nargs="*", default=SPECS)
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=tuple(WAYS))
    parser.add_argument("--draws", type=int, default=DRAWS)
    given = parser.parse_args()
    tasks = all_tasks(given.folders, given.specs, given.ways, given.draws)
    run_all(list(tasks), train_one, LOG)
    lines = read_log(LOG)
    ways = [way for way in WAYS if any(line["way"] == way for line in lines)]
    text = "\n\n".join([machine(), *(table(lines, way) for way in ways), choices(lines)])
    write_between(DOCUMENT, "networks", text)


def all_tasks(folders: list[str], specs: list[str], ways: list[str], draws: int) -> Iterator[Task]:
    """Every run; a draw of all before the next."""
    sets = [("digits", None), *((Path(folder).name, folder) for folder in folders)]
    for way, draw, (data, folder), size in product(ways, range(draws), sets, SIZES):
        yield from (Task(spec, data, folder, None, size, way, draw) for spec in specs)


def train_one(task: Task) -> Line:
    """Draw the images, choose the network if the spec leaves it open, train, and test."""
    recipe = read_recipe(task.spec, task.folder, QUIET | WAYS[task.way] | {"finetune.seed": task.draw})
    splits = draw_images(recipe, classes=None, images=task.images, seed=task.draw)
    if recipe.is_chosen:
        recipe, _ = choose_network(recipe, splits)
    return {"network": recipe.name, **(probe if task.way == PROBE else measure)(recipe, splits)}


def probe(recipe: zoo.Spec, splits: Splits) -> dict[str, object]:
    """Return the test accuracy of a linear probe, and in what time of one core how many images passed."""
    setup = choose_arithmetic(prepare(recipe, splits))
    start = time.process_time()
    learned, tested = network_features(setup), network_features(replace(setup, train=setup.test))
    passed_s = time.process_time() - start
    seed, targets = setup.settings.seed, splits.train.targets
    fitted = fit_probe(learned.head_input, targets, classes=len(splits.classes), seed=seed)
    right = fitted.logits(tested.head_input).argmax(axis=1) == splits.test.targets
    computed = learned.computed + tested.computed
    return {"accuracy": round(float(right.mean()), 5), "passed": computed, "passed_s": round(passed_s, 2)}


def table(lines: list[Line], way: str) -> str:
    """Test accuracy in % of each network, mean and standard deviation over the draws, and minutes."""
    specs = [spec for spec in SPECS if any(line["spec"] == spec and line["way"] == way for line in lines)]
    rows = [
        f"| {way}: images per class | {' | '.join(specs)} |",
        "|---|" + "---:|" * len(specs),
    ]
    for data, size in product(dict.fromkeys(line["data"] for line in lines), SIZES):
        cells = [_cell(lines, way, data, size, spec) for spec in specs]
        rows.append(f"| {data}, {size} | {' | '.join(cells)} |")
    if way == PROBE:
        rows.append(
            f"| images per second of one core | {' | '.join(_speed(lines, spec) for spec in specs)} |"
        )
    return "\n".join(rows)


def _speed(lines: list[Line], spec: str) -> str:
    """How fast a network's features are computed, decoding included, over all lines that computed some."""
    found = [line for line in _find(lines, way=PROBE, spec=spec) if line["passed"]]
    if not found or spec == "auto":
        return ""
    return f"{sum(line['passed'] for line in found) / sum(line['passed_s'] for line in found):.0f}"


def _cell(lines: list[Line], way: str, data: str, size: int, spec: str) -> str:
    found = _find(lines, way=way, data=data, images=size, spec=spec)
    if not found:
        return "—"
    accuracy = spread([100 * line["accuracy"] for line in found])
    if way == PROBE:
        return accuracy
    return f"{accuracy} ({mean(line['seconds'] for line in found) / 60:.1f} min)"


def choices(lines: list[Line]) -> str:
    """What the choice of a network loses against the best one, beside always taking one of them."""
    fixed = [spec for spec in SPECS if spec != "auto"]
    rows = ["| linear probe, points below the best network | mean | worst |", "|---|---:|---:|"]
    keys = sorted({(line["data"], line["images"], line["draw"]) for line in lines if line["spec"] == "auto"})
    losses: dict[str, list[float]] = {}
    for data, size, draw in keys:
        cell = _find(lines, way=PROBE, data=data, images=size, draw=draw)
        accuracy = {line["spec"]: 100 * line["accuracy"] for line in cell}
        if {*fixed, "auto"} <= set(accuracy):
            best = max(accuracy[spec] for spec in fixed)
            for spec in (*fixed, "auto"):
                losses.setdefault(spec, []).append(best - accuracy[spec])
    for spec, values in losses.items():
        name = "chosen by `auto`" if spec == "auto" else f"always {spec}"
        rows.append(f"| {name} | {mean(values):.1f} | {max(values):.1f} |")
    return "\n".join(rows)


def _find(lines: list[Line], **wanted: object) -> list[Line]:
    return [line for line in lines if wanted.items() <= line.items()]


if __name__ == "__main__":
    main()
