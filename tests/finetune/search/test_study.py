"""The study: draws by the number of the trial, storages that cannot be opened, what processes agree on."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from finetune.config import SearchSettings
from finetune.config.search import Range
from finetune.search.space import draw, narrow_space
from finetune.search.study import agree_on_epochs, make_sampler, open_study
from zoo.errors import GraftError

SPACE = {"rate": Range(log=[1e-4, 1.0]), "optimizer": Range(choice=["sgd", {"adamw": {"eps": 1e-6}}, None])}


def draws(key: str, count: int, seed: int = 0) -> list[object]:
    settings, found = SearchSettings(space=SPACE, seed=seed), []
    for number in range(count):
        study = optuna.create_study(sampler=make_sampler(settings, number, SPACE, SPACE))
        found.append(draw(study.ask(), SPACE, SPACE)[key])
    return found


def test_a_draw_depends_on_the_seed_and_the_number_of_the_trial_only() -> None:
    assert draws("rate", 5) == draws("rate", 5)
    assert len(set(map(str, draws("rate", 5)))) == 5
    assert draws("rate", 5) != draws("rate", 5, seed=1)


def test_log_ranges_are_uniform_over_orders_of_magnitude() -> None:
    rates = [rate for rate in draws("rate", 300) if isinstance(rate, float)]
    below = sum(rate < 1e-2 for rate in rates) / len(rates)
    assert below == pytest.approx(0.5, abs=0.1)  # half of the four decades; 3.5 deviations


def test_a_restricted_choice_draws_what_the_best_trials_chose() -> None:
    best = [{"rate": 0.1, "optimizer": name} for name in ("sgd", None)]
    fine = narrow_space(SPACE, best, 10)
    settings, drawn = SearchSettings(space=SPACE), []
    with pytest.warns(optuna.exceptions.ExperimentalWarning):  # a search turns it off
        for number in range(20):
            study = optuna.create_study(sampler=make_sampler(settings, number, fine, SPACE))
            drawn.append(draw(study.ask(), fine, SPACE)["optimizer"])
    assert set(drawn) == {"sgd", None}


def test_the_first_process_decides_the_length_of_trials() -> None:
    study = optuna.create_study()
    assert [agree_on_epochs(study, measured) for measured in (4, 9, 2)] == [4, 4, 4]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://ada:secret@nowhere.invalid/graft", r"ada:\*\*\*@.* needs .*: pip install 'psycopg"),
        ("sqlite:////nowhere/to/be/found.db", r"search\.storage: the database cannot be opened: unable"),
        ("nosql://host/name", r"search\.storage: the database cannot be opened: .*nosql"),
    ],
)
def test_a_database_that_cannot_be_opened_is_an_error(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=message):
        open_study(SearchSettings(storage=url), "digits", tmp_path)
