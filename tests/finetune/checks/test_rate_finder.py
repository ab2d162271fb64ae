"""The learning rate test: on a curve whose best rate is known, and on losses that never fall."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from finetune.checks.rate_finder import find_rate, plot_rates, propose, smoothed
from finetune.engine.callbacks import Divergence
from finetune.engine.step import BatchPosition


def empty_batches() -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield torch.zeros(1), torch.zeros(1)


class Descent:
    """Gradient descent on squares of one curvature, whose lowest point moves from batch to batch.

    It diverges from a rate of 2 / curvature on.
    """

    def __init__(self, curvature: float) -> None:
        self.curvature, self.at = curvature, 1.0

    def __call__(
        self, images: Tensor, targets: Tensor, place: BatchPosition, rate: float
    ) -> tuple[Tensor, bool]:
        off = self.at - 0.1 * (-1) ** place.batch
        self.at -= rate * self.curvature * off
        return torch.tensor(2 * off**2), True


@pytest.mark.parametrize("curvature", [10.0, 1000.0])
def test_the_proposed_rate_is_below_the_one_that_diverges(curvature: float) -> None:
    curve = find_rate(Descent(curvature), empty_batches(), chance=2.0)
    assert curve.proposed is not None
    assert 0.01 / curvature < curve.proposed < 2 / curvature
    assert curve.rates[-1] < 100 / curvature


def test_the_test_ends_when_the_loss_diverges() -> None:
    curve = find_rate(Descent(1000.0), empty_batches(), chance=2.0)
    assert curve.ended == "the loss diverged"
    assert max(curve.losses) <= 6.0 * 5  # three times the start, in the mean of five
    assert len(curve.rates) == len(curve.losses) == len(curve.smooth)


def test_a_loss_that_never_falls_proposes_empty_batches() -> None:
    curve = find_rate(Descent(0.0), empty_batches(), chance=2.0)
    assert (curve.proposed, curve.ended) == (None, "the highest rate was reached")
    assert propose([], []) is None


def test_the_budget_is_kept() -> None:
    curve = find_rate(Descent(1.0), empty_batches(), chance=2.0, budget_s=0.0)
    assert (len(curve.rates), curve.ended) == (1, "time was up")


def test_the_running_mean_starts_at_the_first_loss() -> None:
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx((2.0, 2.0, 2.0))
    assert smoothed([1.0, 0.0])[1] == pytest.approx(0.8 / 1.8)


def test_the_plot_marks_both_rates(tmp_path: Path) -> None:
    curve = find_rate(Descent(10.0), empty_batches(), chance=2.0)
    plot_rates(curve, tmp_path / "a" / "rates.png", current=1.0)
    with Image.open(tmp_path / "a" / "rates.png") as picture:
        colours = {colour: count for count, colour in picture.convert("RGB").getcolors(1 << 20) or []}
    for wanted in [(31, 119, 180), (44, 160, 44), (214, 39, 40)]:  # curve, proposed, the recipe's
        assert colours.get(wanted, 0) > 50


def test_a_loss_that_is_not_a_number_is_reported_at_once() -> None:
    assert Divergence(2.3).observe(math.nan) == "the loss is nan; expected a finite number"


def test_three_times_the_start_is_reported_and_one_odd_batch_is_not() -> None:
    guard = Divergence(2.0)
    assert [guard.observe(loss) for loss in [2.0, 2.0, 2.0, 2.0, 12.0, 2.0]] == [None] * 6
    reasons = [guard.observe(7.0) for _ in range(5)]
    assert reasons[-1] == "the loss is 7, over three times its start, 2; expected it to fall"


def test_a_start_below_a_guess_counts_as_a_guess() -> None:
    guard = Divergence(2.0)
    assert [guard.observe(loss) for loss in [0.1, 0.9, 5.0]] == [None] * 3
