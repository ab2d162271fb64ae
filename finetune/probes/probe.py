"""Linear probes: a linear classifier on frozen features, and its held-out accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from finetune.probes.basis import Basis, find_basis
from finetune.probes.discriminant import DiscriminantSearch, find_moments
from finetune.probes.folds import Targets, deal_folds
from finetune.probes.logistic import fit_logistic
from finetune.probes.strengths import TINY, CVResult, StrengthSearch
from finetune.records.estimate import Estimate
from finetune.runtime.threads import one_core_each
from zoo.errors import GraftError

Array = NDArray[np.float32]

LARGE = 4e7
"""Images x directions x classes above which a probe is a discriminant, dealt into folds once.

On 100 classes of Tiny ImageNet with 20, 5 and 2 images each (256 features of the head's input), the
discriminant was right on 62.5, 51.1 and 41.5% of 4,000 other images, logistic regression on 61.2, 49.7 and
40.5%; its log loss was 1.43, 1.87 and 2.73 nats, against 1.48, 1.98 and 2.62, and its time a tenth or less.
"""


@dataclass(frozen=True)
class Chosen:
    """What cross-validation chose: the strength of the penalty, and the factor on a discriminant's logits.

    `accuracy` is the held-out accuracy.
    """

    strength: float
    scale: float
    accuracy: Estimate


@dataclass(frozen=True)
class Probe:
    """A linear classifier of raw features, `weight` (K, F) and `bias` (K,), and how it was chosen."""

    weight: Array
    bias: Array
    chosen: Chosen

    def logits(self, features: Array) -> Array:
        """Compute logits (N, K) from raw features (N, F)."""
        return features @ self.weight.T + self.bias

    def balance(self, targets: Targets) -> Probe:
        """Return the classifier for images of which each class has as many.

        In: the targets (N,) that it was fitted to.
        Source: Menon et al. 2021, Long-tail learning via logit adjustment, arXiv:2007.07314.
        """
        counts = np.bincount(targets, minlength=len(self.bias)).clip(1)
        bias = self.bias - np.log(counts / counts.mean())
        return replace(self, bias=bias.astype(np.float32))


@dataclass(frozen=True)
class MeasuredProbe:
    """A probe that was cross-validated but not yet fitted to all images."""

    basis: Basis
    cv: CVResult
    targets: Targets
    classes: int

    def losses(self) -> NDArray[np.float64]:
        """Return the held-out cross-entropy of each image in nats, (N,)."""
        truth = self.cv.probabilities[np.arange(len(self.targets)), self.targets]
        return -np.log(np.maximum(truth.astype(np.float64), TINY))

    @property
    def chosen(self) -> Chosen:
        """What the probe is fitted with."""
        return Chosen(self.cv.strength, self.cv.scale, self.cv.accuracy)

    def fit(self) -> Probe:
        """Fit the probe to all images at the chosen strength."""
        with one_core_each():
            return _fit(self.basis, self.targets, self.classes, self.chosen)


def fit_probe(
    features: Array | Sequence[Array], targets: Targets, *, classes: int | None = None, seed: int = 0
) -> Probe:
    """Fit a linear classifier, the strength of its penalty chosen by stratified cross-validation.

    It is a multinomial logistic regression, or, where there are many images and classes, a discriminant.

    In: features (N, F), or several blocks of the same images, which are scaled to equal weight and
    concatenated; `targets` (N,) from 0 to `classes` - 1. Two images per class are enough. The only image of a
    class is never held out. Of strengths of about equal accuracy, the one with the lowest log loss is taken,
    so that the probabilities are calibrated.
    Raises: GraftError when fewer than two classes have images, or no class has two.
    """
    return measure_probe(features, targets, classes=classes, seed=seed).fit()


def measure_probe(
    features: Array | Sequence[Array], targets: Targets, *, classes: int | None = None, seed: int = 0
) -> MeasuredProbe:
    """Cross-validate as fit_probe does, without the final fit. The same seed deals the same folds."""
    blocks = [features] if isinstance(features, np.ndarray) else list(features)
    assert all(len(block) == len(targets) for block in blocks), "one target for each image"
    classes = classes or int(targets.max()) + 1
    with one_core_each() as pool:
        basis = find_basis(blocks)
        if _large(basis, classes):
            folds = deal_folds(targets, seed=seed)[0]
            found = DiscriminantSearch(basis, targets, classes, folds, pool).best()
        else:
            found = StrengthSearch(basis, targets, classes, deal_folds(targets, seed=seed), pool).best()
        return MeasuredProbe(basis, found, targets, classes)


def fit_chosen(features: Sequence[Array], targets: Targets, chosen: Chosen, *, classes: int) -> Probe:
    """Fit the probe that was chosen before on the same features: as fit_probe, without cross-validation."""
    with one_core_each():
        return _fit(find_basis(features), targets, classes, chosen)


def write_head(probe: Probe, linear: nn.Module) -> None:
    """Write the probe into a network's head.

    Raises: GraftError when the head is not a linear layer with a bias, or has another shape.
    """
    if not isinstance(linear, nn.Linear) or linear.bias is None:
        raise GraftError(f"a probe needs a linear head with a bias; this head is {linear}")
    if linear.weight.shape != probe.weight.shape:
        classes, features = probe.weight.shape
        raise GraftError(
            f"a probe of {features} features and {classes} classes does not fit a head of"
            f" {linear.in_features} features and {linear.out_features} classes"
        )
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(probe.weight))
        linear.bias.copy_(torch.from_numpy(probe.bias))


def _fit(basis: Basis, targets: Targets, classes: int, chosen: Chosen) -> Probe:
    if _large(basis, classes):
        final = find_moments(basis.scores, targets, classes).classify(chosen.strength, chosen.scale)
    else:
        final = fit_logistic(basis, targets, classes, chosen.strength, exact=True)
    weight = basis.directions @ final.weight
    return Probe(
        weight=np.ascontiguousarray(weight.T, dtype=np.float32),
        bias=(final.bias - basis.mean @ weight).astype(np.float32),
        chosen=chosen,
    )


def _large(basis: Basis, classes: int) -> bool:
    return basis.scores.size * classes > LARGE
