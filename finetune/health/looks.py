"""Findings about sizes, brightness and colour, and about the numbers of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from finetune.data.look import Look
from finetune.data.source import Item
from finetune.health.finding import Finding

DARK, BRIGHT = 20.0, 240.0
"""Mean grey values of images that are nearly black and nearly white."""
FLAT = 6.0
"""Standard deviation of the grey values of an image that shows next to nothing."""
LONG = 3.0
"""Longer side over shorter side of a strip."""
SMALL_SIDE = 32
"""Pixels of the shorter side of an image that shows little detail."""
GREY = 3.0
"""Mean difference between the channels of an image without colour."""
RARE = 0.1
"""Share of the images up to which a look is odd; more of them are how the data is."""
UNEQUAL, FEW = 5.0, 20
"""Images of the largest class over those of the smallest, and images of a class, that are worth telling."""


def find_odd_looks(items: Sequence[Item], classes: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for each image with a look that few images have."""
    looks = [(item, item.look) for item in items if item.look is not None]
    for name, is_odd, describe in RULES:
        odd = [(item, look) for item, look in looks if is_odd(look)]
        if len(odd) <= RARE * len(looks):
            for item, look in odd:
                label = classes[item.target] if isinstance(item.target, int) else ""
                yield Finding("look", item.image.name, label, detail=f"{name}: {describe(look)}")


def find_imbalance(items: Sequence[Item], classes: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding where classes have very different numbers of images, and for each that has few."""
    counts = Counter(item.target for item in items)
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    ratio = counts[largest] / counts[smallest]
    if ratio >= UNEQUAL:
        yield Finding(
            "balance",
            label=classes[smallest],
            detail=f"{classes[largest]} has {counts[largest]} images, {classes[smallest]} has "
            f"{counts[smallest]}: {ratio:.0f} times fewer",
            score=ratio,
        )
    for target, count in counts.items():
        if count < FEW:
            yield Finding("balance", label=classes[target], detail=f"only {count} images", score=1 / count)


def _contrast(look: Look) -> float:
    return float(look.grey.std())


def _size(look: Look) -> str:
    return f"{look.width} x {look.height} pixels"


RULES: tuple[tuple[str, Callable[[Look], bool], Callable[[Look], str]], ...] = (
    (
        "nearly black",
        lambda look: look.grey.mean() < DARK,
        lambda look: f"mean {look.grey.mean():.0f} of 255",
    ),
    (
        "nearly white",
        lambda look: look.grey.mean() > BRIGHT,
        lambda look: f"mean {look.grey.mean():.0f} of 255",
    ),
    (
        "nearly one colour",
        lambda look: _contrast(look) < FLAT,
        lambda look: f"contrast {_contrast(look):.1f} of 255",
    ),
    ("small", lambda look: min(look.width, look.height) < SMALL_SIDE, _size),
    ("long", lambda look: max(look.width, look.height) > LONG * min(look.width, look.height), _size),
    ("without colour", lambda look: look.colour < GREY, lambda look: "grey among colour images"),
)
"""Each look's name, whether an image has it, and its measure."""
