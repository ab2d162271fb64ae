"""Cutting the validation and test images from the training images by their content, stratum by stratum.

Every group of copies has a place between 0 and 1, which follows from its content and the seed alone. The
lowest places of a stratum are for testing, the highest for validation, the rest for training. Each part takes
what lies within its share, but no less than half and no more than twice that share, and at least one group.
So nothing else moves when images or classes are added or renamed, as long as a part is within these bounds;
where it is not, at most one group of the stratum moves for each part.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.data.copies import Copies, group_copies
from finetune.data.images import DataError
from finetune.data.source import Item, shorten_list

LEAST, MOST = 0.5, 2.0
"""The fewest and the most groups of a part, in shares of what it should have."""
FROM_THE_TOP = "val"


@dataclass(frozen=True)
class Group:
    """The images of a group, as rows, and its place from 0 to 1."""

    place: float
    rows: tuple[int, ...]


def cut_splits(
    items: Sequence[Item],
    copies: Copies,
    shares: Mapping[str, float],
    seed: int,
    *,
    classes: Sequence[str],
    where: str,
) -> tuple[dict[str, list[Item]], list[str]]:
    """Return the splits in `shares`, about that share of each stratum, and `train`, which is the rest.

    Copies stay together, unless a stratum has little else, as where its images are frames of one video: then
    only equal files do, and a sentence says so. Every split keeps the order of the items.
    Raises: DataError where a stratum has too few groups.
    """
    if not shares:
        return {"train": [*items]}, []
    whole = sorted({item.stratum for item in items})
    strata = _by_stratum(items, group_copies(items, copies), seed)
    near = {item.stratum for item in items if item.image.key in copies.near}
    apart = [each for each in whole if each in near and not _is_varied(strata[each], shares)]
    if apart:
        strata = _by_stratum(items, group_copies(items, copies, apart), seed)
    shared = [each for each in whole if len(strata[each]) <= len(shares)]
    if shared:
        strata = _by_stratum(items, group_copies(items, copies, apart), seed, shared)
    _check_counts({stratum: len(strata[stratum]) for stratum in whole}, classes, shares, where)
    taken: dict[int, str] = {}
    for groups in strata.values():
        taken |= _take(groups, shares)
    names = ("train", *shares)
    parts = {
        name: [item for row, item in enumerate(items) if taken.get(row, "train") == name] for name in names
    }
    named = [classes[stratum] if len(whole) > 1 else "all of them" for stratum in apart]
    if named:
        return parts, [*_describe_apart(named, where)]
    return parts, [*_describe_copies(parts, copies, where)]


def place_of(digest: str, seed: int) -> float:
    """Return the place of an image, from 0 to 1, evenly spread over all contents."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{digest}".encode()).digest()[:8]) / 2**64


def _take(groups: Sequence[Group], shares: Mapping[str, float]) -> dict[int, str]:
    """Return the split of each row of a stratum that is not for training."""
    ordered = _movable(groups, shares)
    count, all_move = len(ordered), len(ordered) == len(groups)
    rest = 1 - sum(shares.values())
    most = min(MOST, 1 + rest / (2 * sum(shares.values())))  # training keeps half of its share or more
    left = count - all_move
    taken: dict[int, str] = {}
    for later, (split, share) in zip(reversed(range(len(shares))), shares.items(), strict=True):
        top = split == FROM_THE_TOP
        within = sum(group.place >= 1 - share if top else group.place < share for group in ordered)
        fewest = max(1, math.floor(LEAST * share * count))
        wanted = min(max(within, fewest), max(1, math.floor(most * share * count)), left - later)
        left -= wanted
        for group in ordered[count - wanted :] if top else ordered[:wanted]:
            taken.update(dict.fromkeys(group.rows, split))
    return taken


def _movable(groups: Sequence[Group], shares: Mapping[str, float]) -> list[Group]:
    """Return the groups that need not stay in training, by their places.

    A group larger than the smallest share stays, as long as others are left.
    """
    total = sum(len(group.rows) for group in groups)
    limit = max(1, math.floor(min(shares.values()) * total))
    by_size = sorted(groups, key=lambda group: (len(group.rows) > limit, len(group.rows), group.place))
    small = sum(len(group.rows) <= limit for group in groups)
    kept = by_size[: max(small, len(shares))]
    return sorted(kept, key=lambda group: group.place)


def _is_varied(groups: Sequence[Group], shares: Mapping[str, float]) -> bool:
    """Return whether the groups that need not stay in training hold enough images for the shares."""
    total = sum(len(group.rows) for group in groups)
    movable = sum(len(group.rows) for group in _movable(groups, shares))
    return len(groups) > len(shares) and movable >= LEAST * sum(shares.values()) * total


def _describe_copies(parts: Mapping[str, Sequence[Item]], copies: Copies, where: str) -> Iterator[str]:
    near = [item for items in parts.values() for item in items if item.image.key in copies.near]
    if near:
        other = copies.near[near[0].image.key][0].image.name
        yield (
            f"{where}: near duplicates, which are kept in one split: {len(near)} images, such as "
            f"{near[0].image.name} = {other}"
        )


def _describe_apart(apart: Sequence[str], where: str) -> Iterator[str]:
    if apart:
        yield (
            f"{where}: nearly all images show the same few pictures, as frames of one video do "
            f"({shorten_list(apart)}). They are divided one by one, so scores look better than they are on "
            "new images"
        )


def _by_stratum(
    items: Sequence[Item], groups: Sequence[tuple[int, ...]], seed: int, shared: Collection[int] = ()
) -> dict[int, list[Group]]:
    """Return the groups of each stratum; a group of several strata belongs to the smallest of them.

    Strata in `shared`, whose images are in other strata too, have their own part of each group.
    """
    sizes = np.bincount([item.stratum for item in items])
    found: dict[int, list[Group]] = defaultdict(list)
    for rows in groups:
        place = place_of(min(items[row].image.digest() for row in rows), seed)
        parts: dict[int | None, list[int]] = defaultdict(list)
        for row in rows:
            parts[items[row].stratum if items[row].stratum in shared else None].append(row)
        for part in parts.values():
            owner = min((items[row].stratum for row in part), key=lambda each: (sizes[each], each))
            found[owner].append(Group(place, tuple(part)))
    return found


def _check_counts(
    counts: Mapping[int, int], classes: Sequence[str], shares: Mapping[str, float], where: str
) -> None:
    needed = 1 + len(shares)
    few = {stratum: count for stratum, count in counts.items() if count < needed}
    if not few:
        return
    names = " and ".join(["train", *shares])
    hint = "; data.test: 0 does without test images" if "test" in shares else ""
    if len(counts) == 1:
        raise DataError(
            f"{where}: {few.popitem()[1]} different images are too few for {names}; add images{hint}"
        )
    raise DataError(
        f"{where}: each class needs {needed} different images or more, one each for {names}; too few in "
        f"{shorten_list(f'{classes[stratum]} ({count})' for stratum, count in few.items())}. Add images{hint}"
    )
