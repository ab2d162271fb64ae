"""`make bench-prior`: a prior of the race, from whole runs and races of several networks.

In each cell, every strategy is trained to its end, and the race is run through all rounds. Out: a table for
finetune/planning/race/prior.csv; `make bench-hindsight` shows how it chooses. Runs that stand in the logs are
not repeated, so that the same command goes on where it was stopped; whole runs are those of the first draw of
`make bench-strategy`.
"""

from __future__ import annotations

import csv
import math
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

from bench.draw import draw_images
from bench.near import enough
from bench.pool import Line, read_log, run_all
from bench.strategy import FOLDER, SPEC, arguments, log_of, sets, train_one, values
from bench.task import Images, Task
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import prepare
from finetune.planning.choose import race_strategies
from finetune.planning.evidence import measure_evidence
from finetune.planning.race.posterior import measure_answers
from finetune.planning.race.prior import Row
from finetune.planning.rate_scale import Rates
from finetune.planning.table import find_cell
from finetune.probes.arithmetic import choose_arithmetic
from finetune.probes.folds import deal_folds
from finetune.strategies import racing_names

SPECS = ("specs/resnet_tiny.yaml", SPEC, "bench/efficientnet_lite0_128.yaml")
"""Networks that differ in size, in pixels and in the images that their weights were trained on."""
SIZES = (5, 20, 80)
"""Labelled images a class, those held back for validation included."""
TABLE = FOLDER / "prior.csv"
RACERS = racing_names()
DRAW = 0
"""Other draws are not used: they show how the choice does on draws that the prior has not seen."""
PLACES = 4
COLUMNS = (
    "network",
    "data",
    "images",
    "similarity",
    "drift",
    *(f"whole_{name}" for name in RACERS),
    "tested",
    *(f"short_{name}" for name in RACERS),
    "asked",
)


def main() -> None:
    """Run what is missing and write the file."""
    parser = arguments(__doc__)
    parser.add_argument("--specs", nargs="+", default=SPECS, help="whose strategies are compared")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="labelled images a class")
    given = parser.parse_args()
    for spec in given.specs:
        cells = [
            (spec, data, folder, classes, images)
            for (data, folder, classes), images in product(sets(given.data, given.near), given.sizes)
            if enough(classes, images)
        ]
        run_all([Task(*cell, way, DRAW) for cell in cells for way in RACERS], train_one, log_of(spec))
        run_all([Images(*cell) for cell in cells], race_once, races_of(spec))
    write()


def races_of(spec: str) -> Path:
    """Where the races of that spec stand."""
    return FOLDER / f"races-{Path(spec).stem}.jsonl"


def write() -> None:
    """Write the rows."""
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(all_rows())
    print(f"wrote {TABLE}")


def all_rows() -> list[Row]:
    """Return a row for each race whose whole runs are known, of every network."""
    rows = []
    for spec in SPECS:
        whole = {
            (line["data"], line["images"], line["way"]): round(line["accuracy"], PLACES)
            for line in read_log(log_of(spec))
            if line["draw"] == DRAW
        }
        for line in read_log(races_of(spec)):
            ran = {f"whole_{name}": whole.get((line["data"], line["images"], name)) for name in RACERS}
            if None not in ran.values():
                row = (
                    {"network": name_of(spec)} | {name: line[name] for name in COLUMNS if name in line} | ran
                )
                rows.append({name: str(value) for name, value in row.items()})
    return rows


def name_of(spec: str) -> str:
    """Return the network's name, as the rows have it."""
    return Path(spec).stem


def race_once(task: Images) -> Line:
    """Run all rounds of one cell's race; record the held-out accuracy of each strategy's short run."""
    with tempfile.TemporaryDirectory() as cache:
        recipe = read_recipe(
            task.spec, task.folder, values(DRAW, cache, near_weights=task.classes is not None)
        )
        splits = draw_images(recipe, classes=task.classes, images=task.images, seed=DRAW)
        setup = choose_arithmetic(prepare(recipe, splits))
        measured = measure_evidence(setup)
        cell = find_cell(measured.evidence.median_class, measured.similar)
        race, _, _ = race_strategies(setup, measured, cell, Rates(setup), min_gain=-math.inf)
    shares, _ = measure_answers(race.answers, RACERS)
    folds = deal_folds(setup.train.split.targets, seed=setup.settings.seed)[0][: race.rounds]
    asked = int(np.isfinite(race.answers[RACERS[-1]]).sum())
    return {
        "similarity": cell[1],
        "drift": round(measured.drift, PLACES),
        "tested": len(setup.test),
        **{f"short_{name}": round(float(value), PLACES) for name, value in zip(RACERS, shares, strict=True)},
        "asked": asked,
        "seconds": round(race.seconds, 1),
        "chance": race.chance,
        "correct": {name: np.round(race.answers[name], PLACES).tolist() for name in RACERS},
        "rounds": [left.tolist() for _, left in folds],
    }


if __name__ == "__main__":
    main()
