"""What is believed of each strategy's whole run: the benchmark's experience, and the user's own images.

Bayes' rule for Gaussians, of the angles of shares of right answers. The level of the user's data is unknown
beforehand; how far strategies lie apart, and what a whole run adds to a short one, is known from the
benchmark, give or take its spread. Right answers on left-out images then say how it is here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from finetune.planning.race.experience import RACERS, Experience, Matrix, Vector, angle
from finetune.records.estimate import Estimate, Hits, share

ANY_LEVEL = 1.0
"""Standard deviation, in radians, of how hard the user's classes may be."""
LEAST_ANGLE = 0.05
"""Radians from none or all, 0.25 points, within which errors do not shrink any more."""
CLEAR = 2.0
"""Standard errors above chance from which a run has learned anything that could grow."""

Seen = Mapping[str, Hits]
"""For each racer that was asked anything its right answers (N,), NaN where it was not asked."""


@dataclass(frozen=True)
class Belief:
    """Angles of whole runs of the racers and then of their short ones: `mean` (2R,), `spread` (2R, 2R)."""

    mean: Vector
    spread: Matrix

    def expected(self, name: str) -> Estimate:
        """The accuracy of a whole run: mean and standard deviation of the share, its angle being normal."""
        place = RACERS.index(name)
        middle, spread = min(max(float(self.mean[place]), 0.0), math.pi / 2), float(self.spread[place, place])
        twice, fourth = (math.cos(k * middle) * math.exp(-(k**2) * spread / 2) for k in (2, 4))
        return Estimate((1 - twice) / 2, math.sqrt((1 + fourth) / 2 - twice**2) / 2)

    def gain(self, name: str, over: str) -> Estimate:
        """By how much more of the images a whole run of one is expected to be right than one of another."""
        value = self.expected(name).value - self.expected(over).value
        return Estimate(value, math.sqrt(self._apart(name, over)) * self.slope(name, over))

    def slope(self, one: str, other: str) -> float:
        """Accuracy for a radian, on average of the two."""
        return (_slope(self.mean[RACERS.index(one)]) + _slope(self.mean[RACERS.index(other)])) / 2

    def learnt(self, one: str, other: str, then: Belief) -> float:
        """Standard deviation, in accuracy, by which the gain of one over another may move until `then`."""
        known = self._apart(one, other) - then._apart(one, other)
        return math.sqrt(max(known, 0.0)) * self.slope(one, other)

    def after(self, look: Matrix, seen: Vector, noise: Matrix) -> Belief:
        """The belief once `look` (K, 2R) of it is `seen` (K,), give or take `noise`, a covariance (K, K)."""
        weight = self.spread @ look.T @ np.linalg.inv(look @ self.spread @ look.T + noise)
        mean = self.mean + weight @ (seen - look @ self.mean)
        return Belief(mean, self.spread - weight @ look @ self.spread)

    def after_a_round(self, name: str, seen: Seen, images: int) -> Belief:
        """The belief once a racer was asked for so many more images, as far as one can know it before.

        Its mean stays, its spread shrinks by what that many images tell of its lead on the first racer.
        """
        slope = _slope(self.mean[len(RACERS)])
        differing = slope**2 / 4
        if name in seen:
            difference = seen[name] - seen[RACERS[0]]
            differing = float(np.nanvar(difference)) + 0.5 / int(np.isfinite(difference).sum())
        look = np.zeros((1, 2 * len(RACERS)))
        look[0, [len(RACERS) + RACERS.index(name), len(RACERS)]] = 1, -1
        noise = np.array([[differing / images / slope**2]])
        return self.after(look, look @ self.mean, noise)

    def _apart(self, one: str, other: str) -> float:
        """Variance of the difference between two whole runs."""
        i, j = RACERS.index(one), RACERS.index(other)
        return float(self.spread[i, i] + self.spread[j, j] - 2 * self.spread[i, j])


def prior(known: Experience) -> Belief:
    """What is believed before any image was looked at."""
    mean = np.concatenate([known.lead, known.lead - known.growth])
    whole = known.lead_spread + ANY_LEVEL**2
    return Belief(mean, np.block([[whole, whole], [whole, whole + known.growth_spread]]))


def believe(known: Experience, seen: Seen, chance: float) -> Belief:
    """What is believed after the racers were asked; the first of RACERS has to be among them.

    A racer that is no better than `chance` has learned nothing that a whole run could add to. Where the
    images say what the benchmark never saw, it counts for less: the spread of its leads grows by how much
    the squared distance to what was seen is beyond what it should be.
    """
    before, names = prior(known), [name for name in RACERS if name in seen]
    look = np.zeros((len(names), 2 * len(RACERS)))
    shares, noise = measure(seen)
    for row, name in enumerate(names):
        place = RACERS.index(name)
        look[row, place if at_chance(seen[name], chance) else place + len(RACERS)] = 1
    asked = [int(np.isfinite(seen[name]).sum()) for name in names]
    angles = np.array([angle(value) for value in shares])
    slopes = np.array([_slope(angle((s * n + 0.5) / (n + 1))) for s, n in zip(shares, asked, strict=True)])
    noise /= np.outer(slopes, slopes)
    off = angles - look @ before.mean
    surprise = float(off @ np.linalg.solve(look @ before.spread @ look.T + noise, off)) - len(names) + 1
    wider = replace(known, lead_spread=known.lead_spread * max(surprise, 1.0))
    return prior(wider).after(look, angles, noise)


def measure(seen: Seen) -> tuple[Vector, Matrix]:
    """Shares of right answers (K,) in the order of RACERS, and their covariance (K, K).

    What was asked for a part of the images only is measured against the first racer on these, and then set
    upon what the first one got of all. So no racer gains by the luck of easy images, and what two answer
    alike cancels out. Half an image on which a racer differs is added, so that few never seem certain.
    """
    first = seen[RACERS[0]]
    level, whole = float(np.nanmean(first)), int(np.isfinite(first).sum())
    common = np.nan_to_num((first - level) / whole)
    shares, parts, least = [], [], []
    for name in (name for name in RACERS if name in seen):
        difference = seen[name] - first
        count = int(np.isfinite(difference).sum())
        ahead = float(np.nanmean(difference))
        shares.append(min(max(level + ahead, 0.0), 1.0))
        parts.append(common + np.nan_to_num((difference - ahead) / count))
        least.append(0.5 / count**2)
    influence = np.array(parts)
    return np.array(shares), influence @ influence.T + np.diag(least)


def at_chance(hits: Hits, chance: float) -> bool:
    """Whether what was answered is not clearly better than guessing."""
    accuracy = share(hits)
    return accuracy.value - CLEAR * accuracy.error <= chance


def _slope(at: float) -> float:
    """Change of the share for a radian, at an angle."""
    return math.sin(2 * min(max(at, LEAST_ANGLE), math.pi / 2 - LEAST_ANGLE))
