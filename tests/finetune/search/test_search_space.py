"""Which values are drawn: rounding, choices, smaller ranges, the same draws whoever asks."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from finetune.config import FinetuneSettings, SearchSettings
from finetune.config.search import Range
from finetune.experiment.setup import get_section
from finetune.search.fine import narrow_space
from finetune.search.space import decode, distribution, draw, override_values
from finetune.search.study import make_sampler

SPACE = {
    "rate": Range(log=[1e-4, 1.0]),
    "share": Range(uniform=[0.0, 2.0]),
    "size": Range(int=[8, 64]),
    "optimizer": Range(choice=["sgd", {"adamw": {"eps": 1e-6}}, None]),
}


def test_what_optuna_stores_becomes_values_of_the_spec() -> None:
    params = {"rate": 0.012345678, "share": 1.99999999, "size": 12, "optimizer": '{"adamw": {"eps": 1e-06}}'}
    values = {"rate": 0.01235, "share": 2.0, "size": 12, "optimizer": {"adamw": {"eps": 1e-6}}}
    assert decode(params, SPACE) == values
    assert decode({"optimizer": "null"}, SPACE) == {"optimizer": None}
    assert decode({"rate": 0.123456}, {"rate": Range(log=[0.1, 0.123456])}) == {"rate": 0.1235 - 0.000044}


def test_log_ranges_are_even_over_orders_of_magnitude() -> None:
    drawn = distribution(SPACE["rate"])
    assert isinstance(drawn, optuna.distributions.FloatDistribution)
    assert drawn.log
    rates = [rate for rate in draws("rate", 300) if isinstance(rate, float)]
    below = sum(rate < 1e-2 for rate in rates) / len(rates)
    assert below == pytest.approx(0.5, abs=0.1)  # half of the four decades; 3.5 deviations


def draws(key: str, count: int, seed: int = 0) -> list[object]:
    settings = SearchSettings(space=SPACE, seed=seed)
    found = []
    for number in range(count):
        study = optuna.create_study(sampler=make_sampler(settings, number, SPACE, SPACE))
        found.append(draw(study.ask(), SPACE, SPACE)[key])
    return found


def test_a_draw_follows_from_seed_and_number_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert draws("rate", 5) == draws("rate", 5)
    assert len(set(map(str, draws("rate", 5)))) == 5
    assert draws("rate", 5) != draws("rate", 5, seed=1)


@given(
    st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=3),
    st.lists(st.integers(8, 64), min_size=1, max_size=1),
    st.integers(1, 30),
)
def test_smaller_ranges_lie_in_the_old_ones_around_the_best(
    rates: list[float], sizes: list[int], trials: int
) -> None:
    best = [{"rate": rate, "share": 1.0, "size": sizes[0], "optimizer": "sgd"} for rate in rates]
    fine = narrow_space(SPACE, best, trials)
    low, high = fine["rate"].chosen[1]
    assert 1e-4 <= low <= min(rates)
    assert max(rates) <= high <= 1.0
    spread = math.log10(max(rates) / min(rates))
    assert math.log10(high / low) <= spread + 4 * 2 / trials + 1e-9  # four decades, a margin on both sides
    low, high = fine["size"].chosen[1]
    assert 8 <= low <= sizes[0] <= high <= 64
    assert fine["optimizer"].chosen[1] == ["sgd"]


def test_of_a_choice_only_what_the_best_trials_chose_is_drawn() -> None:
    best = [{"rate": 0.1, "share": 1.0, "size": 8, "optimizer": name} for name in ("sgd", None)]
    fine = narrow_space(SPACE, best, 10)
    settings, drawn = SearchSettings(space=SPACE), []
    with pytest.warns(optuna.exceptions.ExperimentalWarning):  # a search keeps it from its user
        for number in range(20):
            study = optuna.create_study(sampler=make_sampler(settings, number, fine, SPACE))
            drawn.append(draw(study.ask(), fine, SPACE)["optimizer"])
    assert set(drawn) == {"sgd", None}


def test_a_mapping_replaces_what_stands_in_the_spec(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("extends: lenet5\nfinetune: {optimizer: {sgd: {momentum: 0.5}}}\n")
    spec = override_values(zoo.read_spec(path), {"finetune.optimizer": {"adamw": {"eps": 1e-6}}})
    optimizer = get_section(spec, FinetuneSettings).optimizer
    assert (optimizer.op, optimizer.args["eps"]) == ("adamw", 1e-6)
    kept = override_values(zoo.read_spec(path), {"finetune.optimizer.sgd.nesterov": False})
    assert get_section(kept, FinetuneSettings).optimizer.args == {"momentum": 0.5, "nesterov": False}
