"""The label column of a table: whole numbers or strings to class indices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finetune.data.errors import DataError
from finetune.data.names import check_distinct
from finetune.data.natural import natural_key

if TYPE_CHECKING:
    from datasets import Dataset

SHOWN = 5
UNLABELLED = -1  # what the hub's data sets write where labels are held back


@dataclass(frozen=True)
class Labels:
    """Classes in order, and for each split its class indices, int64 (rows,)."""

    classes: tuple[str, ...]
    targets: dict[str, NDArray[np.int64]]
    warnings: tuple[str, ...]


def read_labels(
    where: str, tables: Mapping[str, Dataset], column: str, names: tuple[str, ...] | None
) -> Labels:
    """Labels of every split under one list of classes; named classes without an image are dropped.

    `names` name the labels 0, 1, 2 …; without them the table's own names are taken, or the labels themselves.
    Raises: DataError for labels that are missing, of another type, or outside the names.
    """
    own = {f"{where}, {split}": own_names(table.features[column]) for split, table in tables.items()}
    named = names or agreed_names(own)
    values = {split: _values(f"{where}, {split}", table, column) for split, table in tables.items()}
    warnings = []
    for split in [s for s, labels in values.items() if s != "train" and _unlabelled(labels)]:
        warnings.append(f"{where}: the {split} split has no labels and was left out")
        del values[split]
    _check_kinds(where, values)
    used = sorted({label for labels in values.values() for label in labels.tolist()}, key=_order)
    if named is not None:
        _check_names(where, named, used)
        unused = [name for i, name in enumerate(named) if i not in set(used)]
        if unused:
            some = ", ".join(unused[:SHOWN])
            warnings.append(f"{where}: {len(unused)} named classes have no image and were dropped: {some}")
    classes = tuple(str(label) if named is None else named[int(label)] for label in used)
    index = {label: i for i, label in enumerate(used)}
    targets = {
        split: np.array([index[label] for label in labels.tolist()], np.int64)
        for split, labels in values.items()
    }
    return Labels(classes, targets, tuple(warnings))


def own_names(feature: object) -> tuple[str, ...] | None:
    """The names that a column of labels carries itself, in the order of their numbers."""
    names = getattr(feature, "names", None)
    return tuple(names) if names else None


def agreed_names(found: Mapping[str, tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """The names that files or splits give their labels, those that give any. Raises: DataError."""
    given = [(where, names) for where, names in found.items() if names]
    for where, names in given[1:]:
        if names != given[0][1]:
            (first, others), shown = given[0], slice(SHOWN)
            raise DataError(
                f"{first}: the labels 0, 1, 2 … are {', '.join(others[shown])}; in {where} they are "
                f"{', '.join(names[shown])}; expected: one order of names, or data.class_names"
            )
    return given[0][1] if given else None


def _values(where: str, table: Dataset, column: str) -> NDArray[np.generic]:
    kind = getattr(table.features[column], "dtype", None) or str(table.features[column])
    if not kind.lstrip("u").startswith(("int", "bool", "string", "large_string")):
        raise DataError(f"{where}: labels are {kind}; whole numbers or strings are understood")
    cells = table.data.column(column)
    if cells.null_count:
        raise DataError(f"{where}: {cells.null_count} rows have no label")
    values: NDArray[np.generic] = cells.to_numpy()
    return values


def _check_kinds(where: str, values: Mapping[str, NDArray[np.generic]]) -> None:
    kinds = {split: "strings" if labels.dtype.kind == "O" else "numbers" for split, labels in values.items()}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{split} has {kind}" for split, kind in kinds.items())
        raise DataError(f"{where}: labels of one kind are wanted in all splits; {told}")


def _unlabelled(labels: NDArray[np.generic]) -> bool:
    return len(labels) > 0 and labels.dtype.kind == "i" and bool((labels == UNLABELLED).all())


def _order(label: object) -> tuple[object, ...]:
    return natural_key(label) if isinstance(label, str) else (label,)


def _check_names(where: str, names: tuple[str, ...], used: list[object]) -> None:
    check_distinct(where, names)
    wrong = [label for label in used if not (isinstance(label, int) and 0 <= label < len(names))]
    if wrong:
        raise DataError(
            f"{where}: {len(names)} class names stand for labels 0 to {len(names) - 1}; "
            f"found {', '.join(map(str, wrong[:SHOWN]))}"
        )
