"""Cutting the validation and test images from the training images, class by class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from finetune.data.errors import DataError
from finetune.data.images import ImageSource
from finetune.data.pool import Labelled, Pool

SHOWN = 5


def cut_splits(pool: Pool, shares: Mapping[str, float], seed: int) -> dict[str, list[Labelled]]:
    """The given splits and those in `shares`, of about that share of each class and one image at least.

    Which image goes where depends on the seed, and on the class's place and images. Copies of one image stay
    together, so that no validation image has been trained on. Every split keeps the order of the source.
    Raises: DataError where a class has too few images.
    """
    by_class: dict[int, list[int]] = defaultdict(list)
    train = pool.given["train"]
    for i, labelled in enumerate(train):
        by_class[labelled.target].append(i)
    groups = {
        target: group_copies([train[i].image for i in by_class[target]])
        for target in range(len(pool.classes))
    }
    _check_counts(pool, groups, shares)
    taken: dict[int, str] = {}
    for target, members in by_class.items():
        rng = np.random.default_rng([seed, target])
        for local, split in draw_groups(groups[target], shares, rng).items():
            taken[members[local]] = split
    parts = {name: [item for i, item in enumerate(train) if taken.get(i) == name] for name in shares}
    rest = [item for i, item in enumerate(train) if i not in taken]
    return {**pool.given, **parts, "train": rest}


def group_copies(images: Sequence[ImageSource]) -> list[list[int]]:
    """Positions of the images, those with one content together."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        groups[image.digest()].append(i)
    return list(groups.values())


def draw_groups(
    groups: list[list[int]], shares: Mapping[str, float], rng: np.random.Generator
) -> dict[int, str]:
    """Which positions go to which split in `shares`; every split, train too, gets one group at least.

    Copies in numbers beyond a whole share stay in train, as long as other images are left.
    """
    total = sum(map(len, groups))
    order = [groups[i] for i in rng.permutation(len(groups))]
    taken: dict[int, str] = {}
    for still_to_come, (split, share) in zip(reversed(range(len(shares))), shares.items(), strict=True):
        wanted = max(1, round(share * total))
        count = 0
        while count < wanted and len(order) > 1 + still_to_come:
            last = next((i for i in reversed(range(len(order))) if len(order[i]) <= wanted), None)
            if last is None and count:
                break
            group = order.pop(_smallest(order) if last is None else last)
            taken.update(dict.fromkeys(group, split))
            count += len(group)
    return taken


def _smallest(groups: list[list[int]]) -> int:
    return min(range(len(groups)), key=lambda i: len(groups[i]))


def _check_counts(pool: Pool, groups: Mapping[int, list[list[int]]], shares: Mapping[str, float]) -> None:
    needed = 1 + len(shares)
    few = [(pool.classes[target], len(each)) for target, each in groups.items() if len(each) < needed]
    if not few:
        return
    names = ", ".join(f"{name} ({count})" for name, count in few[:SHOWN])
    more = f" and {len(few) - SHOWN} more" if len(few) > SHOWN else ""
    splits = " and ".join(["train", *shares])
    hint = "; data.test: 0 does without test images" if "test" in shares else ""
    raise DataError(
        f"{pool.where}: each class needs {needed} different images or more, one each for {splits}; "
        f"too few in {names}{more}. Add images{hint}"
    )
