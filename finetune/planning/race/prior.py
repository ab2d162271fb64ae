"""The prior of the race: results of the benchmark's whole runs and short runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.planning.table import QUITE_A_LOT
from finetune.records.plan import SIMILARITIES
from finetune.strategies import racing_names

PRIOR = Path(__file__).with_name("prior.csv")
"""A row for each cell of the benchmark's first draw on resnet_small, measured as `make bench-prior` does.

`whole_NAME` is the accuracy of a whole run on `tested` test images, `short_NAME` that of the race's short run
on `asked` held-out images.
"""
VARIANCE_FACTOR = 2.0
"""Factor on the variances: other networks and images differ more than those of the benchmark."""
MIN_SPREAD = 0.03
"""Standard deviation of a lead, in radians, that is added to what was measured."""
UNKNOWN_SPREAD = 0.3
"""Standard deviation, in radians, of lead and growth of a strategy that has no rows in the table."""

NEAR = 0.045
"""Images of less drift are like those that the weights were trained on.

Tasks of Tiny ImageNet's classes drift by at most 0.04 from weights that were trained on it, or on ImageNet;
flowers by 0.06 and more from EfficientNet-Lite0.
"""

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Row = dict[str, str]


@dataclass(frozen=True)
class Prior:
    """Means (R,) and covariances (R, R) for R strategies, in angles of accuracies (see `angle`).

    `lead` is how far a whole run of each strategy is ahead of a whole run of the first; `growth` is what a
    whole run adds to a short one.
    """

    names: tuple[str, ...]
    lead: Vector
    lead_cov: Matrix
    growth: Vector
    growth_cov: Matrix

    def scale_growth(self, parts: Mapping[str, float]) -> Prior:
        """Return the prior where only these parts of the growth are left; all of it for other strategies."""
        part = np.array([parts.get(name, 1.0) for name in self.names])
        return replace(self, growth=self.growth * part, growth_cov=self.growth_cov * np.outer(part, part))


def read_prior(drift: float = math.inf, *, median_class: float = math.inf) -> Prior:
    """Return the prior of the racing strategies, from the rows that `choose_rows` takes."""
    return fit_prior(choose_rows(read_rows(), drift, median_class=median_class), racing_names())


def choose_rows(rows: Sequence[Row], drift: float, *, median_class: float) -> Sequence[Row]:
    """Return the rows that say something about images of this drift, in nats per channel.

    Few images like the weights' own: only rows of such images, where training the network gains nothing over
    a linear classifier. All others: all rows. More images of the same kind, and photographs that count as
    similar to those of ImageNet but drift more, leave much to learn.
    """
    if drift >= NEAR or median_class >= QUITE_A_LOT:
        return rows
    return [row for row in rows if row["similarity"] == SIMILARITIES[0]]


def read_rows() -> list[Row]:
    """Return the rows of the table."""
    with PRIOR.open(newline="") as file:
        return list(csv.DictReader(file))


def fit_prior(rows: Sequence[Row], names: Sequence[str]) -> Prior:
    """Compute means and covariances over three rows or more; wide ones for strategies that are not in them.

    The first strategy must be in the table.
    """
    known = tuple(name for name in names if all(row.get(f"whole_{name}") for row in rows))
    whole, short = (
        np.array([[angle(float(row[f"{run}_{name}"])) for name in known] for row in rows])
        for run in ("whole", "short")
    )
    lead, growth = whole - whole[:, :1], whole - short
    lead_cov = VARIANCE_FACTOR * np.cov(lead.T)
    lead_cov[1:, 1:] += MIN_SPREAD**2 * np.eye(len(known) - 1)
    prior = Prior(known, lead.mean(axis=0), lead_cov, growth.mean(axis=0), VARIANCE_FACTOR * np.cov(growth.T))
    return prior if len(known) == len(names) else _add_unknown(prior, tuple(names))


def angle(share: float) -> float:
    """Return the arcsine of the square root of a share, in radians, from 0 to pi / 2.

    The standard error of an angle does not depend on the share: it is 1 / (2 sqrt(images)).
    Source: Anscombe 1948, doi:10.2307/2332343.
    """
    return math.asin(math.sqrt(share))


def _add_unknown(prior: Prior, names: tuple[str, ...]) -> Prior:
    """Give strategies that the prior lacks the mean of the others, independent of them and wide."""
    places = [names.index(name) for name in prior.names]

    def widen(mean: Vector, cov: Matrix) -> tuple[Vector, Matrix]:
        means, covs = np.full(len(names), mean[1:].mean()), UNKNOWN_SPREAD**2 * np.eye(len(names))
        means[places], covs[np.ix_(places, places)] = mean, cov
        return means, covs

    return Prior(names, *widen(prior.lead, prior.lead_cov), *widen(prior.growth, prior.growth_cov))
