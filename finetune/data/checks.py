"""What must hold of any source's classes, and what is worth a warning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from finetune.data.errors import DataError
from finetune.data.pool import Labelled, Pool

SHOWN = 5


def check_classes(pool: Pool) -> None:
    """Raises: DataError for no images, one class, or classes that differ between the given splits."""
    if not pool.given["train"]:
        raise DataError(f"{pool.where}: no images to train on")
    if len(pool.classes) == 1:
        raise DataError(f"{pool.where}: one class only, {pool.classes[0]}; two or more are needed")
    present = {split: {labelled.target for labelled in items} for split, items in pool.given.items()}
    problems = []
    for split, found in present.items():
        missing = [name for target, name in enumerate(pool.classes) if target not in found]
        if missing:
            some = ", ".join(missing[:SHOWN]) + (", …" if len(missing) > SHOWN else "")
            problems.append(f"{split} has no image of {some}")
    if problems:
        raise DataError(
            f"{pool.where}: the classes differ between the splits: {'; '.join(problems)}. Each class needs "
            "images in every split that is given; a split that is not given is cut from train"
        )


def find_copies(
    where: str, splits: Mapping[str, Sequence[Labelled]], classes: Sequence[str]
) -> Iterator[str]:
    """A sentence on images that are in two splits, and one on images that are in two classes."""
    places: dict[str, list[tuple[str, Labelled]]] = defaultdict(list)
    for split, items in splits.items():
        for labelled in items:
            places[labelled.image.digest()].append((split, labelled))
    copies = [found for found in places.values() if len(found) > 1]
    leaks = [found for found in copies if len({split for split, _ in found}) > 1]
    clashes = [found for found in copies if len({labelled.target for _, labelled in found}) > 1]
    if leaks:
        yield (
            f"{where}: images found in more than one split, which makes scores look better than they are: "
            f"{len(leaks)}, such as {_example(leaks[0])}"
        )
    if clashes:
        names = ", ".join(classes[labelled.target] for _, labelled in clashes[0][:2])
        yield (
            f"{where}: images found in more than one class: {len(clashes)}, such as {_example(clashes[0])} "
            f"({names})"
        )


def _example(found: Sequence[tuple[str, Labelled]]) -> str:
    return " = ".join(labelled.image.name for _, labelled in found[:2])
