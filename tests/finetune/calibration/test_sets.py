"""Sets of classes: the promised share is kept on new images, whatever the classifier."""

from __future__ import annotations

import numpy as np

from finetune.calibration.sets import find_set_probability, make_sets


def test_smallest_probability_is_the_promised_quantile() -> None:
    probabilities = np.array([[p, 1 - p] for p in np.linspace(0.05, 0.95, 19)])
    targets = np.zeros(19, np.int64)
    assert find_set_probability(probabilities, targets, 0.9) == probabilities[1, 0]  # one of 19 is left out
    assert find_set_probability(probabilities[:8], targets[:8], 0.9) is None
    assert find_set_probability(probabilities[:9], targets[:9], 0.9) == probabilities[0, 0]


def test_promise_is_kept_by_a_poor_classifier() -> None:
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        targets = generator.integers(0, 6, 250)
        noise = generator.gamma(0.7, size=(250, 6))
        noise[np.arange(250), targets] *= 2
        probabilities = noise / noise.sum(1, keepdims=True)
        least = find_set_probability(probabilities[:150], targets[:150])
        assert least is not None
        covered.append(make_sets(probabilities[150:], least)[np.arange(100), targets[150:]].mean())
    assert 0.895 < np.mean(covered) < 0.915


def test_best_class_is_always_inside() -> None:
    sets = make_sets(np.array([[0.6, 0.4], [0.95, 0.05]]), 0.9)
    assert sets.tolist() == [[True, False], [True, False]]
    assert make_sets(np.array([[0.6, 0.4]]), 0.3).tolist() == [[True, True]]
