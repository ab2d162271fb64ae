"""The label column of a table: whole numbers or strings to class indices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finetune.data.images import DataError
from finetune.data.names import check_distinct, natural_key
from finetune.data.source import MAX_SHOWN, shorten_list

if TYPE_CHECKING:
    from datasets import Dataset

UNLABELLED = -1  # what data sets of the hub hold where labels are kept back


@dataclass(frozen=True)
class Labels:
    """Classes in order, and the class indices of each split, int64 (rows,).

    `named` is False where the labels are numbers without names.
    """

    classes: tuple[str, ...]
    targets: dict[str, NDArray[np.int64]]
    warnings: tuple[str, ...]
    named: bool


def read_labels(
    where: str, tables: Mapping[str, Dataset], column: str, names: tuple[str, ...] | None
) -> Labels:
    """Return the labels of every split under one list of classes; named classes without an image are dropped.

    `names` are the names of the labels 0, 1, 2 …; by default the table's own, or else the labels themselves.
    Raises: DataError for labels that are missing, of another type, or outside the names.
    """
    own = {f"{where}, {split}": own_names(table.features[column]) for split, table in tables.items()}
    values = {split: _read_column(f"{where}, {split}", table, column) for split, table in tables.items()}
    unlabelled = [split for split, labels in values.items() if split != "train" and _is_unlabelled(labels)]
    warnings = tuple(f"{where}: the {split} split has no labels and was left out" for split in unlabelled)
    values = {split: labels for split, labels in values.items() if split not in unlabelled}
    found = index_labels(where, values, names or agreed_names(own))
    return replace(found, warnings=(*warnings, *found.warnings))


def index_labels(
    where: str, values: Mapping[str, NDArray[np.generic]], known: tuple[str, ...] | None
) -> Labels:
    """Return the labels of every split, numbers or strings (rows,), under one list of classes.

    `known` are the names of the labels 0, 1, 2 …; those without an image are dropped.
    Raises: DataError for labels of several kinds, or outside the names.
    """
    _check_kinds(where, values)
    warnings = []
    used = sorted({label for labels in values.values() for label in labels.tolist()}, key=_sort_key)
    if known is not None:
        _check_names(where, known, used)
        unused = [name for i, name in enumerate(known) if i not in set(used)]
        if unused:
            some = shorten_list(unused)
            warnings.append(f"{where}: {len(unused)} named classes have no image and were dropped: {some}")
    classes = tuple(str(label) if known is None else known[int(label)] for label in used)
    index = {label: i for i, label in enumerate(used)}
    targets = {
        split: np.array([index[label] for label in labels.tolist()], np.int64)
        for split, labels in values.items()
    }
    named = known is not None or all(isinstance(label, str) for label in used)
    return Labels(classes, targets, tuple(warnings), named)


def own_names(feature: object) -> tuple[str, ...] | None:
    """Return the names that a column of labels holds itself, in the order of their numbers."""
    names = getattr(feature, "names", None)
    return tuple(names) if names else None


def agreed_names(found: Mapping[str, tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """Return the names that all files or splits with names give their labels. Raises: DataError."""
    given = [(where, names) for where, names in found.items() if names]
    for where, names in given[1:]:
        first, expected = given[0]
        if names != expected:
            raise DataError(
                f"{first}: the labels 0, 1, 2 … are {shorten_list(expected)}; in {where} they are "
                f"{shorten_list(names)}; expected: one order of names, or data.class_names"
            )
    return given[0][1] if given else None


def _read_column(where: str, table: Dataset, column: str) -> NDArray[np.generic]:
    kind = getattr(table.features[column], "dtype", None) or str(table.features[column])
    if not kind.lstrip("u").startswith(("int", "bool", "string", "large_string")):
        raise DataError(f"{where}: labels are {kind}; expected whole numbers or strings")
    cells = table.data.column(column)
    if cells.null_count:
        raise DataError(f"{where}: {cells.null_count} rows have no label")
    values: NDArray[np.generic] = cells.to_numpy()
    return values


def _check_kinds(where: str, values: Mapping[str, NDArray[np.generic]]) -> None:
    kinds = {split: "strings" if labels.dtype.kind == "O" else "numbers" for split, labels in values.items()}
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{split} has {kind}" for split, kind in kinds.items())
        raise DataError(f"{where}: {found}; expected labels of one kind in all splits")


def _is_unlabelled(labels: NDArray[np.generic]) -> bool:
    return len(labels) > 0 and labels.dtype.kind == "i" and bool((labels == UNLABELLED).all())


def _sort_key(label: object) -> tuple[object, ...]:
    return natural_key(label) if isinstance(label, str) else (label,)


def _check_names(where: str, names: tuple[str, ...], used: list[object]) -> None:
    check_distinct(where, names)
    wrong = [label for label in used if not (isinstance(label, int) and 0 <= label < len(names))]
    if wrong:
        raise DataError(
            f"{where}: {len(names)} class names stand for labels 0 to {len(names) - 1}; "
            f"found {', '.join(map(str, wrong[:MAX_SHOWN]))}"
        )
