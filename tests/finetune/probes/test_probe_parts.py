"""The parts of a probe: folds, bases, solver, estimates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from finetune.probes import basis as basis_module
from finetune.probes.basis import find_basis
from finetune.probes.folds import deal_folds, stratified_sample
from finetune.probes.logistic import fit_logistic
from finetune.probes.probe import measure_probe
from finetune.probes.strengths import CVResult, choose_strength
from finetune.records.estimate import Estimate, accuracy_of, gain_of


def test_every_image_is_left_out_once_a_repeat_and_every_class_is_learned() -> None:
    targets = np.repeat([0, 1, 2, 3], [20, 9, 2, 1])
    repeats = deal_folds(targets)
    assert len(repeats) == 5  # few images: dealt several times
    for folds in repeats:
        assert len(folds) == 5
        left = np.sort(np.concatenate([left for _, left in folds]))
        assert left.tolist() == list(range(31))  # all but the only image of class 3
        for learned, left_out in folds:
            assert not set(learned) & set(left_out)
            assert set(targets[learned]) == {0, 1, 2, 3}
    assert len(deal_folds(np.arange(400) % 4)) == 1


def test_as_many_folds_as_the_largest_class_has_images() -> None:
    assert {len(folds) for folds in deal_folds(np.array([0, 0, 1, 1]))} == {2}


def test_a_sample_keeps_the_proportions_and_every_class() -> None:
    targets = np.repeat([0, 1, 2], [900, 90, 10])
    rows = stratified_sample(targets, 100)
    assert np.bincount(targets[rows]).tolist() == [90, 9, 2]
    assert (np.diff(rows) > 0).all()
    assert stratified_sample(targets, 1000).tolist() == list(range(1000))
    assert np.array_equal(rows, stratified_sample(targets, 100))


def test_estimates() -> None:
    assert accuracy_of(np.array([1.0, 0.0, np.nan, 1.0])).value == pytest.approx(2 / 3)
    sure = accuracy_of(np.ones(98))
    assert sure.value == 1.0
    assert sure.error == pytest.approx(math.sqrt(0.99 * 0.01 / 101))
    assert accuracy_of(np.ones(1000)).error < sure.error / 5
    assert math.isnan(accuracy_of(np.array([np.nan])).value)
    assert str(Estimate(0.5, 0.0123)) == "0.500 ± 0.012"


def test_a_gain_is_sharper_than_two_shares() -> None:
    rng = np.random.default_rng(0)
    one = (rng.random(1000) < 0.7).astype(float)
    other = one.copy()
    other[np.flatnonzero(one == 0)[:30]] = 1
    difference = gain_of(other, one)
    assert difference.value == pytest.approx(0.03)
    assert difference.error < accuracy_of(one).error / 2
    assert gain_of(one, one).value == 0
    assert gain_of(one, one).error > 0


def test_the_spread_of_estimates_over_draws_is_their_error() -> None:
    rng = np.random.default_rng(0)
    draws = [(rng.random(200) < 0.8).astype(float) for _ in range(300)]
    spread = np.std([accuracy_of(draw).value for draw in draws])
    assert accuracy_of(draws[0]).error == pytest.approx(spread, rel=0.25)


def test_a_basis_is_a_rotation_without_loss() -> None:
    values = (np.random.default_rng(0).standard_normal((30, 8)) @ np.diag(range(1, 9))).astype(np.float32)
    basis = find_basis([values])
    np.testing.assert_allclose(basis.scores, (values - basis.mean) @ basis.directions, atol=1e-5)
    products = basis.scores.T @ basis.scores
    np.testing.assert_allclose(products, np.diag(basis.energy), atol=1e-4)
    assert basis.energy.sum() == pytest.approx(30 * 8, rel=1e-5)  # each feature has the spread 1
    assert (np.diff(basis.energy) <= 0).all()


def test_a_wide_basis_keeps_the_directions_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basis_module, "MAX_RANK", 12)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((80, 5)) @ rng.standard_normal((5, 60))
    values += 0.01 * rng.standard_normal((80, 60))
    basis = find_basis([values.astype(np.float32)])
    assert basis.scores.shape == (80, 12)
    assert basis.energy[:5].sum() > 0.99 * 80 * 60


def test_the_solver_agrees_with_scikit_learn_along_the_path() -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(90) % 3
    values = (rng.standard_normal((90, 12)) + 2 * np.eye(3, 12)[targets]).astype(np.float32)
    basis = find_basis([values])
    standard = (values - values.mean(axis=0, dtype=float)) / values.std(axis=0, dtype=float)
    start = None
    for strength in (30.0, 1.0, 0.03):
        solution = fit_logistic(basis, targets, 3, strength, start=start, exact=True)
        theirs = LogisticRegression(C=1 / strength, tol=1e-9, max_iter=10_000).fit(standard, targets)
        mine, other = solution.logits(basis.scores), theirs.decision_function(standard)
        shift = (other - mine).mean(axis=1, keepdims=True)  # a number added to all logits changes nothing
        np.testing.assert_allclose(mine + shift, other, atol=1e-3)  # logits reach 12, and theirs stop early
        rough = fit_logistic(basis, targets, 3, strength, start=start).logits(basis.scores)
        assert (rough.argmax(axis=1) == mine.argmax(axis=1)).mean() > 0.98
        start = solution


def test_among_equal_accuracies_the_log_loss_decides() -> None:
    def trial(right: int, loss: float) -> CVResult:
        correct = (np.arange(100) < right).astype(float)
        return CVResult(1.0, (), np.zeros((100, 2), np.float32), correct, loss)

    saturated, calm, poor = trial(81, 1.2), trial(80, 0.5), trial(60, 0.4)
    assert choose_strength([saturated, calm, poor]) is calm


def test_a_balanced_probe_recognises_the_rare_class_more_often() -> None:
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1], [300, 15])
    probe = measure_probe((random.normal(size=(315, 4)) + targets[:, None]).astype(np.float32), targets).fit()
    rare = (random.normal(size=(400, 4)) + 1).astype(np.float32)
    plain, balanced = ((one.logits(rare).argmax(1) == 1).mean() for one in (probe, probe.balance(targets)))
    assert balanced > 0.8 > plain
