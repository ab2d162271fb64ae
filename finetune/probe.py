"""Linear probes: how well one linear layer on frozen features does, and that layer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import nn

from finetune.basis import Basis, find_basis
from finetune.estimate import Estimate, Hits, share
from finetune.folds import Fold, Targets, deal_folds
from finetune.logistic import Linear, fit_logistic
from zoo.errors import GraftError

Array = NDArray[np.float32]

COARSE = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""Strengths that are tried, from the strongest, in shares of the number of features."""
FINE = 10**0.5
"""Then the best one's neighbours at this ratio."""
PATIENCE = 2
"""Strengths without a better log loss or accuracy after which weaker ones are not tried."""
EQUAL = 0.5
"""Accuracies nearer to the best than this many standard errors count as equal; the log loss decides."""
LARGE = 2e8
"""Images x directions x classes from which a probe is measured on fewer folds."""
FEWER_FOLDS = 3


@dataclass(frozen=True)
class Probe:
    """A linear classifier of raw features, and what is left out told of it.

    `weight` (K, F) and `bias` (K,) take features as the network gives them. `strength` is the ridge
    penalty, 1 / C of scikit-learn, on standardised features. `probabilities` (N, K) are those of each image
    when it was left out (NaN for an image that never was: the only one of its class), `hits` (N,) the share
    of the times that it was answered rightly. `log_loss` is in nats an image.
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
        asked = ~np.isnan(self.hits)
        return np.where(asked, np.nan_to_num(self.probabilities).argmax(axis=1), -1)

    def logits(self, features: Array) -> Array:
        """In: raw features (N, F). Out: (N, K)."""
        return features @ self.weight.T + self.bias


def fit_probe(
    features: Array | Sequence[Array], targets: Targets, *, classes: int | None = None, seed: int = 0
) -> Probe:
    """Fit a multinomial logistic regression, its ridge strength chosen by stratified cross-validation.

    In: features (N, F), or several blocks of the same images, which are weighed evenly and joined in that
    order; `targets` (N,) from 0 to `classes` - 1. Among strengths of about equal accuracy the one of least
    log loss is taken, so that the probabilities mean what they say.
    Raises: GraftError when fewer than two classes have images, no class has two, or shapes disagree.
    """
    blocks = [features] if isinstance(features, np.ndarray) else list(features)
    classes = _check(blocks, targets, classes)
    basis = find_basis(blocks)
    large = basis.scores.size * classes > LARGE
    repeats = deal_folds(targets, seed=seed, **({"folds": FEWER_FOLDS} if large else {}))
    with _one_thread_each() as pool:
        trials = _Trials(basis, targets, classes, repeats, pool)
        best = trials.search(sum(block.shape[1] for block in blocks))
        final = fit_logistic(basis, targets, classes, best.strength, start=best.linears[0], exact=not large)
    weight = basis.weight(final.weight)
    return Probe(
        weight=weight.T.astype(np.float32),
        bias=(final.bias - basis.mean @ weight).astype(np.float32),
        strength=best.strength,
        accuracy=share(best.hits),
        fold_accuracies=best.fold_accuracies,
        log_loss=best.log_loss,
        probabilities=best.probabilities,
        hits=best.hits,
    )


def probe_head(probe: Probe, linear: nn.Linear) -> None:
    """Write the probe into a linear layer of its shape.

    Raises: GraftError when the layer has another shape, or no bias.
    """
    found = (linear.out_features, linear.in_features)
    if found != probe.weight.shape or linear.bias is None:
        raise GraftError(
            f"the probe has {probe.weight.shape[0]} classes and {probe.weight.shape[1]} features with a bias;"
            f" the head takes {found[0]} and {found[1]}{'' if linear.bias is not None else ' without one'}"
        )
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(probe.weight))
        linear.bias.copy_(torch.from_numpy(probe.bias))


@dataclass(frozen=True)
class _Trial:
    """One strength, cross-validated; `linears` holds the solution of each fold."""

    strength: float
    linears: tuple[Linear, ...]
    probabilities: Array
    hits: Hits
    fold_accuracies: tuple[float, ...]
    log_loss: float

    @property
    def accuracy(self) -> Estimate:
        return share(self.hits)


@dataclass(frozen=True)
class _Trials:
    """Cross-validation of strengths on the same folds."""

    basis: Basis
    targets: Targets
    classes: int
    repeats: Sequence[Sequence[Fold]]
    pool: ThreadPoolExecutor

    def search(self, features: int) -> _Trial:
        """Try the coarse strengths from the strongest, each from the last one's solution, then the fine ones."""
        trials: list[_Trial] = []
        for share_ in COARSE:
            trials.append(self.run(share_ * features, trials[-1].linears if trials else None))
            if _stale(trials):
                break
        best = choose(trials)
        trials += [self.run(best.strength * ratio, best.linears) for ratio in (FINE, 1 / FINE)]
        return choose(trials)

    def run(self, strength: float, start: Sequence[Linear] | None) -> _Trial:
        """Cross-validate one strength."""
        folds = [fold for folds in self.repeats for fold in folds]
        starts = start or [None] * len(folds)
        work = [self.pool.submit(self._fit, fold, strength, begin) for fold, begin in zip(folds, starts, strict=True)]
        linears = tuple(item.result() for item in work)
        return self._judge(folds, linears, strength)

    def _fit(self, fold: Fold, strength: float, start: Linear | None) -> Linear:
        return fit_logistic(self.basis, self.targets, self.classes, strength, rows=fold[0], start=start)

    def _judge(self, folds: Sequence[Fold], linears: tuple[Linear, ...], strength: float) -> _Trial:
        total = np.zeros((len(self.targets), self.classes))
        right, asked, loss, accuracies = np.zeros(len(total)), np.zeros(len(total)), 0.0, []
        for (_, left), linear in zip(folds, linears, strict=True):
            probabilities = _softmax(linear.logits(self.basis.scores[left]))
            truth = self.targets[left]
            hit = probabilities.argmax(axis=1) == truth
            total[left] += probabilities
            right[left] += hit
            asked[left] += 1
            loss -= float(np.log(np.maximum(probabilities[np.arange(len(left)), truth], 1e-12)).sum())
            accuracies.append(float(hit.mean()))
        with np.errstate(invalid="ignore"):
            average = (total / asked[:, None]).astype(np.float32)
            hits = right / asked
        return _Trial(strength, linears, average, hits, tuple(accuracies), loss / asked.sum())


def choose(trials: Sequence[_Trial]) -> _Trial:
    """The least log loss among those whose accuracy is about the best."""
    best = max((trial.accuracy for trial in trials), key=lambda accuracy: accuracy.value)
    equal = [trial for trial in trials if trial.accuracy.value >= best.value - EQUAL * best.error]
    return min(equal, key=lambda trial: trial.log_loss)


def _stale(trials: Sequence[_Trial]) -> bool:
    """Whether the last strengths were better in nothing."""
    if len(trials) <= PATIENCE:
        return False
    before, last = trials[:-PATIENCE], trials[-PATIENCE:]
    loss = min(trial.log_loss for trial in before)
    accuracy = max(trial.accuracy.value for trial in before)
    return all(trial.log_loss >= loss and trial.accuracy.value <= accuracy for trial in last)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _check(blocks: Sequence[Array], targets: Targets, classes: int | None) -> int:
    """Give the number of classes; refuse what does not fit together."""
    counts = {len(block) for block in blocks}
    if counts != {len(targets)}:
        raise GraftError(f"a probe needs one target an image; found {len(targets)} for {sorted(counts)} images")
    if not len(targets):
        raise GraftError("a probe needs images; there are none")
    found = int(targets.max()) + 1
    if classes is not None and found > classes:
        raise GraftError(f"targets go up to {found - 1}, and there are {classes} classes")
    return classes or found


@contextmanager
def _one_thread_each() -> Iterator[ThreadPoolExecutor]:
    """Folds side by side, each on one core: small products gain nothing from many, and lose much on a busy machine."""
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        yield pool
