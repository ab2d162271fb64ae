"""A measured number and how far it may be off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.float64]
"""For each image, the share of times it was answered rightly; NaN where it was never asked."""


@dataclass(frozen=True)
class Estimate:
    """`value`, and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


def share(hits: Hits) -> Estimate:
    """Mean of the hits that were asked.

    The error is the spread of the share's posterior under an even prior: it is not zero when all or none
    were right, as the plain formula would have it.
    """
    asked = hits[~np.isnan(hits)]
    count, right = len(asked), float(asked.sum())
    if not count:
        return Estimate(math.nan, math.nan)
    middle = (right + 1) / (count + 2)
    return Estimate(right / count, math.sqrt(middle * (1 - middle) / (count + 3)))


def gain(hits: Hits, over: Hits) -> Estimate:
    """Mean of the differences, image by image, where both were asked.

    Images that both answer alike cancel out, which makes this far sharper than comparing two shares. One
    more image on which they disagree is added to the spread, so that few images never seem certain.
    """
    difference = hits - over
    difference = difference[~np.isnan(difference)]
    count = len(difference)
    if not count:
        return Estimate(math.nan, math.nan)
    mean = float(difference.mean())
    spread = (float(((difference - mean) ** 2).sum()) + 1) / (count + 1)
    return Estimate(mean, math.sqrt(spread / count))
