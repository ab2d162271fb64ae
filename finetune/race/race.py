"""The race: every strategy trains for a short while on the same folds, the clearly slower ones fall out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finetune.evidence.estimate import Hits
from finetune.evidence.folds import deal_folds
from finetune.forecast import Forecast
from finetune.plan import Plan
from finetune.race.fold import fold_hits
from finetune.race.growth import usual_growth
from finetune.race.verdict import Score, still_running, winner
from finetune.setup import Setup

SHARE = 0.2
"""Part of a strategy's epochs that it trains for in one round, its schedule of learning rates and all."""
ASKED = 100
"""Left-out images after which no further round is run; at most one round for each fold."""
OF_BUDGET = 0.3
"""Part of `finetune.budget_minutes` that a race may take."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """A strategy that trains by gradient: its plan for a whole run, and how long that would take here."""

    plan: Plan
    forecast: Forecast


@dataclass(frozen=True)
class Race:
    """How a race went: `scores` of all, cheapest first; who `finished`; who `left_out` for the budget."""

    scores: tuple[Score, ...]
    finished: tuple[str, ...]
    left_out: tuple[str, ...]
    rounds: int
    seconds: float

    @property
    def winner(self) -> Score:
        """The cheapest of those that finished, unless another is clearly better."""
        return winner([score for score in self.scores if score.name in self.finished])


def run_race(
    setup: Setup,
    probes: Mapping[str, Hits],
    entries: Sequence[Entry],
    *,
    budget_minutes: float | None = None,
    say: Say = print,
) -> Race:
    """Compare what probes scored by cross-validation with short trainings on the same left-out images.

    In: for each probe its hits (N,) on the setup's N training images; the other strategies, cheapest first.
    What counts is what a whole run promises (see growth). Rounds end after ASKED images, or when one strategy
    is clear of all others. After every round those that are clearly behind fall out. A strategy of which
    not even one epoch fits the budget does not take part.
    Raises: GraftError as training does, and as deal_folds.
    """
    start = time.monotonic()
    targets = setup.train.split.targets
    chance = float(np.bincount(targets).max() / len(targets))
    folds = deal_folds(targets, seed=setup.settings.seed)[0]
    folds = folds[: math.ceil(ASKED / len(folds[0][1]))]
    seconds = math.inf if budget_minutes is None else 60 * OF_BUDGET * budget_minutes
    shortened = {
        entry.plan.strategy: _shorten(entry, seconds / len(entries) / len(folds)) for entry in entries
    }
    plans = {name: plan for name, plan in shortened.items() if plan is not None}
    scores = {name: Score(name, hits, chance=chance) for name, hits in probes.items()}
    running, rounds = [*scores, *plans], 0
    for fold in folds:
        trained = [plans[name] for name in running if name in plans]
        if not trained or (len(running) == 1 and rounds):
            break
        for plan in trained:
            hits = fold_hits(setup, plan, fold)
            if plan.strategy in scores:
                hits = np.where(np.isnan(hits), scores[plan.strategy].hits, hits)
            scores[plan.strategy] = Score(plan.strategy, hits, _growth(plan), chance)
            say(_line(scores[plan.strategy], rounds + 1, len(folds), time.monotonic() - start))
        rounds += 1
        running = [score.name for score in still_running([scores[name] for name in running])]
    left_out = tuple(name for name in shortened if name not in plans)
    return Race(tuple(scores.values()), tuple(running), left_out, rounds, time.monotonic() - start)


def _growth(plan: Plan) -> float:
    """What a whole run of the plan usually adds to a short one on such data."""
    return 0.0 if plan.cell is None else usual_growth(plan.strategy, plan.cell[1])


def _shorten(entry: Entry, seconds: float) -> Plan | None:
    """The plan with as many epochs as a round has, and as take so many seconds; None where not one does."""
    plan, forecast = entry.plan, entry.forecast
    fit = seconds / max(60 * forecast.minutes / plan.epochs, 1e-9)
    epochs = min(max(round(SHARE * plan.epochs), 1), math.floor(min(fit, plan.epochs)))
    return replace(plan, epochs=epochs) if epochs else None


def _line(score: Score, done: int, rounds: int, seconds: float) -> str:
    return (
        f"  race, round {done} of at most {rounds}: {score.name} is right on {score.accuracy} "
        f"of what was left out  ({seconds:.0f} s)"
    )
