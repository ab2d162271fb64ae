"""What is expected of each strategy's whole run, from the benchmark and from answers on held-out images.

Bayes' rule for normal distributions of angles of accuracies. The level of accuracy on the user's data is not
known in advance. How far strategies lie apart, and what a whole run adds to a short one, is known from the
benchmark up to its spread. Answers on held-out images then update both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from finetune.planning.race.prior import Matrix, Prior, Vector, angle
from finetune.records.estimate import Correct, Estimate, accuracy_of

LEVEL_SPREAD = 1.0
"""Standard deviation, in radians, of the level of accuracy on the user's data."""
MIN_ANGLE = 0.05
"""Radians from none or all, 0.25 points, within which errors shrink no further."""
CLEAR = 2.0
"""Standard errors above chance from which a short run counts as having learned something."""

Answers = Mapping[str, Correct]
"""For each strategy that was asked anything, its correct answers (N,); NaN for images it was not asked."""


@dataclass(frozen=True)
class Posterior:
    """A normal distribution of angles: of whole runs of R strategies, then of their short runs.

    `mean` is (2R,), `cov` is (2R, 2R). The first strategy is the one that others are compared with.
    """

    names: tuple[str, ...]
    mean: Vector
    cov: Matrix

    def expected(self, name: str) -> Estimate:
        """Return mean and standard deviation of the accuracy of a whole run."""
        place = self.names.index(name)
        middle, variance = min(max(float(self.mean[place]), 0.0), math.pi / 2), float(self.cov[place, place])
        second, fourth = (math.cos(k * middle) * math.exp(-(k**2) * variance / 2) for k in (2, 4))
        return Estimate((1 - second) / 2, math.sqrt((1 + fourth) / 2 - second**2) / 2)

    def gain(self, name: str, over: str) -> Estimate:
        """Return by how much the accuracy of a whole run is expected to be above that of another."""
        value = self.expected(name).value - self.expected(over).value
        return Estimate(
            value, math.sqrt(self._difference_variance(name, over)) * self._mean_slope(name, over)
        )

    def expected_change(self, one: str, other: str, later: Posterior) -> float:
        """Return the standard deviation, in accuracy, of the change in a gain until a `later` posterior."""
        known = self._difference_variance(one, other) - later._difference_variance(one, other)
        return math.sqrt(max(known, 0.0)) * self._mean_slope(one, other)

    def update(self, observe: Matrix, seen: Vector, noise: Matrix) -> Posterior:
        """Return the posterior after `observe` (K, 2R) of it was `seen` (K,), with covariance `noise`."""
        weight = self.cov @ observe.T @ np.linalg.inv(observe @ self.cov @ observe.T + noise)
        mean = self.mean + weight @ (seen - observe @ self.mean)
        return replace(self, mean=mean, cov=self.cov - weight @ observe @ self.cov)

    def after_round(self, name: str, answers: Answers, images: int) -> Posterior:
        """Return the posterior after a strategy is asked for more images, as far as it can be predicted.

        The mean stays the same. The covariance shrinks by what so many images would show of the strategy's
        lead on the first one.
        """
        count = len(self.names)
        slope = _slope(self.mean[count])
        variance = slope**2 / 4
        if name in answers:
            difference = answers[name] - answers[self.names[0]]
            variance = float(np.nanvar(difference)) + 0.5 / int(np.isfinite(difference).sum())
        observe = np.zeros((1, 2 * count))
        observe[0, [count + self.names.index(name), count]] = 1, -1
        noise = np.array([[variance / images / slope**2]])
        return self.update(observe, observe @ self.mean, noise)

    def _mean_slope(self, one: str, other: str) -> float:
        """Return the change of accuracy per radian, on average of the two."""
        return (_slope(self.mean[self.names.index(one)]) + _slope(self.mean[self.names.index(other)])) / 2

    def _difference_variance(self, one: str, other: str) -> float:
        """Return the variance of the difference between two whole runs."""
        i, j = self.names.index(one), self.names.index(other)
        return float(self.cov[i, i] + self.cov[j, j] - 2 * self.cov[i, j])


def start_posterior(prior: Prior) -> Posterior:
    """Return what is expected before any image is looked at."""
    mean = np.concatenate([prior.lead, prior.lead - prior.growth])
    whole = prior.lead_cov + LEVEL_SPREAD**2
    return Posterior(prior.names, mean, np.block([[whole, whole], [whole, whole + prior.growth_cov]]))


def compute_posterior(prior: Prior, answers: Answers, chance: float) -> Posterior:
    """Return what is expected once these answers are known, which must include the first strategy's.

    A strategy that is no better than `chance` has learned nothing that a whole run could add to. Where
    answers contradict the benchmark, it counts for less: the spread of its leads grows by the excess of their
    squared distance to what it predicts.
    """
    start, count = start_posterior(prior), len(prior.names)
    names = [name for name in prior.names if name in answers]
    observe = np.zeros((len(names), 2 * count))
    shares, noise = measure_answers(answers, prior.names)
    for row, name in enumerate(names):
        place = prior.names.index(name)
        observe[row, place if is_at_chance(answers[name], chance) else place + count] = 1
    asked = [int(np.isfinite(answers[name]).sum()) for name in names]
    angles = np.array([angle(value) for value in shares])
    slopes = np.array([_slope(angle((s * n + 0.5) / (n + 1))) for s, n in zip(shares, asked, strict=True)])
    noise /= np.outer(slopes, slopes)
    off = angles - observe @ start.mean
    distance = float(off @ np.linalg.solve(observe @ start.cov @ observe.T + noise, off)) - len(names) + 1
    wider = replace(prior, lead_cov=prior.lead_cov * max(distance, 1.0))
    return start_posterior(wider).update(observe, angles, noise)


def measure_answers(answers: Answers, names: tuple[str, ...]) -> tuple[Vector, Matrix]:
    """Return the accuracies (K,) of the strategies that were asked, in order, and their covariance (K, K).

    A strategy that was asked for some of the images is compared with the first one on these, and the
    difference is added to the first one's accuracy on all. So easy images favour no strategy, and images that
    both answer alike cancel out. Half an image on which they differ is added, so that the error of a few
    images is never zero.
    """
    first = answers[names[0]]
    level, total = float(np.nanmean(first)), int(np.isfinite(first).sum())
    common = np.nan_to_num((first - level) / total)
    shares, parts, least = [], [], []
    for name in (name for name in names if name in answers):
        difference = answers[name] - first
        count = int(np.isfinite(difference).sum())
        lead = float(np.nanmean(difference))
        shares.append(min(max(level + lead, 0.0), 1.0))
        parts.append(common + np.nan_to_num((difference - lead) / count))
        least.append(0.5 / count**2)
    influence = np.array(parts)
    return np.array(shares), influence @ influence.T + np.diag(least)


def is_at_chance(correct: Correct, chance: float) -> bool:
    """Return whether the answers are not clearly better than guessing."""
    accuracy = accuracy_of(correct)
    return accuracy.value - CLEAR * accuracy.error <= chance


def _slope(at: float) -> float:
    """Return the change of a share per radian at an angle."""
    return math.sin(2 * min(max(at, MIN_ANGLE), math.pi / 2 - MIN_ANGLE))
