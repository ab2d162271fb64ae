"""Images that the user leaves out by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from files.paths import expand_home
from finetune.data.images import DataError
from finetune.data.source import Pool, shorten_list
from finetune.data.sources.rows import read_csv

IMAGE, EXCLUDE = "image", "exclude"
"""Columns of a table of findings: the image, and whether it is to be left out."""
YES = ("yes", "y", "true", "1", "x")


def exclude_images(pool: Pool, path: str | None, where: str) -> Pool:
    """Return the pool without the images that the file lists, by their names or their keys.

    Raises: DataError for a file that cannot be read, or that names none of the images.
    """
    if path is None:
        return pool
    file = expand_home(path)
    listed = read_excluded(file)
    splits = {
        split: [item for item in items if not {item.image.key, item.image.name} & listed]
        for split, items in pool.splits.items()
    }
    before, after = (sum(map(len, parts.values())) for parts in (pool.splits, splits))
    found = {
        name for items in pool.splits.values() for item in items for name in (item.image.key, item.image.name)
    }
    unknown = sorted(listed - found)
    if listed and before == after:
        raise DataError(
            f"{file} (data.exclude): none of its {len(listed)} names is an image of {where}, such as "
            f"{unknown[0]}; expected paths as graft health writes them, or within the folder"
        )
    warnings = [f"{where}: images that data.exclude leaves out: {before - after}"] if before > after else []
    if unknown:
        warnings.append(
            f"{file} (data.exclude): names that are no image of {where}: {len(unknown)}, such as "
            f"{shorten_list(unknown[:1])}"
        )
    return replace(pool, splits=splits, warnings=(*pool.warnings, *warnings))


def read_excluded(file: Path) -> set[str]:
    """Return the names in a file: its lines, or of a table of findings the rows that say `exclude: yes`.

    Raises: DataError.
    """
    if file.suffix.lower() == ".csv":
        columns = read_csv(file)
        if IMAGE not in columns:
            raise DataError(
                f"{file} (data.exclude): no column '{IMAGE}'; its columns: {', '.join(columns)}; expected "
                "the findings of graft health, or a text file with a path in each line"
            )
        marks = columns.get(EXCLUDE, [YES[0]] * len(columns[IMAGE]))
        return {
            name for name, mark in zip(columns[IMAGE], marks, strict=True) if name and mark.lower() in YES
        }
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} (data.exclude): cannot be read as text: {error}") from error
    return {line.strip() for line in lines if line.strip()}
