"""The best trial as a spec."""

from __future__ import annotations

from pathlib import Path

import zoo
from finetune.records.files import write_text
from finetune.search.check import without_search
from finetune.search.record import Trial
from finetune.search.space import label, override_values

BEST = "best.yaml"


def write_best(recipe: zoo.Spec, best: Trial, epochs: int, score: str, folder: Path) -> Path:
    """Write `best.yaml`, the spec that was searched with the values of the best trial. Out: its path.

    It trains in full; with finetune.epochs set to the `epochs` of a trial it repeats the trial.
    """
    path = folder / BEST
    spec = override_values(without_search(recipe), best.values)
    values = "".join(f"#   {key}: {label(value)}\n" for key, value in best.values.items())
    write_text(
        path,
        f"# Trial {best.number}: validation {score} {best.score:.4f} after {epochs} epochs with\n{values}"
        f"# Train it in full:      graft finetune {path}\n"
        f"# Repeat only the trial:  graft finetune {path} --set finetune.epochs={epochs}\n"
        f"{zoo.override(spec, {'name': f'{recipe.name}_best'}).to_yaml()}",
    )
    return path
