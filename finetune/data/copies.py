"""Images that show the same picture: equal files, and near duplicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from finetune.data.alike import find_alike
from finetune.data.source import Item


@dataclass(frozen=True)
class Copies:
    """By the key of an image: its `equal` files, and those that are `near` to it; only images with some."""

    equal: dict[str, list[Item]] = field(default_factory=dict)
    near: dict[str, list[Item]] = field(default_factory=dict)

    def of(self, item: Item) -> list[Item]:
        """Return what shows the same picture as this image."""
        key = item.image.key
        return [*self.equal.get(key, ()), *self.near.get(key, ())]


def find_copies(items: Sequence[Item]) -> Copies:
    """Return the copies among scanned items."""
    by_digest: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_digest[item.image.digest()].append(item)
    copies = Copies()
    for same in by_digest.values():
        for item in same if len(same) > 1 else ():
            copies.equal[item.image.key] = [other for other in same if other is not item]
    for left, right in find_alike([item.look for item in items]).tolist():
        if items[left].image.digest() != items[right].image.digest():
            copies.near.setdefault(items[left].image.key, []).append(items[right])
            copies.near.setdefault(items[right].image.key, []).append(items[left])
    return copies


def group_copies(items: Sequence[Item], copies: Copies, apart: Collection[int] = ()) -> list[tuple[int, ...]]:
    """Return the items as groups of rows: copies together, and copies of copies; most groups hold one row.

    Near duplicates in the strata `apart` are not grouped.
    """
    from scipy.sparse import coo_matrix  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    rows = {item.image.key: row for row, item in enumerate(items)}
    links = []
    for row, item in enumerate(items):
        near = copies.near.get(item.image.key, []) if item.stratum not in apart else []
        together = [
            *copies.equal.get(item.image.key, []),
            *(each for each in near if each.stratum not in apart),
        ]
        links += [(row, rows[other.image.key]) for other in together if other.image.key in rows]
    left, right = np.array(links, np.int64).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(left)), (left, right)), shape=(len(items), len(items)))
    groups: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(connected_components(graph, directed=False)[1].tolist()):
        groups[group].append(row)
    return [tuple(members) for members in groups.values()]
