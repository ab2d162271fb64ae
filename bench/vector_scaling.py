"""Vector scaling, the alternative to a temperature: each class has a factor and a constant of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import log_softmax, softmax  # type: ignore[import-untyped]

Array = NDArray[np.float64]
PULL = 1.0
"""Weight of the squared distance from factors of 1 and constants of 0, in images."""


def fit_vector(logits: Array, targets: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return factors and constants (classes,) with the lowest log loss. In: (N, classes), (N,).

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    count, classes = logits.shape
    truth = np.eye(classes)[targets]

    def loss(flat: Array) -> tuple[float, Array]:
        factors, constants = flat.reshape(2, classes)
        scores = logits * factors + constants
        value = -(log_softmax(scores, axis=1) * truth).sum()
        slope = softmax(scores, axis=1) - truth
        pulled = np.stack([factors - 1, constants])
        slopes = np.stack([(slope * logits).sum(0), slope.sum(0)]) + PULL * pulled
        return (value + 0.5 * PULL * float((pulled**2).sum())) / count, slopes.ravel() / count

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(2, classes)
    return found[0], found[1]
