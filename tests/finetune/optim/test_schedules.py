"""Schedules have the values of their definitions."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from finetune.config.optim import OptimSettings
from finetune.optim.schedules import SCHEDULES, Plateau, Schedule, build_plateau

STEPS, PER_EPOCH = 100, 10


def schedule(spec: object, warm_up: int = 0) -> Schedule:
    return Schedule(SCHEDULES.read_call(spec), STEPS, PER_EPOCH, warm_up)


@pytest.mark.parametrize(
    ("spec", "step", "expected"),
    [
        ("constant", 99, 1.0),
        ("linear", 0, 1.0),
        ("linear", 50, 0.5 + 0.5 * 0.01),
        ("linear", 100, 0.01),
        ({"linear": {"final": 0.2, "until": 0.5}}, 25, 0.6),
        ({"linear": {"final": 0.2, "until": 0.5}}, 75, 0.2),
        ("step", 49, 1.0),
        ("step", 50, 0.1),
        ("step", 75, 0.01),
        ({"step": {"milestones": [0.3], "factor": 0.5}}, 30, 0.5),
        ({"halve": {"every": 2.0}}, 19, 1.0),
        ({"halve": {"every": 2.0}}, 20, 0.5),
        ({"halve": {"every": 2.0}}, 65, 0.125),
        ({"exponential": {"rate": 0.3}}, 25, math.exp(-0.3 * 2.5)),
        ({"inverse_time": {"rate": 0.3}}, 25, 1 / (1 + 0.3 * 2.5)),
        ("cosine", 0, 1.0),
        ("cosine", 25, 0.5 * (1 + math.cos(math.pi / 4))),
        ("cosine", 100, 0.0),
        ({"cosine": {"final": 0.1}}, 50, 0.55),
        ({"cosine_restarts": {"cycles": 2}}, 25, 0.5),
        ({"cosine_restarts": {"cycles": 2}}, 50, 1.0),
        ({"cosine_restarts": {"cycles": 2}}, 75, 0.5),
        ({"cosine_restarts": {"cycles": 2, "growth": 3.0}}, 25, 1.0),
        ({"cosine_restarts": {"cycles": 2, "growth": 3.0, "final": 0.5}}, 100, 0.5),
        ("one_cycle", 0, 0.04),
        ("one_cycle", 15, 0.52),
        ("one_cycle", 30, 1.0),
        ("one_cycle", 65, 0.001 + 0.999 * 0.5),
        ("one_cycle", 100, 0.001),
        ({"one_cycle": {"warm_up": 0.0}}, 0, 1.0),
        ("plateau", 99, 1.0),
    ],
    ids=str,
)
def test_rate_at_step(spec: object, step: int, expected: float) -> None:
    assert schedule(spec).rate(step) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_stays_between_0_and_1(name: str) -> None:
    assert all(0 <= schedule(name).rate(step) <= 1 for step in range(STEPS))


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_a_run_of_one_step_has_a_rate(name: str) -> None:
    assert 0 < Schedule(SCHEDULES.read_call(name), 1, 1).rate(0) <= 1


def test_warm_up_climbs_to_the_schedules_first_rate() -> None:
    warm = schedule("cosine", warm_up=4)
    assert [warm.rate(step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert warm.rate(4 + 48) == pytest.approx(0.5)
    assert warm.rate(STEPS) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 5),
        ({"warm_up": {"fraction": 0.2}}, 20),
        ({"warm_up": {"epochs": 1.5}}, 15),
        ({"warm_up": {"epochs": 30}}, 100),
        ({"warm_up": "none"}, 0),
        ({"schedule": "one_cycle"}, 0),
    ],
    ids=str,
)
def test_warm_up_steps(settings: dict[str, object], expected: int) -> None:
    assert OptimSettings.model_validate(settings).warm_up_steps(STEPS, PER_EPOCH) == expected


def test_one_cycle_moves_momentum_against_the_rate() -> None:
    cycled = schedule({"one_cycle": {"momentum": [0.85, 0.95]}})
    assert [cycled.momentum(step) for step in (0, 15, 30, 65, 100)] == pytest.approx(
        [0.95, 0.90, 0.85, 0.90, 0.95]
    )
    assert schedule("one_cycle").momentum(30) is None
    assert schedule("cosine").momentum(30) is None


def test_restarts_happen_where_the_cycles_end() -> None:
    restarted = schedule({"cosine_restarts": {"cycles": 3, "growth": 2.0}}, warm_up=2)
    ends = restarted.cycle_ends()
    assert ends == (16, 44, 100)
    rates = [restarted.rate(step) for step in range(2, STEPS)]
    rises = [step + 3 for step, (before, after) in enumerate(pairwise(rates)) if after > before]
    assert rises == list(ends[:-1])


def test_other_schedules_have_one_cycle() -> None:
    assert schedule("cosine").cycle_ends() == (STEPS,)


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
