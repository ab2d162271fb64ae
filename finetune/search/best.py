"""The best trial as a spec, which extends the spec that was searched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import zoo
from finetune.records.run_folder import write_text
from finetune.search.check import without_search
from finetune.search.record import Trial
from finetune.search.space import override_values
from zoo.spec.yaml import to_yaml

BASE, BEST = "base.yaml", "best.yaml"
FINETUNE = "finetune"


def write_best(recipe: zoo.Spec, best: Trial, epochs: int, score: str, folder: Path) -> Path:
    """Write `base.yaml`, the spec as given, and `best.yaml`, which extends it. Out: the path of the latter.

    `best.yaml` trains in full; with finetune.epochs set to the `epochs` of a trial it repeats the trial.
    """
    path, bare = folder / BEST, without_search(recipe)
    base = yaml.safe_load(bare.to_yaml())
    values = _whole_settings(yaml.safe_load(override_values(bare, best.values).to_yaml()), best.values)
    for key, value in values.items():
        if isinstance(value, dict):  # extending would merge the two mappings
            _remove(base, key.split("."))
    write_text(folder / BASE, f"# What was searched; {BEST} extends it.\n{to_yaml(base)}")
    found: dict[str, Any] = {"extends": path.with_name(BASE).stem, "name": f"{recipe.name}_best"}
    for key, value in values.items():
        _put(found, key.split("."), value)
    write_text(
        path,
        f"# Trial {best.number}: validation {score} {best.score:.4f} after {epochs} epochs.\n"
        f"# Train it in full:      graft finetune {path}\n"
        f"# Repeat only the trial:  graft finetune {path} --set finetune.epochs={epochs}\n{to_yaml(found)}",
    )
    return path


def _whole_settings(resolved: Mapping[str, Any], values: Mapping[str, object]) -> dict[str, object]:
    """Return the values; where one is part of a setting, the whole setting of the best trial.

    A setting such as `finetune.clip` is one of several kinds, and parts of two kinds cannot be merged.
    """
    whole: dict[str, object] = {}
    for key, value in values.items():
        section, *path = key.split(".")
        if section == FINETUNE and len(path) > 1:
            whole[f"{section}.{path[0]}"] = resolved[section][path[0]]
        else:
            whole[key] = value
    return whole


def _put(document: dict[str, Any], parts: list[str], value: object) -> None:
    for part in parts[:-1]:
        document = document.setdefault(part, {})
    document[parts[-1]] = value


def _remove(document: Mapping[str, Any], parts: list[str]) -> None:
    node: Any = document
    for part in parts[:-1]:
        node = node.get(part) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(parts[-1], None)
