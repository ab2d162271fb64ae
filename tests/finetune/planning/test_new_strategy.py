"""A new strategy is one declaration: it races, is chosen by `auto`, trains to the end, and can be named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_kit import random_state, write_images, write_spec
from rich.console import Console
from safetensors.torch import load_file

from finetune.api import make_plan, run
from finetune.experiment.setup import Setup
from finetune.planning.race import race
from finetune.planning.race.prior import UNKNOWN_SPREAD, read_prior
from finetune.probes.folds import Fold
from finetune.records.estimate import Correct
from finetune.records.plan import Plan
from finetune.strategies import STRATEGIES, Strategy, racing_names, register_strategy, strategy_names

pytestmark = pytest.mark.usefixtures("unexported")

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def first_stage() -> Iterator[Strategy]:
    """Fine-tuning the first stage and the head, after Lee et al. 2023, arXiv:2210.11466."""
    before = dict(STRATEGIES)
    yield register_strategy(
        Strategy(
            name="first_stage",
            description="the head and the first stage fine-tuned",
            trains=lambda head, stages, depth: (*stages[0], head),
            cost=2.5,
        )
    )
    STRATEGIES.clear()
    STRATEGIES.update(before)


def train_fold(setup: Setup, plan: Plan, fold: Fold) -> Correct:
    """Replaces short runs: only those of the new strategy answer correctly."""
    correct = np.full(len(setup.train), np.nan)
    correct[fold[1]] = float(plan.strategy == "first_stage")
    return correct


def test_a_new_strategy_is_ordered_by_cost_and_has_a_wide_prior() -> None:
    assert strategy_names() == ("linear_probe", "stage_probe", "first_stage", "partial", "full", "scratch")
    assert racing_names() == strategy_names()[:-1]
    known, prior = {}, read_prior()
    for name, lead in zip(prior.names, np.sqrt(np.diag(prior.lead_cov)), strict=True):
        known[name] = lead
    assert known["first_stage"] == UNKNOWN_SPREAD > max(known["partial"], known["full"])


def test_auto_chooses_it_and_trains_it_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "train_fold", train_fold)
    state = random_state(tmp_path)
    state["high.weight"] = torch.zeros_like(state["high.weight"])  # probes of the top stage only guess
    spec, images = write_spec(tmp_path, state), write_images(tmp_path / "images", 8, 10, noise=300.0)
    values = {"finetune.cache": str(tmp_path / "cache"), "finetune.epochs": 5}
    report = run(spec, data=str(images), set=values, run=tmp_path / "run", console=QUIET)
    assert report.plan.strategy == "first_stage"
    assert report.plan.trains == ("low", "fc")
    assert report.plan.evidence.race is not None
    assert set(report.plan.evidence.race.scores) == set(racing_names())
    assert "first_stage" in report.plan.evidence.forecasts
    trained = load_file(report.folder / "model.safetensors")
    changed = {name.split(".")[0] for name, value in trained.items() if not torch.equal(value, state[name])}
    assert "high" not in changed
    assert "fc" in changed


def test_a_spec_names_it(tmp_path: Path) -> None:
    spec, images = write_spec(tmp_path, random_state(tmp_path)), write_images(tmp_path / "images", 2, 6)
    values = {"finetune.strategy": "first_stage", "finetune.cache": str(tmp_path), "finetune.epochs": 1}
    plan = make_plan(spec, data=str(images), set=values, root=tmp_path, console=QUIET)
    assert (plan.strategy, plan.trains) == ("first_stage", ("low", "fc"))
