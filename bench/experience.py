"""`make bench-experience`: what the choice knows beforehand, from the first draw of `make bench-strategy`.

Every cell's race is run to its end, none dropped early; beside it stand the whole runs of the strategies,
from the log of `make bench-strategy`. Out: finetune/planning/race/experience.csv. Runs that
stand in its own log are
not repeated, so that the same command goes on where it was stopped.
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
from finetune.experiment.setup import prepare, read_recipe
from finetune.planning.choose import race_strategies
from finetune.planning.measure import measure_evidence
from finetune.planning.race.belief import measure
from finetune.planning.race.experience import RACERS, SEEN
from finetune.planning.table import find_cell
from finetune.probes.folds import deal_folds

RECORD = FOLDER / "experience.jsonl"
DRAW = 0
"""Of the others no row is taken: they show how the choice does on draws that it does not know."""
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
    run_all(tasks, race_once, RECORD)
    whole = {
        (line["data"], line["images"], line["way"]): line["accuracy"]
        for line in read_log(log_of(SPEC))
        if line["draw"] == DRAW
    }
    with SEEN.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for line in read_log(RECORD):
            ran = {name: whole[line["data"], line["images"], name] for name in RACERS}
            found = {f"whole_{name}": round(value, PLACES) for name, value in ran.items()}
            row = {name: line[name] for name in COLUMNS if name in line} | found
            writer.writerow(row | {"images": line["images"] or "all"})
    print(f"wrote {SEEN}")


def race_once(task: Images) -> Line:
    """The whole race of one cell: what each strategy's short run got of the left-out images."""
    with tempfile.TemporaryDirectory() as cache:
        recipe = read_recipe(
            task.spec, task.folder, values(DRAW, cache, near_weights=task.classes is not None)
        )
        splits = draw_images(recipe, classes=task.classes, images=task.images, seed=DRAW)
        setup = prepare(recipe, splits)
        evidence = measure_evidence(setup)
        cell = find_cell(evidence.images_a_class, evidence.similar)
        race, _, _ = race_strategies(setup, evidence, cell, worth=-math.inf)
    shares, _ = measure(race.seen)
    folds = deal_folds(setup.train.split.targets, seed=setup.settings.seed)[0][: race.rounds]
    asked = int(np.isfinite(race.seen[RACERS[-1]]).sum())
    return {
        "similarity": cell[1],
        "tested": len(setup.test),
        **{f"short_{name}": round(float(value), PLACES) for name, value in zip(RACERS, shares, strict=True)},
        "asked": asked,
        "seconds": round(race.seconds, 1),
        "chance": race.chance,
        "hits": {name: np.round(race.seen[name], PLACES).tolist() for name in RACERS},
        "rounds": [left.tolist() for _, left in folds],
    }


if __name__ == "__main__":
    main()
