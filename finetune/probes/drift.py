"""Drift: how far images are from those that a network's batch norms were trained on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import nn

from finetune.records.estimate import Estimate

RESAMPLES = 50
DEAD = 1e-3
"""A channel whose stored variance is below this share of the median variance is left out."""


def measure_drift(
    norms: Mapping[str, NDArray[np.float32]], modules: Mapping[str, nn.Module]
) -> dict[str, Estimate]:
    """Compute the drift of each stage, in nats per channel: 0 for images like those of training.

    In: for each stage the mean and mean square of its norm's input, (N, 2, C), and the norm itself. Out: the
    Kullback-Leibler divergence of a normal distribution with the images' mean and variance from one with the
    stored values, as the median over the channels. The error, and the bias from the finite number of images,
    which is subtracted, are estimated by resampling.
    """
    rng = np.random.default_rng(0)
    drift = {}
    for stage, moments in norms.items():
        count = len(moments)
        shares = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
        samples = np.tensordot(shares, moments, 1)
        values = [_divergence(sample, modules[stage]) for sample in samples]
        whole = _divergence(moments.mean(axis=0, dtype=np.float64), modules[stage])
        excess = max(float(np.mean(values)) - whole, 0.0)
        drift[stage] = Estimate(max(whole - excess, 0.0), float(np.std(values)))
    return drift


def _divergence(moments: NDArray[np.float64], norm: nn.Module) -> float:
    stored_mean = norm.get_buffer("running_mean").double().cpu().numpy()
    stored = norm.get_buffer("running_var").double().cpu().numpy()
    alive = stored > DEAD * np.median(stored)
    mean, square = moments[:, alive]
    stored, stored_mean = stored[alive], stored_mean[alive]
    ratio = np.maximum(square - mean**2, DEAD * stored) / stored
    shift = (mean - stored_mean) ** 2 / stored
    return float(np.median(0.5 * (ratio + shift - 1 - np.log(ratio))))
