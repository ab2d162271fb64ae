"""`make bench-prior`: the prior of the race, from the first draw of `make bench-strategy`.

The race of every cell is run through all rounds; the accuracies of whole runs come from the log of `make
bench-strategy`. Out: finetune/planning/race/prior.csv. Runs in the benchmark's own log are not repeated, so
that the same command resumes after an interruption.
"""

from __future__ import annotations

import csv
import math
import tempfile
from itertools import product

import numpy as np

from bench.draw import draw_images
from bench.near import enough
from bench.pool import Line, read_log, run_all
from bench.strategy import FOLDER, SIZES, SPEC, arguments, log_of, sets, values
from bench.task import Images
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import prepare
from finetune.planning.choose import race_strategies
from finetune.planning.evidence import measure_evidence
from finetune.planning.race.posterior import measure_answers
from finetune.planning.race.prior import PRIOR
from finetune.planning.rate_scale import Rates
from finetune.planning.table import find_cell
from finetune.probes.folds import deal_folds
from finetune.strategies import racing_names

RACES = FOLDER / "races.jsonl"
RACERS = racing_names()
DRAW = 0
"""Other draws are not used: they show how the choice does on draws that the prior has not seen."""
PLACES = 4
COLUMNS = (
    "data",
    "images",
    "similarity",
    *(f"whole_{name}" for name in RACERS),
    "tested",
    *(f"short_{name}" for name in RACERS),
    "asked",
)


def main() -> None:
    """Run what is missing and write the file."""
    given = arguments(__doc__).parse_args()
    tasks = [
        Images(SPEC, data, folder, classes, images)
        for (data, folder, classes), images in product(sets(given.data, given.near), SIZES)
        if enough(classes, images)
    ]
    run_all(tasks, race_once, RACES)
    whole = {
        (line["data"], line["images"], line["way"]): line["accuracy"]
        for line in read_log(log_of(SPEC))
        if line["draw"] == DRAW
    }
    with PRIOR.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for line in read_log(RACES):
            ran = {name: whole[line["data"], line["images"], name] for name in RACERS}
            found = {f"whole_{name}": round(value, PLACES) for name, value in ran.items()}
            row = {name: line[name] for name in COLUMNS if name in line} | found
            writer.writerow(row | {"images": line["images"] or "all"})
    print(f"wrote {PRIOR}")


def race_once(task: Images) -> Line:
    """Run all rounds of one cell's race; record the held-out accuracy of each strategy's short run."""
    with tempfile.TemporaryDirectory() as cache:
        recipe = read_recipe(
            task.spec, task.folder, values(DRAW, cache, near_weights=task.classes is not None)
        )
        splits = draw_images(recipe, classes=task.classes, images=task.images, seed=DRAW)
        setup = prepare(recipe, splits)
        measured = measure_evidence(setup)
        cell = find_cell(measured.evidence.median_class, measured.similar)
        race, _, _ = race_strategies(setup, measured, cell, Rates(setup), min_gain=-math.inf)
    shares, _ = measure_answers(race.answers, RACERS)
    folds = deal_folds(setup.train.split.targets, seed=setup.settings.seed)[0][: race.rounds]
    asked = int(np.isfinite(race.answers[RACERS[-1]]).sum())
    return {
        "similarity": cell[1],
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
