"""A measured number with its standard error, and accuracies from correct answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959964
"""A normal distribution has 95% of its values within this many standard deviations."""
Correct = NDArray[np.float64]
"""For each image, the share of times that it was answered correctly; NaN where it was never asked."""


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"

    @property
    def percent(self) -> str:
        """The estimate of a share as text, such as `97.2% ± 1.1`."""
        return f"{100 * self.value:.1f}% ± {100 * self.error:.1f}"

    @property
    def points(self) -> str:
        """The estimate of a difference of shares as text, such as `1.2 ± 0.4 points`."""
        return f"{100 * self.value:.1f} ± {100 * self.error:.1f} points"


def accuracy_of(correct: Correct) -> Estimate:
    """Return the mean over the images that were asked.

    The error is the spread of the share's posterior under an even prior. Unlike the plain formula, it is not
    zero where all or no answers are correct.
    """
    asked = correct[~np.isnan(correct)]
    count, total = len(asked), float(asked.sum())
    if not count:
        return Estimate(math.nan, math.nan)
    middle = (total + 1) / (count + 2)
    return Estimate(total / count, math.sqrt(middle * (1 - middle) / (count + 3)))


def gain_of(correct: Correct, over: Correct) -> Estimate:
    """Return the mean difference, image by image, over the images where both were asked.

    Images that both answer alike cancel out, so the error is far smaller than that of two separate
    accuracies. One more image on which they disagree is added to the spread, so that the error of a few
    images is never zero.
    """
    difference = correct - over
    difference = difference[~np.isnan(difference)]
    count = len(difference)
    if not count:
        return Estimate(math.nan, math.nan)
    mean = float(difference.mean())
    spread = (float(((difference - mean) ** 2).sum()) + 1) / (count + 1)
    return Estimate(mean, math.sqrt(spread / count))


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95% interval of a share of `count` independent answers, by Wilson's score.

    Source: Wilson 1927, Journal of the American Statistical Association 22, 209-212.
    """
    z = Z_95
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(middle - half, 0.0), min(middle + half, 1.0)
