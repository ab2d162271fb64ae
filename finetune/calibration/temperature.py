"""The temperature: one number by which probabilities agree with how often a classifier is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax  # type: ignore[import-untyped]

Array = NDArray[np.float64]
Targets = NDArray[np.int64]

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits: NDArray[np.floating], targets: Targets) -> float:
    """Return the temperature with the lowest log loss on images that were not trained on.

    It is 1 unless the loss falls by more than the standard error of its fall: probabilities that are
    calibrated already stay as they are. In: logits (N, classes), targets (N,).
    Source: Guo et al. 2017, arXiv:1706.04599. The loss is convex in 1 / temperature.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    logits = logits.astype(np.float64)
    found = minimize_scalar(
        lambda log: log_losses(logits / np.exp(log), targets).mean(),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    temperature = float(np.exp(found.x))
    fall = log_losses(logits, targets) - log_losses(logits / temperature, targets)
    error = fall.std() / np.sqrt(len(fall))
    return temperature if fall.mean() > error else 1.0


def log_losses(logits: NDArray[np.floating], targets: Targets) -> Array:
    """Return the cross-entropy of each image in nats, (N,)."""
    losses: Array = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(targets)), targets]
    return losses
