"""The parity check: does the exported file answer as the network does?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from serve.model import ModelOutput, batch_by_size
from serve.tasks import Task
from serve.tasks.comparison import (
    CLEAR_MARGIN,
    MAX_PROBABILITY_DIFFERENCE,
    MAX_UNKNOWN_DIFFERENCE,
    Difference,
    Pair,
    Parity,
)

SHOWN = 5

T = TypeVar("T")

Pixels: TypeAlias = NDArray[np.uint8]
NamedImage: TypeAlias = tuple[str, Pixels]


@dataclass(frozen=True)
class Expected:
    """What the network answers for a batch.

    `output` is what the file should give; `margins` is by how much the best class leads, in probability:
    (batch,), or (batch, height, width) of a task that answers for each pixel.
    """

    output: ModelOutput
    margins: NDArray[np.float32]


def measure_parity(
    artifact: Callable[[Pixels], ModelOutput],
    network: Callable[[Pixels], Expected],
    images: Iterable[NamedImage],
    task: Task,
    labels: Sequence[str],
) -> tuple[Parity, list[Difference]]:
    """Compare the file with the network on every image, in batches of equal size.

    In: two functions of uint8 (batch, height, width, 3). Out: the result, and each difference too large.
    """
    start, busy = time.perf_counter(), 0.0
    differences: list[Difference] = []
    names: list[str] = []

    def pixels() -> Iterator[Pixels]:
        for name, image in images:
            names.append(name)
            yield image

    for positions, batch in batch_by_size(pixels()):
        began = time.perf_counter()
        actual = artifact(batch)
        busy += time.perf_counter() - began
        expected = network(batch)
        unknown = _unknown_differences(actual, expected.output)
        for i, position in enumerate(positions):
            pair = Pair(names[position], actual.answers[i], expected.output.answers[i], expected.margins[i])
            differences.append(replace(task.compare(pair, labels), unknown=unknown[i]))
    parity = Parity.of(differences, time.perf_counter() - start)
    parity = replace(parity, images_per_s=round(len(names) / max(busy, 1e-9), 1))
    return parity, [difference for difference in differences if not difference.allowed]


def _unknown_differences(actual: ModelOutput, expected: ModelOutput) -> Sequence[float | None]:
    """Return how far `unknown` is off for each image, relative to 1 or to the score, if that is more."""
    if actual.unknown is None or expected.unknown is None:
        return [None] * len(actual.answers)
    scale = np.maximum(np.abs(expected.unknown), 1)
    return [float(off) for off in np.abs(actual.unknown - expected.unknown) / scale]


def describe_failure(parity: Parity, faults: Sequence[Difference]) -> str:
    """Name the images for which the file answers differently, and by how much."""
    lines = [
        f"the exported model answers differently from the network on {len(faults)} of {parity.images} images",
        f"(allowed: probabilities within {MAX_PROBABILITY_DIFFERENCE:g}, another best class only where "
        f"the two best are within {CLEAR_MARGIN:g}, `unknown` within {MAX_UNKNOWN_DIFFERENCE:g}):",
        *(f"  {fault}" for fault in faults[:SHOWN]),
    ]
    if len(faults) > SHOWN:
        lines.append(f"  … and {len(faults) - SHOWN} more")
    return "\n".join(lines)


def spread(items: tuple[T, ...], most: int) -> list[T]:
    """Return at most `most` items, evenly spaced over all of them: splits may be sorted by class."""
    positions = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[position] for position in positions]
