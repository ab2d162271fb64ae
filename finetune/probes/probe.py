"""Linear probes: how well one linear layer on frozen features does, and that layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from finetune.probes.basis import Basis, find_basis
from finetune.probes.folds import FOLDS, Targets, deal_folds
from finetune.probes.logistic import fit_logistic
from finetune.probes.strengths import TINY, Search, Trial
from finetune.records.estimate import Estimate, Hits
from finetune.runtime.threads import one_core_each
from zoo.errors import GraftError

Array = NDArray[np.float32]

LARGE = 2e8
"""Images x directions x classes beyond which a probe is measured on fewer folds and fitted less exactly."""
FEWER_FOLDS = 3


@dataclass(frozen=True)
class Probe:
    """A linear classifier of raw features, and what the images that were left out say of it.

    `weight` (K, F) and `bias` (K,) take features as the network gives them. `strength` is the ridge penalty
    on standardised features, 1 / C of scikit-learn. `probabilities` (N, K) are those of each image when it
    was left out, NaN where it never was, being the only one of its class; `hits` (N,) the share of times
    that it was answered rightly. `log_loss` is in nats an image.
    """

    weight: Array
    bias: Array
    strength: float
    accuracy: Estimate
    fold_accuracies: tuple[float, ...]
    log_loss: float
    probabilities: Array
    hits: Hits

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The most probable class of each image when it was left out, (N,); -1 where it never was."""
        return np.where(np.isnan(self.hits), -1, np.nan_to_num(self.probabilities).argmax(axis=1))

    def logits(self, features: Array) -> Array:
        """In: raw features (N, F). Out: (N, K)."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True)
class MeasuredProbe:
    """A probe that was cross-validated and not yet fitted to all images: enough to compare it."""

    basis: Basis
    trial: Trial
    targets: Targets
    classes: int

    def losses(self) -> NDArray[np.float64]:
        """Minus the log of each image's probability for its own class when it was left out, (N,)."""
        truth = self.trial.probabilities[np.arange(len(self.targets)), self.targets]
        return -np.log(np.maximum(truth.astype(np.float64), TINY))

    def fit(self) -> Probe:
        """Fit to all images at the strength that was chosen."""
        trial, basis = self.trial, self.basis
        exact = not _large(basis, self.classes)
        with one_core_each():
            final = fit_logistic(
                basis, self.targets, self.classes, trial.strength, start=trial.linears[0], exact=exact
            )
        weight = basis.directions @ final.weight
        return Probe(
            weight=np.ascontiguousarray(weight.T, dtype=np.float32),
            bias=(final.bias - basis.mean @ weight).astype(np.float32),
            strength=trial.strength,
            accuracy=trial.accuracy,
            fold_accuracies=trial.fold_accuracies,
            log_loss=trial.log_loss,
            probabilities=trial.probabilities,
            hits=trial.hits,
        )


def fit_probe(
    features: Array | Sequence[Array], targets: Targets, *, classes: int | None = None, seed: int = 0
) -> Probe:
    """Fit a multinomial logistic regression, its ridge strength chosen by stratified cross-validation.

    In: features (N, F), or several blocks of the same images, which weigh the same and are joined in that
    order; `targets` (N,) from 0 to `classes` - 1. Two images a class are enough. An image that is the only
    one of its class is learned from and never asked. Of strengths of about equal accuracy, the one with the
    least log loss is taken, so that the probabilities mean what they say.
    Raises: GraftError when fewer than two classes have images, when no class has two, or when sizes disagree.
    """
    return measure_probe(features, targets, classes=classes, seed=seed).fit()


def measure_probe(
    features: Array | Sequence[Array], targets: Targets, *, classes: int | None = None, seed: int = 0
) -> MeasuredProbe:
    """Cross-validate as fit_probe does, and fit nothing yet. The same seed deals the same folds."""
    blocks = [features] if isinstance(features, np.ndarray) else list(features)
    classes = _check(blocks, targets, classes)
    with one_core_each() as pool:
        basis = find_basis(blocks)
        folds = FEWER_FOLDS if _large(basis, classes) else FOLDS
        search = Search(basis, targets, classes, deal_folds(targets, seed=seed, folds=folds), pool)
        return MeasuredProbe(basis, search.best(), targets, classes)


def probe_head(probe: Probe, linear: nn.Module) -> None:
    """Write the probe into a network's head.

    Raises: GraftError when the head is not a linear layer with a bias, or has another shape.
    """
    if not isinstance(linear, nn.Linear) or linear.bias is None:
        raise GraftError(f"a probe becomes a linear head with a bias; this head is {linear}")
    if linear.weight.shape != probe.weight.shape:
        classes, features = probe.weight.shape
        raise GraftError(
            f"a probe of {features} features and {classes} classes does not fit a head that takes"
            f" {linear.in_features} features and gives {linear.out_features} classes"
        )
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(probe.weight))
        linear.bias.copy_(torch.from_numpy(probe.bias))


def _large(basis: Basis, classes: int) -> bool:
    return basis.scores.size * classes > LARGE


def _check(blocks: Sequence[Array], targets: Targets, classes: int | None) -> int:
    """Give the number of classes, and refuse what does not fit together."""
    counts = sorted({len(block) for block in blocks})
    if counts != [len(targets)] or not len(targets):
        raise GraftError(f"a probe needs one target an image; found {len(targets)} targets, images: {counts}")
    found = int(targets.max()) + 1
    if classes is not None and found > classes:
        raise GraftError(f"the targets name {found} classes; expected {classes} at most")
    return classes or found
