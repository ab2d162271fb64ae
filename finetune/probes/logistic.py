"""Multinomial logistic regression with a ridge penalty, fast enough to be fitted dozens of times.

The problem and its solution are those of scikit-learn's LogisticRegression. In the coordinates of a Basis the
curvature is bounded by a diagonal (Böhning 1992, "Multinomial logistic regression algorithm"). With that as a
preconditioner, L-BFGS takes 5 to 20 steps instead of 50 to 300.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetune.probes.basis import Basis
from finetune.probes.folds import Rows, Targets

Matrix = NDArray[np.float64]

CURVATURE = 0.25
"""Bound on the second derivative of an image's loss with respect to a logit: p(1 - p)."""


@dataclass(frozen=True)
class Linear:
    """A linear classifier of scores: `weight` (r, K), `bias` (K,)."""

    weight: Matrix
    bias: Matrix

    def logits(self, scores: Matrix) -> Matrix:
        """Compute logits (N, K) from scores (N, r)."""
        return scores @ self.weight + self.bias


def fit_logistic(
    basis: Basis,
    targets: Targets,
    classes: int,
    strength: float,
    *,
    rows: Rows | None = None,
    start: Linear | None = None,
    exact: bool = False,
) -> Linear:
    """Minimise the summed cross-entropy plus strength / 2 times the squared weights, without the bias.

    `strength` is 1 / C of scikit-learn; `rows` are the images to learn from, all by default; `start` is a
    solution of a similar problem. `exact` converges in float64; without it the mean loss has an error of
    about 1e-4, which is enough to compare strengths.
    """
    scores, targets = (basis.scores, targets) if rows is None else (basis.scores[rows], targets[rows])
    count, rank = scores.shape
    part = count / len(basis.scores)
    unit = np.append(1 / np.sqrt(CURVATURE * part * basis.energy + strength), 1 / np.sqrt(CURVATURE * count))
    kind = np.float64 if exact else np.float32
    inputs = (np.concatenate([scores, np.ones((count, 1))], axis=1) * unit).astype(kind)
    penalty = np.append(strength * unit[:-1] ** 2, 0.0)[:, None]
    every = np.arange(count)

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        point = flat.reshape(rank + 1, classes)
        logits = inputs @ point.astype(kind, copy=False)
        logits -= logits.max(axis=1, keepdims=True)
        right = logits[every, targets].sum(dtype=np.float64)
        np.exp(logits, out=logits)
        total = logits.sum(axis=1)
        value = np.log(total).sum(dtype=np.float64) - right + 0.5 * float((penalty * point**2).sum())
        logits /= total[:, None]
        logits[every, targets] -= 1
        slope = inputs.T @ logits + penalty * point
        return value / count, slope.astype(np.float64).ravel() / count

    guess = np.zeros((rank + 1, classes))
    if start is not None:
        guess = np.vstack([start.weight, start.bias]) / unit[:, None]
    options = (
        {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8}
        if exact
        else {"maxiter": 100, "ftol": 1e-5, "gtol": 1e-5}
    )
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    found = minimize(loss, guess.ravel(), jac=True, method="L-BFGS-B", options=options)
    solution = found.x.reshape(rank + 1, classes) * unit[:, None]
    return Linear(solution[:-1], solution[-1])
