"""The temperature: found where it was planted, and left alone where nothing is to be gained."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.calibration.temperature import fit_temperature, log_losses


def draw(images: int, seed: int, classes: int = 4) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits whose softmax is the true distribution of the targets."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (images, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return logits, np.array([generator.choice(classes, p=row) for row in shares])


@pytest.mark.parametrize("planted", [0.4, 2.5])
def test_planted_temperature_is_found(planted: float) -> None:
    logits, targets = draw(4000, seed=0)
    assert fit_temperature(logits * planted, targets) == pytest.approx(planted, rel=0.06)


def test_calibrated_probabilities_stay_as_they_are() -> None:
    fitted = [fit_temperature(*draw(150, seed)) for seed in range(40)]
    assert sum(temperature == 1 for temperature in fitted) >= 25  # a fall beyond one error is chance, 1 in 6
    new, targets = draw(4000, seed=99)
    worse = [log_losses(new / one, targets).mean() - log_losses(new, targets).mean() for one in fitted]
    assert np.mean(worse) < 0.005


def certainty(margin: float, images: int) -> float:
    """The probability of each answer after calibration on images that are all right by this margin."""
    targets = np.arange(images) % 2
    logits = np.where(targets[:, None] == np.arange(2), margin, 0.0)
    return float(np.exp(-log_losses(logits / fit_temperature(logits, targets), targets)).mean())


@pytest.mark.parametrize("images", [6, 14, 200])
def test_answers_that_are_all_right_do_not_run_away(images: int) -> None:
    assert certainty(0.5, images) == pytest.approx((images + 1) / (images + 2), abs=2e-3)
    assert certainty(9.0, images) == pytest.approx(
        1 / (1 + np.exp(-9.0))
    )  # more certain than that: unchanged


def test_log_losses() -> None:
    assert log_losses(np.log([[0.25, 0.75]]), np.array([0])) == pytest.approx([np.log(4)])
