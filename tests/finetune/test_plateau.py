"""What a stalled validation score does."""

from __future__ import annotations

import math

import pytest

from finetune.plateau import EarlyStopping, Plateau, build_plateau
from finetune.schedules import SCHEDULES


def test_plateau_divides_by_ten_when_validation_stalls() -> None:
    plateau = build_plateau(SCHEDULES.read_call({"plateau": {"patience": 2}}))
    assert plateau is not None
    multipliers = []
    for epoch, score in enumerate([0.5, 0.6, 0.6, 0.59, 0.7, 0.7, 0.7, 0.7, 0.7]):
        plateau = plateau.observe(epoch, score)
        multipliers.append(plateau.multiplier)
    assert multipliers == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001])
    assert build_plateau(SCHEDULES.read_call("cosine")) is None


def test_plateau_goes_on_from_a_checkpoint() -> None:
    fresh = Plateau(patience=2)
    stalled = fresh.observe(0, 0.5).observe(1, 0.5)
    resumed = fresh.load_state_dict(stalled.state_dict())
    assert resumed == stalled
    assert resumed.observe(2, 0.5).multiplier == pytest.approx(0.1)


def test_early_stopping_counts_epochs_without_improvement() -> None:
    watch = EarlyStopping(patience=2, min_delta=0.01)
    seen = []
    for epoch, score in enumerate([0.5, 0.6, 0.605, math.nan]):
        watch = watch.observe(epoch, score)
        seen.append((watch.improved, watch.should_stop))
    assert seen == [(True, False), (True, False), (False, False), (False, True)]
    assert (watch.best, watch.best_epoch) == (0.6, 1)


def test_early_stopping_goes_on_from_a_checkpoint() -> None:
    stopped = EarlyStopping(patience=1).observe(0, 0.5).observe(1, 0.4)
    assert EarlyStopping(patience=1).load_state_dict(stopped.state_dict()).should_stop
    assert not EarlyStopping(patience=2).load_state_dict(stopped.state_dict()).should_stop
