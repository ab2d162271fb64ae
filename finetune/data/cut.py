"""Cutting the validation and test images from the training images, stratum by stratum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from finetune.data.images import DataError
from finetune.data.source import Item, Pool, shorten_list


def cut_splits(pool: Pool, shares: Mapping[str, float], seed: int, where: str) -> dict[str, list[Item]]:
    """Return the pool's splits, and those in `shares`: about that share of each stratum, at least one image.

    Which images are taken depends on the seed, and on the stratum's index and images. Copies of an image stay
    together, so that no validation image was trained on. Every split keeps the order of the source.
    Raises: DataError where a stratum has too few images.
    """
    train = pool.splits["train"]
    rows: dict[int, list[int]] = defaultdict(list)
    for row, item in enumerate(train):
        rows[item.stratum].append(row)
    groups = {stratum: _group_copies([train[row] for row in of]) for stratum, of in rows.items()}
    _check_counts(groups, pool.classes, tuple(shares), where)
    taken: dict[int, str] = {}
    for stratum, of in rows.items():
        rng = np.random.default_rng([seed, stratum])
        for position, split in draw_groups(groups[stratum], shares, rng).items():
            taken[of[position]] = split
    parts = {name: [item for row, item in enumerate(train) if taken.get(row) == name] for name in shares}
    rest = [item for row, item in enumerate(train) if row not in taken]
    return {**pool.splits, **parts, "train": rest}


def draw_groups(
    groups: list[list[int]], shares: Mapping[str, float], rng: np.random.Generator
) -> dict[int, str]:
    """Return the split in `shares` for the positions that are taken; every split gets at least one group.

    A group larger than the whole share stays in train, as long as other groups are left.
    """
    total = sum(map(len, groups))
    order = [groups[i] for i in rng.permutation(len(groups))]
    taken: dict[int, str] = {}
    for splits_left, (split, share) in zip(reversed(range(len(shares))), shares.items(), strict=True):
        wanted = max(1, round(share * total))
        count = 0
        while count < wanted and len(order) > 1 + splits_left:
            last = next((i for i in reversed(range(len(order))) if len(order[i]) <= wanted), None)
            if last is None and count:
                break
            smallest = min(range(len(order)), key=lambda i: len(order[i]))
            group = order.pop(smallest if last is None else last)
            taken.update(dict.fromkeys(group, split))
            count += len(group)
    return taken


def find_copies(where: str, splits: Mapping[str, Sequence[Item]], classes: Sequence[str]) -> Iterator[str]:
    """Yield a warning for images that are in two splits, and one for images that are in two classes."""
    copies: dict[str, list[tuple[str, Item]]] = defaultdict(list)
    for split, items in splits.items():
        for item in items:
            copies[item.image.digest()].append((split, item))
    leaks = [found for found in copies.values() if len({split for split, _ in found}) > 1]
    clashes = [found for found in copies.values() if len({item.stratum for _, item in found}) > 1]
    if leaks:
        yield (
            f"{where}: images in more than one split, which makes scores look better than they are: "
            f"{len(leaks)}, such as {_example(leaks[0])}"
        )
    if clashes:
        names = ", ".join(classes[item.stratum] for _, item in clashes[0][:2])
        example = _example(clashes[0])
        yield f"{where}: images in more than one class: {len(clashes)}, such as {example} ({names})"


def _example(found: Sequence[tuple[str, Item]]) -> str:
    return " = ".join(item.image.name for _, item in found[:2])


def _group_copies(items: Sequence[Item]) -> list[list[int]]:
    """Return the positions of the items, those with the same content together."""
    groups: dict[str, list[int]] = defaultdict(list)
    for position, item in enumerate(items):
        groups[item.image.digest()].append(position)
    return list(groups.values())


def _check_counts(
    groups: Mapping[int, list[list[int]]], classes: Sequence[str], splits: Sequence[str], where: str
) -> None:
    needed = 1 + len(splits)
    few = {stratum: len(found) for stratum, found in sorted(groups.items()) if len(found) < needed}
    if not few:
        return
    names = " and ".join(["train", *splits])
    hint = "; data.test: 0 does without test images" if "test" in splits else ""
    if len(groups) == 1:
        raise DataError(
            f"{where}: {few.popitem()[1]} different images are too few for {names}; add images{hint}"
        )
    raise DataError(
        f"{where}: each class needs {needed} different images or more, one each for {names}; too few in "
        f"{shorten_list(f'{classes[stratum]} ({count})' for stratum, count in few.items())}. Add images{hint}"
    )
