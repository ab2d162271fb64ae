"""Whether an exported model answers as the network it came from: the rule, and the numbers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serve.infer import batch_by_size

MAX_PROBABILITY_DIFFERENCE = 1e-4
CLEAR_MARGIN = 1e-3
"""Two best probabilities further apart than this must come in the same order."""
CHUNK = 32
SHOWN = 5

Pixels: TypeAlias = NDArray[np.uint8]
NamedImage: TypeAlias = tuple[str, Pixels]


@dataclass(frozen=True)
class Expected:
    """What the network itself answers for a batch.

    `answers` is what the artifact should give; `margin` is how far its two best probabilities are apart,
    for each image (batch,) or each pixel (batch, height, width).
    """

    answers: NDArray[Any]
    margin: NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """How one image's answer in the artifact differs from the network's."""

    name: str
    clear: bool
    probability: float
    other_answer: str
    """What became of what; empty when the best class is the same or too close to call."""

    @property
    def allowed(self) -> bool:
        """Whether the rule lets it pass; a NaN does not."""
        return self.probability <= MAX_PROBABILITY_DIFFERENCE and not self.other_answer

    def __str__(self) -> str:
        off = f"off by {self.probability:.1e}"
        return f"{self.name}: {off}, {self.other_answer}" if self.other_answer else f"{self.name}: {off}"


@dataclass(frozen=True)
class Parity:
    """Artifact against network on `images` real images.

    `compared` of them have a clear best class (two best probabilities more than 1e-3 apart), so that
    another one counts as one of `top1_differences`. For masks the same holds of pixels.
    """

    images: int
    compared: int
    max_probability_difference: float | None
    """None for masks, which hold no probabilities."""
    top1_differences: int
    seconds: float

    def __str__(self) -> str:
        said = f"{self.images} validation images answered as by the network"
        if self.max_probability_difference is None:
            return f"{said}: the same class in every pixel that is clear"
        return (
            f"{said}: {self.compared - self.top1_differences} of {self.compared} clear answers the same, "
            f"probabilities at most {self.max_probability_difference:.1e} apart"
        )

    def to_dict(self) -> dict[str, float | int]:
        """For report.json, with the limits that were applied."""
        return asdict(self) | {"limit": MAX_PROBABILITY_DIFFERENCE, "margin": CLEAR_MARGIN}


def measure_parity(
    artifact: Callable[[Pixels], NDArray[Any]],
    network: Callable[[Pixels], Expected],
    images: Iterable[NamedImage],
    task: str,
    labels: Sequence[str],
) -> tuple[Parity, list[Difference]]:
    """Ask both for every image, equal sizes together.

    In: two functions of uint8 (batch, height, width, 3). Out: the numbers, and each difference too large.
    """
    start = time.perf_counter()
    compare = COMPARE[task]
    differences: list[Difference] = []
    for names, batch in _batches(images):
        found, expected = artifact(batch), network(batch)
        differences += [
            compare(name, found[i], expected.answers[i], expected.margin[i], labels)
            for i, name in enumerate(names)
        ]
    parity = Parity(
        images=len(differences),
        compared=sum(difference.clear for difference in differences),
        max_probability_difference=_largest(differences) if task == "classification" else None,
        top1_differences=sum(bool(difference.other_answer) for difference in differences),
        seconds=round(time.perf_counter() - start, 3),
    )
    return parity, [difference for difference in differences if not difference.allowed]


def _largest(differences: Sequence[Difference]) -> float:
    return float(np.max([difference.probability for difference in differences], initial=0.0))


def margin(probabilities: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """How far the two best probabilities along `axis` are apart; 1 for a single class."""
    if probabilities.shape[axis] == 1:
        return np.ones_like(probabilities.take(0, axis))
    ordered = np.moveaxis(np.partition(probabilities, -2, axis), axis, -1)
    return ordered[..., -1] - ordered[..., -2]


def describe_failure(parity: Parity, bad: Sequence[Difference]) -> str:
    """Which images the artifact answers differently, and by how much."""
    lines = [
        f"the exported model answers otherwise than the network on {len(bad)} of {parity.images} images",
        f"(allowed: probabilities {MAX_PROBABILITY_DIFFERENCE:g} apart, and another best class only where "
        f"the two best are within {CLEAR_MARGIN:g}):",
        *(f"  {difference}" for difference in bad[:SHOWN]),
    ]
    if len(bad) > SHOWN:
        lines.append(f"  … and {len(bad) - SHOWN} more")
    return "\n".join(lines)


def _compare_probabilities(
    name: str, found: NDArray[Any], expected: NDArray[Any], margin: NDArray[Any], labels: Sequence[str]
) -> Difference:
    clear = bool(margin > CLEAR_MARGIN)
    before, after = labels[int(expected.argmax())], labels[int(found.argmax())]
    other = f"{before!r} became {after!r}" if clear and before != after else ""
    return Difference(name, clear, float(np.abs(found - expected).max()), other)


def _compare_masks(
    name: str, found: NDArray[Any], expected: NDArray[Any], margin: NDArray[Any], _labels: Sequence[str]
) -> Difference:
    clear = margin > CLEAR_MARGIN
    wrong = int(((found != expected) & clear).sum())
    other = f"{wrong} of {found.size} pixels have another class" if wrong else ""
    nan = float(np.where(np.isfinite(margin).all(), 0.0, np.nan))
    return Difference(name, bool(clear.any()), nan, other)


COMPARE: Mapping[str, Callable[..., Difference]] = {
    "classification": _compare_probabilities,
    "segmentation": _compare_masks,
}


def _batches(images: Iterable[NamedImage]) -> Iterator[tuple[list[str], Pixels]]:
    """Equal-sized images together, at most `CHUNK` of them in memory at a time."""
    images = iter(images)
    while chunk := list(itertools.islice(images, CHUNK)):
        for places, batch in batch_by_size([pixels for _, pixels in chunk]):
            yield [chunk[place][0] for place in places], batch
