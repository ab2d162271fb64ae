"""Choosing the strength of a ridge penalty by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from finetune.probes.basis import Basis
from finetune.probes.folds import Fold, Targets
from finetune.probes.logistic import Linear, fit_logistic
from finetune.records.estimate import Correct, Estimate, accuracy_of

COARSE = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""Strengths to try, from the strongest, as multiples of the number of features."""
FINE = 10**0.5
"""Then the best one is multiplied and divided by this."""
PATIENCE = 2
"""Weaker strengths are not tried after this number without a better log loss or accuracy."""
TINY = 1e-12
"""The smallest probability that a logarithm is taken of."""
EQUAL = 1.0
"""Accuracies within this many standard errors of the best count as equal, and the log loss decides.

Over 72 draws of 5 to 80 images per class (six sets of features), this gave 63.1% and 1.03 nats on images that
were not drawn; the highest accuracy alone gave 63.0% and 1.18 nats; the lowest log loss alone gave 62.8% and
1.03 nats, in one draw 14 points less.
"""


@dataclass(frozen=True)
class CVResult:
    """The cross-validation of one strength on N images.

    `linears` holds the solution of each fold. `probabilities` (N, K) and `correct` (N,) are averages over the
    times that an image was held out, NaN where it never was. `log_loss` is in nats per image. `scale`
    multiplies the logits of a discriminant.
    """

    strength: float
    linears: tuple[Linear, ...]
    probabilities: NDArray[np.float32]
    correct: Correct
    log_loss: float
    scale: float = 1.0

    @property
    def accuracy(self) -> Estimate:
        """The held-out accuracy."""
        return accuracy_of(self.correct)


@dataclass(frozen=True)
class StrengthSearch:
    """Cross-validates strengths on a basis, its targets, and the folds of each repeat."""

    basis: Basis
    targets: Targets
    classes: int
    repeats: Sequence[Sequence[Fold]]
    pool: ThreadPoolExecutor

    def best(self) -> CVResult:
        """Try coarse strengths from the strongest, each from the last solution, then finer ones."""
        results: list[CVResult] = []
        features = len(self.basis.mean)
        for part in COARSE:
            results.append(self.run(part * features, results[-1].linears if results else None))
            if _has_stalled(results):
                break
        coarse = choose_strength(results)
        results += [self.run(coarse.strength * ratio, coarse.linears) for ratio in (FINE, 1 / FINE)]
        return choose_strength(results)

    def run(self, strength: float, start: Sequence[Linear] | None = None) -> CVResult:
        """Cross-validate one strength; `start` holds a solution of a similar problem for each fold."""
        folds = [fold for dealt in self.repeats for fold in dealt]

        def fit(index: int) -> Linear:
            rows = folds[index][0]
            begin = start[index] if start else None
            return fit_logistic(self.basis, self.targets, self.classes, strength, rows=rows, start=begin)

        linears = tuple(self.pool.map(fit, range(len(folds))))
        return answer_held_out(self.basis, self.targets, folds, linears, strength)


def answer_held_out(
    basis: Basis,
    targets: Targets,
    folds: Sequence[Fold],
    linears: tuple[Linear, ...],
    strength: float,
) -> CVResult:
    """Answer the held-out images of every fold with its classifier."""
    total = np.zeros((len(targets), len(linears[0].bias)))
    correct, asked, loss = np.zeros(len(total)), np.zeros(len(total)), 0.0
    for (_, left), linear in zip(folds, linears, strict=True):
        probabilities = softmax(linear.logits(basis.scores[left]))
        truth = targets[left]
        total[left] += probabilities
        correct[left] += probabilities.argmax(axis=1) == truth
        asked[left] += 1
        loss -= float(np.log(np.maximum(probabilities[np.arange(len(left)), truth], TINY)).sum())
    times = np.where(asked > 0, asked, np.nan)
    average = (total / times[:, None]).astype(np.float32)
    return CVResult(strength, linears, average, correct / times, loss / float(asked.sum()))


class Answers(Protocol):
    """How well one strength answers held-out images."""

    @property
    def accuracy(self) -> Estimate:
        """The held-out accuracy."""

    @property
    def log_loss(self) -> float:
        """In nats per image."""


A = TypeVar("A", bound=Answers)


def choose_strength(results: Sequence[A]) -> A:
    """Return the result with the lowest log loss among those whose accuracy is about the best."""
    best = max((result.accuracy for result in results), key=lambda accuracy: accuracy.value)
    equal = [result for result in results if result.accuracy.value >= best.value - EQUAL * best.error]
    return min(equal, key=lambda result: result.log_loss)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities over the last dimension."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _has_stalled(results: Sequence[CVResult]) -> bool:
    """Return whether the last strengths improved neither log loss nor accuracy."""
    if len(results) <= PATIENCE:
        return False
    before, last = results[:-PATIENCE], results[-PATIENCE:]
    loss = min(result.log_loss for result in before)
    accuracy = max(result.accuracy.value for result in before)
    return all(result.log_loss >= loss and result.accuracy.value <= accuracy for result in last)
