"""Linear probes against scikit-learn, planted truths, and the smallest data that can be measured."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from finetune.probes.probe import MeasuredProbe, fit_chosen, fit_probe, measure_probe, write_head
from zoo.errors import GraftError

Array = NDArray[np.float32]


def clusters(
    images: int, features: int, classes: int, apart: float, seed: int = 0
) -> tuple[Array, NDArray[np.int64]]:
    """Classes whose centres lie `apart` standard deviations from the middle, in features of unlike scales."""
    rng = np.random.default_rng(seed)
    targets = np.arange(images) % classes
    centres = rng.standard_normal((classes, features))
    centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
    scale = 10 ** rng.uniform(-2, 2, features)
    values = (centres[targets] + rng.standard_normal((images, features))) * scale + 3 * scale
    return values.astype(np.float32), targets.astype(np.int64)


def predictions(probe: MeasuredProbe) -> NDArray[np.int64]:
    """The most probable class of each image when it was held out, (N,); -1 where it never was."""
    likely = np.nan_to_num(probe.cv.probabilities).argmax(axis=1)
    return np.where(np.isnan(probe.cv.correct), -1, likely)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(scipy.special.softmax(logits, axis=1), dtype=np.float64)


@pytest.mark.parametrize(("images", "features"), [(120, 10), (40, 90)])
def test_equals_scikit_learn_on_raw_features(images: int, features: int) -> None:
    values, targets = clusters(images, features, 3, apart=2.0)
    probe = fit_probe(values, targets)
    theirs = make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / probe.chosen.strength, tol=1e-10, max_iter=10_000)
    ).fit(values.astype(np.float64), targets)
    mine = softmax(values.astype(np.float64) @ probe.weight.T.astype(np.float64) + probe.bias)
    # both stop short of the minimum, and the weights are stored in float32
    np.testing.assert_allclose(mine, theirs.predict_proba(values.astype(np.float64)), atol=1e-5)


def test_finds_the_accuracy_of_the_best_possible() -> None:
    values, targets = clusters(4000, 20, 2, apart=1.5)
    centres = np.array([values[targets == k].mean(axis=0) for k in range(2)])
    scale = values[targets == 0].std(axis=0)
    distances = (((values[:, None] - centres) / scale) ** 2).sum(axis=2)  # equal spreads: the nearer centre
    best = float((distances.argmin(axis=1) == targets).mean())
    assert 0.8 < best < 0.99
    probe = fit_probe(values[:1000], targets[:1000])
    assert abs(probe.chosen.accuracy.value - best) < 3 * probe.chosen.accuracy.error
    fresh = probe.logits(values[1000:]).argmax(axis=1) == targets[1000:]
    assert abs(float(fresh.mean()) - best) < 0.02


def test_separable_classes_are_classified_with_an_error_above_zero() -> None:
    measured = measure_probe(*clusters(60, 8, 3, apart=20.0))
    assert measured.cv.accuracy.value == 1.0
    assert 0.005 < measured.cv.accuracy.error < 0.03
    assert measured.cv.log_loss < 0.05
    assert (predictions(measured) == np.arange(60) % 3).all()


@pytest.mark.parametrize("images", [30, 400])
def test_labels_without_signal_are_at_chance(images: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((images, 50)).astype(np.float32)
    measured = measure_probe(values, rng.permutation(np.arange(images) % 4).astype(np.int64))
    # 1 in 4, and a little more for the best of several strengths
    assert abs(measured.cv.accuracy.value - 0.25) < 2.5 * measured.cv.accuracy.error
    assert measured.cv.log_loss < np.log(4) * 1.1  # no confidence where there is no ground for it


def test_out_of_fold_probabilities_are_calibrated() -> None:
    values, targets = clusters(1200, 30, 3, apart=1.5)
    measured = measure_probe(values, targets)
    probe = measured.fit()
    confidence = measured.cv.probabilities.max(axis=1)
    assert abs(confidence.mean() - (predictions(measured) == targets).mean()) < 0.04
    np.testing.assert_allclose(measured.cv.probabilities.sum(axis=1), 1, atol=1e-5)
    own = softmax(probe.logits(values)).max(axis=1)
    assert own.mean() < 0.9  # the head that is kept is not saturated either


def test_two_images_a_class() -> None:
    values, targets = clusters(8, 40, 4, apart=15.0)
    probe = fit_probe(values, targets)
    assert probe.chosen.accuracy.value > 0.8
    assert probe.chosen.accuracy.error > 0.08
    assert (probe.logits(values).argmax(axis=1) == targets).all()


def test_the_only_image_of_a_class_is_never_held_out() -> None:
    values, targets = clusters(30, 10, 2, apart=10.0)
    values, targets = np.vstack([values, values[:1] + 50 * values.std(axis=0)]), np.append(targets, 2)
    measured = measure_probe(values, targets)
    probe = measured.fit()
    assert np.isnan(measured.cv.correct[-1])
    assert np.isnan(measured.cv.probabilities[-1]).all()
    assert predictions(measured)[-1] == -1
    assert measured.cv.accuracy.value == 1.0
    assert probe.logits(values[-1:]).argmax() == 2


def test_unlike_class_sizes() -> None:
    values, targets = clusters(600, 10, 2, apart=3.0)
    kept = np.flatnonzero((targets == 0) | (np.arange(600) < 20))
    measured = measure_probe(values[kept], targets[kept])
    assert measured.cv.accuracy.value > 0.95
    assert len(measured.cv.linears) == 5


def test_constant_features_and_equal_images() -> None:
    values, targets = clusters(60, 6, 2, apart=10.0)
    values[:, 2] = 7.5
    probe = fit_probe(values, targets)
    assert probe.weight[0, 2] == 0
    assert probe.chosen.accuracy.value == 1.0
    equal = fit_probe(np.ones((40, 6), np.float32), np.array([0] * 30 + [1] * 10))
    assert equal.chosen.accuracy.value == pytest.approx(0.75)
    assert np.isfinite(equal.weight).all()
    assert softmax(equal.logits(np.ones((1, 6), np.float32)))[0, 0] == pytest.approx(0.75, abs=0.01)


def test_a_class_without_images_gets_an_output_that_never_wins() -> None:
    values, targets = clusters(40, 6, 2, apart=5.0)
    probe = fit_probe(values, targets, classes=4)
    assert probe.weight.shape == (4, 6)
    assert probe.logits(values).argmax(axis=1).max() == 1


def test_blocks_weigh_the_same() -> None:
    narrow, targets = clusters(200, 3, 2, apart=3.0)
    wide = np.random.default_rng(3).standard_normal((200, 300)).astype(np.float32)
    joined = fit_probe(np.hstack([narrow, wide]), targets)
    blocks = fit_probe([narrow, wide], targets)
    assert blocks.weight.shape == joined.weight.shape == (2, 303)
    assert blocks.chosen.accuracy.value > joined.chosen.accuracy.value + joined.chosen.accuracy.error


def test_the_same_seed_gives_the_same_probe() -> None:
    values, targets = clusters(100, 10, 3, apart=2.0)
    one, two = measure_probe(values, targets, seed=4), measure_probe(values, targets, seed=4)
    assert np.array_equal(one.fit().weight, two.fit().weight)
    assert np.array_equal(one.cv.correct, two.cv.correct)
    assert not np.array_equal(one.cv.correct, measure_probe(values, targets, seed=5).cv.correct)


def test_measuring_comes_before_fitting() -> None:
    values, targets = clusters(80, 10, 3, apart=2.0)
    measured = measure_probe(values, targets)
    probe = measured.fit()
    assert np.array_equal(probe.weight, fit_probe(values, targets).weight)
    assert probe.chosen.accuracy == measured.cv.accuracy
    assert measured.losses().mean() == pytest.approx(measured.cv.log_loss, rel=0.05)
    known = fit_chosen([values], targets, measured.chosen, classes=3)
    assert np.array_equal(known.weight, probe.weight)  # the same as without cross-validation


def test_becomes_a_head() -> None:
    values, targets = clusters(60, 8, 3, apart=3.0)
    probe = fit_probe(values, targets)
    head = nn.Linear(8, 3)
    write_head(probe, head)
    with torch.no_grad():
        np.testing.assert_allclose(head(torch.from_numpy(values)), probe.logits(values), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (nn.Linear(9, 3), "8 features and 3 classes does not fit a head of 9 features"),
        (nn.Linear(8, 3, bias=False), "with a bias"),
        (nn.Conv2d(8, 3, 1), "a linear head"),
    ],
)
def test_a_head_that_does_not_fit(head: nn.Module, message: str) -> None:
    probe = fit_probe(*clusters(30, 8, 3, apart=3.0))
    with pytest.raises(GraftError, match=message):
        write_head(probe, head)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0] * 6, "needs two classes; the images have 1"),
        ([0, 1, 2, 3, 4, 5], "no class has more than one image"),
    ],
)
def test_what_cannot_be_measured(targets: list[int], message: str) -> None:
    with pytest.raises(GraftError, match=message):
        fit_probe(np.zeros((6, 4), np.float32), np.array(targets))
