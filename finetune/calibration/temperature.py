"""The temperature: one number by which probabilities agree with how often a classifier is right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax  # type: ignore[import-untyped]

Array = NDArray[np.float64]
Targets = NDArray[np.int64]

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits: NDArray[np.floating], targets: Targets) -> float:
    """Return the temperature with the lowest log loss on images that were not trained on.

    It is 1 unless the loss falls by more than the standard error of its fall: probabilities that are
    calibrated already stay as they are. Few images that are all answered correctly would make any answer
    certain; so probabilities become no more extreme than they would if one more image were answered wrongly.
    In: logits (N, classes), targets (N,).
    Sources: Guo et al. 2017, arXiv:1706.04599; for the image more, Platt 1999, Probabilistic outputs for
    support vector machines, section 2.2. The loss is convex in 1 / temperature.
    """
    scores: Array = logits.astype(np.float64)
    temperature = _find_lowest(lambda each: float(log_losses(scores / each, targets).mean()))
    if temperature < 1:
        wrong = 1 / (len(targets) + 2)
        cautious = _find_lowest(lambda each: _expected_loss(scores / each, targets, wrong))
        temperature = min(max(temperature, cautious), 1.0)
    fall = log_losses(scores, targets) - log_losses(scores / temperature, targets)
    error = fall.std() / np.sqrt(len(fall))
    return temperature if fall.mean() > error else 1.0


def _find_lowest(loss: Callable[[float], float]) -> float:
    """Return the temperature at which a loss is lowest."""
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    return float(np.exp(minimize_scalar(lambda log: loss(np.exp(log)), bounds=bounds, method="bounded").x))


def _expected_loss(logits: Array, targets: Targets, wrong: float) -> float:
    """Return the mean loss where a share `wrong` of the labels is of one of the other classes."""
    every: Array = -log_softmax(logits, axis=1)
    right = every[np.arange(len(targets)), targets]
    others = (every.sum(axis=1) - right) / max(every.shape[1] - 1, 1)
    return float(((1 - wrong) * right + wrong * others).mean())


def log_losses(logits: NDArray[np.floating], targets: Targets) -> Array:
    """Return the cross-entropy of each image in nats, (N,)."""
    losses: Array = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(targets)), targets]
    return losses
