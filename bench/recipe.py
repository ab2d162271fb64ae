"""`make bench-recipe`: what each technique is worth, trained from scratch on little data.

Every line of the table is a run with nothing but that technique, or the default recipe. Runs that stand in
the log are not repeated, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.document import machine, spread, write_between
from bench.pool import Line, read_log, run_all
from bench.techniques import MORE, NOTHING, TECHNIQUES, Overrides
from bench.trial import QUIET, load, measure
from finetune.experiment.recipe import read_recipe

SPEC = "resnet_tiny"
SEEDS = (0, 1, 2)
LOG = Path("runs/bench/recipe.jsonl")
DOCUMENT = Path("docs/recipe.md")
EVERY: Mapping[str, Overrides] = {**TECHNIQUES, **MORE}
CLASSES, IMAGES = 20, 5000
SHARED: Mapping[str, object] = {
    **QUIET,
    "layers.conv1.conv.out": 8,
    "layers.layer1.with.out": 8,
    "layers.layer2.with.out": 16,
    "layers.layer3.with.out": 32,
    "finetune.strategy": "scratch",
    "finetune.weights": "none",
    "finetune.precision": "float32",
    "finetune.patience": "none",
}
"""What all runs have in common, the default recipe too."""


@dataclass(frozen=True)
class Task:
    """One run: a technique on a data set with a seed. `folder` None stands for the builtin digits."""

    data: str
    folder: str | None
    epochs: int
    technique: str
    seed: int


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", help="folder of Tiny ImageNet's parquet files; without it, the digits alone"
    )
    parser.add_argument("--all", action="store_true", help="more techniques: as much work again")
    given = parser.parse_args()
    run_all(list(all_tasks(given.data, EVERY if given.all else TECHNIQUES)), train_one, LOG)
    write_between(DOCUMENT, "recipe", f"{machine()}\n\n{table(read_log(LOG))}")


def all_tasks(data: str | None, techniques: Mapping[str, Overrides]) -> Iterator[Task]:
    """Every run: both data sets, all techniques, all seeds; a seed of all before the next."""
    sets: list[tuple[str, str | None, int]] = [("digits", None, 12)]
    if data is not None:
        sets.append(("Tiny ImageNet", str(subset(Path(data).expanduser(), LOG.parent / "subset")), 8))
    for seed in SEEDS:
        for technique in techniques:
            yield from (Task(name, folder, epochs, technique, seed) for name, folder, epochs in sets)


def train_one(task: Task) -> Line:
    """Train with the technique, and test on images that neither training nor the best epoch's choice saw."""
    more = {"finetune.epochs": task.epochs, "finetune.seed": task.seed}
    recipe = read_recipe(SPEC, task.folder, {**SHARED, **EVERY[task.technique], **more})
    return measure(recipe, load(recipe))


def subset(data: Path, out: Path) -> Path:
    """Every tenth class of Tiny ImageNet: 250 images each to train on, its validation images to test on."""
    if (out / "classes.json").exists():
        return out
    names = json.loads((data / "classes.json").read_text())
    kept = list(range(0, len(names), len(names) // CLASSES))[:CLASSES]
    place = {label: index for index, label in enumerate(kept)}
    out.mkdir(parents=True, exist_ok=True)
    for split, target, most in (("train", "train", IMAGES // CLASSES), ("val", "test", IMAGES)):
        table = pa.concat_tables([pq.read_table(path) for path in sorted(data.glob(f"{split}*.parquet"))])
        labels = table["label"].to_numpy()
        rows = np.concatenate([np.flatnonzero(labels == label)[:most] for label in kept])
        chosen = table.take(rows)
        renamed = pa.array([place[int(label)] for label in labels[rows]])
        chosen = chosen.set_column(chosen.schema.get_field_index("label"), "label", renamed)
        pq.write_table(chosen, out / f"{target}.parquet")
    (out / "classes.json").write_text(json.dumps([names[label] for label in kept]))
    return out


def table(lines: list[Line]) -> str:
    """Mean and deviation over the seeds, in points, best gain over nothing last."""
    sets = sorted({str(line["data"]) for line in lines}, reverse=True)
    found: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        found.setdefault((str(line["data"]), str(line["technique"])), []).append(
            100 * float(str(line["accuracy"]))
        )
    rows = [f"| | {' | '.join(f'{name} | gain' for name in sets)} |", "|---|" + "---:|---:|" * len(sets)]
    for technique in (name for name in EVERY if any(line["technique"] == name for line in lines)):
        cells = []
        for name in sets:
            values, base = found.get((name, technique), []), found.get((name, NOTHING), [])
            cells.append(f"{spread(values)} | {gain(values, base)}")
        rows.append(f"| {technique} | {' | '.join(cells)} |")
    return "\n".join(rows)


def gain(values: list[float], base: list[float]) -> str:
    """`+1.2`."""
    return f"{mean(values) - mean(base):+.1f}" if values and base else "—"


if __name__ == "__main__":
    main()
