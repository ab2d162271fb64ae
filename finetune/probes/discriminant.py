"""Linear discriminant analysis with a shrunk covariance: a linear classifier in closed form.

Each step of logistic regression costs images times classes. Here only the answers do; what is solved costs
images plus classes. Sources: Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning,
section 4.3; for the scale of the logits, Guo et al. 2017, "On calibration of modern neural networks",
arXiv:1706.04599.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from finetune.probes.basis import Basis
from finetune.probes.folds import Fold, Targets, stratified_sample
from finetune.probes.logistic import Linear, Matrix
from finetune.probes.strengths import TINY, CVResult, answer_held_out, choose_strength
from finetune.records.estimate import Correct, Estimate, accuracy_of
from finetune.runtime.console import report_progress

SHARES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""What is added to the variance along each axis, in shares of the average of all images, from the strongest.

That within classes is not known where each class has one image to learn from.
"""
SCALES = tuple(float(scale) for scale in np.geomspace(0.001, 2.0, 23))
"""Factors on the logits; where directions are many, the discriminant's own are too large."""
COMPARED = 400
"""Held-out images per fold that shares and scales are compared on; the chosen ones answer for all."""
NEVER = 50.0
"""The output of a class without images is this far below those of the others."""


@dataclass(frozen=True)
class Moments:
    """What a discriminant needs of N images in r directions.

    `axes` (r, r) are those of the scatter within classes, and `variance` (r,) is the variance along each.
    `total` is the variance of all images in the average direction. `means` (K, r) are the classes' means
    minus `centre` (r,), that of all, along these axes; `counts` (K,).
    """

    axes: Matrix
    variance: Matrix
    total: float
    means: Matrix
    centre: Matrix
    counts: NDArray[np.int64]

    def slopes(self, share: float) -> tuple[Matrix, Matrix]:
        """Return weights (K, r) along the axes, around the centre, and biases (K,).

        In: `share` of the total variance, which is added along each axis.
        """
        some = self.counts > 0
        variance = self.variance + max(share * self.total, TINY)
        slopes = self.means / variance
        prior = np.log(np.maximum(self.counts, 1) / self.counts.sum())
        bias = prior - 0.5 * (slopes * self.means).sum(axis=1)
        bias[~some] = bias[some].min() - NEVER
        return slopes, bias

    def classify(self, share: float, scale: float = 1.0) -> Linear:
        """Return the classifier of scores, its logits multiplied by `scale`."""
        slopes, bias = self.slopes(share)
        weight = scale * self.axes @ slopes.T
        return Linear(weight, scale * bias - self.centre @ weight)


def find_moments(scores: Matrix, targets: Targets, classes: int) -> Moments:
    """Compute the moments of N images. In: `scores` (N, r) of a Basis, `targets` (N,)."""
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    counts, images = np.bincount(targets, minlength=classes), np.arange(len(targets))
    members = csr_array((np.ones(len(targets)), (targets, images)), shape=(classes, len(targets)))
    centre = scores.mean(axis=0)
    means = members @ scores / np.maximum(counts, 1)[:, None] - centre
    means[counts == 0] = 0.0
    within = scores - centre - means[targets]
    spare = max(len(targets) - np.count_nonzero(counts), 1)
    variance, axes = np.linalg.eigh(within.T @ within / spare)
    total = float(np.square(scores - centre).mean())
    return Moments(axes, np.maximum(variance, 0.0), total, means @ axes, centre, counts)


@dataclass(frozen=True)
class Part:
    """The moments of a fold, and some held-out images: `along` their axes (n, r), and `targets` (n,)."""

    moments: Moments
    along: NDArray[np.float32]
    targets: Targets

    def answer(self, share: float) -> tuple[Correct, Matrix]:
        """Return which images are answered correctly, (n,), and the summed loss with each of SCALES."""
        slopes, bias = self.moments.slopes(share)
        logits = self.along @ slopes.T.astype(np.float32) + bias.astype(np.float32)
        correct = (logits.argmax(axis=1) == self.targets).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        truth = logits[np.arange(len(logits)), self.targets]
        losses = [np.log(np.exp(scale * logits).sum(axis=1)) - scale * truth for scale in SCALES]
        return correct, np.array(losses).sum(axis=1, dtype=np.float64)


@dataclass(frozen=True)
class Choice:
    """A share with its best scale: the correct answers (n,), and the log loss in nats per image."""

    share: float
    scale: float
    correct: Correct
    log_loss: float

    @property
    def accuracy(self) -> Estimate:
        """The held-out accuracy."""
        return accuracy_of(self.correct)


@dataclass(frozen=True)
class DiscriminantSearch:
    """Cross-validates discriminants on a basis, its targets, and folds that hold out each image once."""

    basis: Basis
    targets: Targets
    classes: int
    folds: Sequence[Fold]
    pool: ThreadPoolExecutor

    def best(self) -> CVResult:
        """Compare shares and scales on some of the held-out images; answer all of them with the best."""
        report_progress("fitting a linear discriminant")
        parts = list(self.pool.map(self._find_part, self.folds))
        chosen = choose_strength([self._try(share, parts) for share in SHARES])
        linears = tuple(part.moments.classify(chosen.share, chosen.scale) for part in parts)
        found = answer_held_out(self.basis, self.targets, self.folds, linears, chosen.share)
        return replace(found, scale=chosen.scale)

    def _find_part(self, fold: Fold) -> Part:
        learned, left = fold
        moments = find_moments(self.basis.scores[learned], self.targets[learned], self.classes)
        rows = left[stratified_sample(self.targets[left], COMPARED)]
        along = (self.basis.scores[rows] - moments.centre) @ moments.axes
        return Part(moments, along.astype(np.float32), self.targets[rows])

    def _try(self, share: float, parts: Sequence[Part]) -> Choice:
        """Answer with every scale; return the scale of the lowest log loss."""
        answers = list(self.pool.map(lambda part: part.answer(share), parts))
        correct = np.concatenate([correct for correct, _ in answers])
        losses = sum((losses for _, losses in answers), np.zeros(len(SCALES))) / len(correct)
        return Choice(share, SCALES[int(losses.argmin())], correct, float(losses.min()))
