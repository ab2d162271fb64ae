"""What the benchmark saw: how far whole runs lead a linear probe, and what they add to short ones."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RACERS = ("linear_probe", "stage_probe", "partial", "full")
"""The strategies that are compared, cheapest first; the first is what the others are measured against."""
SEEN = Path(__file__).with_name("experience.csv")
"""A row for each cell of the benchmark's first draw, written by `make bench-experience`.

Accuracies of whole runs on the test images, `whole_NAME`, of `tested` images; and in the race's short runs
on left-out ones, `short_NAME`, of `asked`.
"""
WIDER = 2.0
"""What the variances are multiplied by: other networks and images differ more than these few."""
LEAST_SPREAD = 0.03
"""Standard deviation of a lead, in radians, that is added to what was seen."""

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Row = dict[str, str]


@dataclass(frozen=True)
class Experience:
    """Over the cells of one similarity, in angles of right answers: means (R,) and covariances (R, R).

    `lead` is how far a whole run of each of the R racers is ahead of a whole run of the first; `growth` what
    a whole run adds to a short one.
    """

    lead: Vector
    lead_spread: Matrix
    growth: Vector
    growth_spread: Matrix

    def left(self, parts: Mapping[str, float]) -> Experience:
        """The same where only these parts of a racer's growth are left, all of it for those not named."""
        part = np.array([parts.get(name, 1.0) for name in RACERS])
        spread = self.growth_spread * np.outer(part, part)
        return replace(self, growth=self.growth * part, growth_spread=spread)


@cache
def experience(similarity: str) -> Experience:
    """What was seen on data of that similarity, `similar` or `different`."""
    return learn([row for row in read_seen() if row["similarity"] == similarity])


def read_seen() -> list[Row]:
    """The rows of SEEN."""
    with SEEN.open(newline="") as file:
        return list(csv.DictReader(file))


def learn(rows: Sequence[Row]) -> Experience:
    """Means and covariances over the rows, three or more."""
    whole = np.array([_angles(row, "whole") for row in rows])
    short = np.array([_angles(row, "short") for row in rows])
    lead, growth = whole - whole[:, :1], whole - short
    lead_spread = WIDER * np.cov(lead.T)
    lead_spread[1:, 1:] += LEAST_SPREAD**2 * np.eye(len(RACERS) - 1)
    return Experience(lead.mean(axis=0), lead_spread, growth.mean(axis=0), WIDER * np.cov(growth.T))


def angle(share: float) -> float:
    """The arcsine of the root of a share, in radians, from 0 for none to a half pi for all.

    In it the error of a share does not hang on the share: it is 1 / (2 sqrt(images)).
    Source: Anscombe 1948, doi:10.2307/2332343.
    """
    return math.asin(math.sqrt(share))


def _angles(row: Row, run: str) -> list[float]:
    return [angle(float(row[f"{run}_{name}"])) for name in RACERS]
