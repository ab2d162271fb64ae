"""The closed form for many images and classes: against scikit-learn, and against logistic regression."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from finetune.probes import probe as probe_module
from finetune.probes.discriminant import find_moments
from finetune.probes.probe import measure_probe

Array = NDArray[np.float32]


def clusters(images: int, features: int, classes: int) -> tuple[Array, NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    targets = np.arange(images) % classes
    mixing = rng.standard_normal((features, features)) / features**0.5
    values = (
        rng.standard_normal((classes, features))[targets] + rng.standard_normal((images, features))
    ) @ mixing
    return values.astype(np.float32), targets.astype(np.int64)


def test_equals_scikit_learn_s_discriminant() -> None:
    values, targets = clusters(200, 6, 3)
    scores = values.astype(np.float64)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(scores, targets)
    mine = find_moments(scores, targets, 3).classify(0.0).logits(scores)
    prior = np.log(theirs.priors_)
    # theirs divides the scatter within classes by 200, mine by 200 minus the classes
    expected = (theirs.decision_function(scores) - prior) * 197 / 200 + prior
    np.testing.assert_allclose(mine - mine[:, :1], expected - expected[:, :1], atol=1e-5)


def test_a_class_without_images_never_wins() -> None:
    values, targets = clusters(60, 5, 3)
    linear = find_moments(values.astype(np.float64), 2 * targets, 6).classify(0.1)
    assert set(linear.logits(values.astype(np.float64)).argmax(axis=1)) <= {0, 2, 4}


@pytest.mark.parametrize("classes", [5, 40])
def test_is_as_accurate_and_as_calibrated_as_logistic_regression(
    monkeypatch: pytest.MonkeyPatch, classes: int
) -> None:
    values, targets = clusters(1200, 30, classes)
    learned, rest = slice(0, 400), slice(400, 1200)
    exact = measure_probe(values[learned], targets[learned])
    fitted = [exact.fit()]
    monkeypatch.setattr(probe_module, "LARGE", 0.0)
    closed = measure_probe(values[learned], targets[learned])
    fitted.append(closed.fit())
    before, after = (
        float((probe.logits(values[rest]).argmax(axis=1) == targets[rest]).mean()) for probe in fitted
    )
    assert after > before - 0.03
    assert abs(closed.cv.accuracy.value - after) < 3 * closed.cv.accuracy.error
    assert closed.cv.log_loss < exact.cv.log_loss + 0.05
    assert len(closed.cv.linears) == 5


def test_two_images_per_class_in_many_directions_are_not_answered_with_confidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_module, "LARGE", 0.0)
    rng = np.random.default_rng(0)
    values, targets = rng.standard_normal((160, 300)).astype(np.float32), np.arange(160) % 80
    assert measure_probe(values, targets.astype(np.int64)).cv.log_loss < 1.1 * np.log(80)
