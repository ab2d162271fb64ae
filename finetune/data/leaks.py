"""Copies of one picture in several splits or classes: moved into one split, or told to the user."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from finetune.data.copies import Copies, group_copies
from finetune.data.source import Item

HELD_OUT = ("test", "val", "train")
"""Where copies go: into the first of these splits that has one."""
MOST_MOVED = 0.5
"""Share of a class's images in a split above which none of them are moved."""

Splits = Mapping[str, Sequence[Item]]
Pair = tuple[Item, Item]


def mend_leaks(splits: Splits, copies: Copies, where: str) -> tuple[dict[str, list[Item]], tuple[str, ...]]:
    """Return the splits with copies of test images moved to test, then copies of validation images to val.

    Where that would take more than half of a class's images from a split, they stay. Out: also a sentence
    for each two splits between which images moved.
    """
    items = [item for part in splits.values() for item in part]
    home = _split_of_keys(splits)
    moves: dict[str, Item] = {}
    for group in group_copies(items, copies):
        members = [items[row] for row in group]
        best = min(members, key=lambda item: HELD_OUT.index(home[item.image.key]))
        target = home[best.image.key]
        moves |= {item.image.key: best for item in members if home[item.image.key] != target}
    sizes = Counter((home[item.image.key], item.stratum) for item in items)
    lost = Counter((home[item.image.key], item.stratum) for item in items if item.image.key in moves)
    kept = {place for place, count in lost.items() if count > MOST_MOVED * sizes[place]}
    mended: dict[str, list[Item]] = {split: [] for split in splits}
    moved: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for item in items:
        split, to = home[item.image.key], moves.get(item.image.key)
        if to is not None and (split, item.stratum) not in kept:
            moved[split, home[to.image.key]].append((item, to))
            split = home[to.image.key]
        mended[split].append(item)
    return mended, (*_describe_moves(moved, where),)


def warn_copies(splits: Splits, copies: Copies, classes: Sequence[str], where: str) -> Iterator[str]:
    """Yield a warning for copies that are in two splits, and one for copies that are in two classes."""
    home = _split_of_keys(splits)
    pairs = [(item, other) for items in splits.values() for item in items for other in copies.of(item)]
    leaks = [pair for pair in pairs if len({home[each.image.key] for each in pair}) > 1]
    clashes = [pair for pair in pairs if pair[0].stratum != pair[1].stratum]
    if leaks:
        yield (
            f"{where}: images in more than one split, which makes scores look better than they are: "
            f"{_count(leaks)}, such as {_example(leaks[0])}"
        )
    if clashes:
        names = ", ".join(classes[item.stratum] for item in clashes[0])
        yield (
            f"{where}: images in more than one class: {_count(clashes)}, "
            f"such as {_example(clashes[0])} ({names})"
        )


def _describe_moves(moved: Mapping[tuple[str, str], list[Pair]], where: str) -> Iterator[str]:
    for (split, to), pairs in moved.items():
        yield (
            f"{where}: {split} images that show the same picture as {to} images, and are now {to} images "
            f"too: {len(pairs)}, such as {_example(pairs[0])}"
        )


def _split_of_keys(splits: Splits) -> dict[str, str]:
    return {item.image.key: split for split, items in splits.items() for item in items}


def _count(pairs: Sequence[Pair]) -> int:
    """Count the pictures of which there are pairs."""
    return len({min(item.image.digest() for item in pair) for pair in pairs})


def _example(pair: Pair) -> str:
    return " = ".join(item.image.name for item in pair)
