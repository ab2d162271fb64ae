"""The numbers of a parity check: how the answers of a model file differ from those of its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PROBABILITY_DIFFERENCE = 1e-4
MAX_UNKNOWN_DIFFERENCE = 1e-3
"""Of the threshold, or of the score if that is more."""
CLEAR_MARGIN = 1e-3
"""The best class must be the same where the two best probabilities differ by more than this."""


@dataclass(frozen=True)
class Pair:
    """The file's output for one image and the network's, and by how much the network's best class leads.

    `margin` is in probability.
    """

    name: str
    actual: NDArray[Any]
    expected: NDArray[Any]
    margin: NDArray[Any]


@dataclass(frozen=True)
class Difference:
    """How the file's answer for one image differs from the network's.

    `clear`: the network's answer has a best class by more than the margin. `probability`: the largest
    difference of a probability; None if the output holds none. `fault`: what is different where it must not
    be, empty if nothing is. `unknown`: the difference of that output, None if the file has none.
    """

    name: str
    clear: bool
    probability: float | None
    fault: str = ""
    unknown: float | None = None

    @property
    def allowed(self) -> bool:
        """Whether the difference is small enough; a NaN is not."""
        small = self.probability is None or self.probability <= MAX_PROBABILITY_DIFFERENCE
        near = self.unknown is None or self.unknown <= MAX_UNKNOWN_DIFFERENCE
        return small and near and not self.fault

    def __str__(self) -> str:
        off = "" if self.probability is None else f"off by {self.probability:.1e}"
        unknown = "" if self.unknown is None else f"`unknown` off by {self.unknown:.1e}"
        return f"{self.name}: {', '.join(filter(None, (off, unknown, self.fault)))}"


@dataclass(frozen=True)
class Parity:
    """The result of a parity check on `images` images.

    `compared` of them have a clear best class, and `top1_differences` of these have another one in the file.
    `max_probability_difference` is None if the output holds no probabilities, `max_unknown_difference` if
    the file does not say how unlike the training images an image is. `images_per_s` is the speed of the file,
    without reading images.
    """

    images: int
    compared: int
    max_probability_difference: float | None
    top1_differences: int
    seconds: float
    max_unknown_difference: float | None = None
    images_per_s: float | None = None

    @classmethod
    def of(cls, differences: Sequence[Difference], seconds: float) -> Parity:
        """Sum up the differences of all images."""
        off = [one.probability for one in differences if one.probability is not None]
        unknown = [one.unknown for one in differences if one.unknown is not None]
        return cls(
            images=len(differences),
            compared=sum(one.clear for one in differences),
            max_probability_difference=float(np.max(off)) if off else None,  # NaN if one of them is
            top1_differences=sum(bool(one.fault) for one in differences),
            seconds=round(seconds, 3),
            max_unknown_difference=float(np.max(unknown)) if unknown else None,
        )

    def to_dict(self) -> dict[str, float | int | None]:
        """Return the numbers with the limits that were applied, for the metadata and report.json."""
        return asdict(self) | {"limit": MAX_PROBABILITY_DIFFERENCE, "margin": CLEAR_MARGIN}
