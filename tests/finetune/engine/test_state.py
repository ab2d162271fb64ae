"""Counting a run: what is best, when to stop, what a checkpoint gives back."""

from __future__ import annotations

import math

from finetune.engine.state import Standing
from finetune.optim.plateau import Plateau


def test_the_best_epoch_is_kept_and_equal_scores_are_told_apart_by_the_loss() -> None:
    standing, best = Standing(), []
    for score, loss in [(0.5, 1.0), (0.6, 0.9), (0.6, 0.8), (0.6, 0.85), (math.nan, 0.1)]:
        best.append(standing.observe(score, loss))
        standing.next_epoch()
    assert best == [True, True, True, False, False]
    assert (standing.best_epoch, standing.best_score, standing.best_loss) == (2, 0.6, 0.8)


def test_training_has_stalled_after_so_many_epochs_without_a_better_one() -> None:
    standing, stalled = Standing(), []
    for score in (0.5, 0.4, 0.4):
        standing.observe(score, 1.0)
        standing.next_epoch()
        stalled.append(standing.stalled(2))
    assert stalled == [False, False, True]


def test_a_checkpoint_gives_everything_back() -> None:
    standing = Standing(plateau=Plateau(patience=1))
    for score in (0.5, 0.4):
        standing.observe(score, 1.0)
        standing.next_epoch()
    standing.batch, standing.step = 3, 17
    resumed = Standing(plateau=Plateau(patience=1))
    resumed.load_state_dict(standing.state_dict())
    assert resumed == standing
    assert resumed.damping == 0.1
