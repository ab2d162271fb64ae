"""What a stalled validation score does."""

from __future__ import annotations

import pytest

from finetune.optim.plateau import Plateau, build_plateau
from finetune.optim.schedules import SCHEDULES


def test_plateau_divides_by_ten_when_validation_stalls() -> None:
    plateau = build_plateau(SCHEDULES.read_call({"plateau": {"patience": 2}}))
    assert plateau is not None
    multipliers = []
    for score in [0.5, 0.6, 0.6, 0.59, 0.7, 0.7, 0.7, 0.7, 0.7]:
        plateau = plateau.observe(score)
        multipliers.append(plateau.multiplier)
    assert multipliers == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001])
    assert build_plateau(SCHEDULES.read_call("cosine")) is None


def test_plateau_goes_on_from_a_checkpoint() -> None:
    fresh = Plateau(patience=2)
    stalled = fresh.observe(0.5).observe(0.5)
    resumed = fresh.load_state_dict(stalled.state_dict())
    assert resumed == stalled
    assert resumed.observe(0.5).multiplier == pytest.approx(0.1)
