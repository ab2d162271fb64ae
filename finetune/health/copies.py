"""Findings about copies of one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finetune.data.copies import Copies, group_copies
from finetune.data.source import Item
from finetune.health.finding import Finding


def find_repeated(
    items: Sequence[Item], splits: Sequence[str], classes: Sequence[str], copies: Copies
) -> Iterator[Finding]:
    """Yield a finding for each image that shows the same picture as an image before it.

    In: the items, and the split of each (`""` where the data has none). Copies in several classes, in several
    splits and within one class are findings of three kinds. Only equal files of one class and split are
    marked to be left out.
    """
    split_of = {item.image.key: split for item, split in zip(items, splits, strict=True)}
    for rows in group_copies(items, copies):
        for row in rows[1:]:
            item, first = items[row], items[rows[0]]
            others = copies.of(item)
            other = first if first in others else others[0]
            split, place = split_of[item.image.key], split_of[other.image.key]
            equal = item.image.digest() == other.image.digest()
            kind = "leak" if split != place else "copy"
            if item.stratum != other.stratum:
                kind = "classes"
            yield Finding(
                kind,
                image=item.image.name,
                label=_name(item, classes),
                split=split,
                detail=_describe(equal, item, other, place, classes),
                other=other.image.name,
                score=float(equal),
                exclude=equal and kind == "copy",
            )


def _describe(equal: bool, item: Item, other: Item, split: str, classes: Sequence[str]) -> str:
    words = "equal files" if equal else "the same picture, stored differently"
    if item.stratum != other.stratum:
        words += f"; the other is in class {classes[other.stratum]}"
    return words + (f"; the other is in {split}" if split else "")


def _name(item: Item, classes: Sequence[str]) -> str:
    return classes[item.target] if isinstance(item.target, int) else ""
