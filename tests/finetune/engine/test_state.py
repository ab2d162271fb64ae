"""Counting a run: what is best, when to stop, what a checkpoint gives back."""

from __future__ import annotations

import math

from finetune.engine.state import TrainState
from finetune.optim.schedules import Plateau


def test_of_equal_scores_the_lower_loss_is_best() -> None:
    state, best = TrainState(), []
    for score, loss in [(0.5, 1.0), (0.6, 0.9), (0.6, 0.8), (0.6, 0.85), (math.nan, 0.1)]:
        best.append(state.observe(score, loss))
        state.next_epoch()
    assert best == [True, True, True, False, False]
    assert (state.best_epoch, state.best_score, state.best_loss) == (2, 0.6, 0.8)


def test_training_has_stalled_after_so_many_epochs_without_a_better_one() -> None:
    state, stalled = TrainState(), []
    for score in (0.5, 0.4, 0.4):
        state.observe(score, 1.0)
        state.next_epoch()
        stalled.append(state.stalled(2))
    assert stalled == [False, False, True]


def test_a_checkpoint_restores_all_fields() -> None:
    state = TrainState(plateau=Plateau(patience=1))
    for score in (0.5, 0.4):
        state.observe(score, 1.0)
        state.next_epoch()
    state.batch, state.step = 3, 17
    resumed = TrainState(plateau=Plateau(patience=1))
    resumed.load_state_dict(state.state_dict())
    assert resumed == state
    assert resumed.damping == 0.1
