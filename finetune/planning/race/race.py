"""The race: short runs on the same folds, for as long as another round could change the winner."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from finetune.experiment.setup import Setup
from finetune.planning.race.decision import MIN_ROUND_GAIN, choose_winner, round_gain
from finetune.planning.race.fold import train_fold
from finetune.planning.race.posterior import Answers, Posterior, compute_posterior, is_at_chance
from finetune.planning.race.prior import Prior
from finetune.probes.folds import deal_folds
from finetune.records.estimate import Correct, Estimate, accuracy_of
from finetune.records.evidence import Forecast
from finetune.records.plan import Plan
from zoo.errors import GraftError

SHORT_RUN = 0.2
"""Share of a strategy's epochs that a short run trains for, with a whole schedule of learning rates."""
ENOUGH_IMAGES = 100
"""Held-out images after which no further round is run; at most one round for each fold."""
SHARE_OF_BUDGET = 0.3
"""Share of `finetune.budget_minutes` that a race may take."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class Contender:
    """A strategy that trains by gradient: its plan for a whole run, and how long that would take.

    Without a budget the forecast is not needed: None.
    """

    plan: Plan
    forecast: Forecast | None = None


@dataclass(frozen=True)
class ShortRun:
    """The plan of a short run, and the `epochs` of the whole one.

    `left` is what is still to be learned after it, as a share of what it was in the benchmark's short runs:
    less where the whole run, of one epoch or cut to the budget, is hardly longer.
    """

    plan: Plan
    epochs: int
    left: float


@dataclass(frozen=True)
class Race:
    """How a race went.

    `names` took part, the cheapest first; `left_out` did not, because of the budget. `answers` are the
    correct answers, `posterior` what is expected from them, `chance` the accuracy of guessing.
    """

    names: tuple[str, ...]
    left_out: tuple[str, ...]
    answers: Answers
    posterior: Posterior
    chance: float
    rounds: int
    seconds: float = 0.0
    short_runs: Mapping[str, ShortRun] = field(default_factory=dict)

    @property
    def at_chance(self) -> bool:
        """Whether no strategy is clearly better than guessing."""
        return all(is_at_chance(correct, self.chance) for correct in self.answers.values())

    @property
    def winner(self) -> str:
        """The cheapest, unless another is expected to be better; always the cheapest where all guess."""
        return self.names[0] if self.at_chance else choose_winner(self.names, self.posterior)

    def accuracy(self, name: str) -> Estimate | None:
        """Return the held-out accuracy of a strategy; None where it was not asked."""
        return accuracy_of(self.answers[name]) if name in self.answers else None


def run_race(
    setup: Setup,
    prior: Prior,
    probed: Answers,
    contenders: Sequence[Contender],
    *,
    probes: Sequence[str],
    budget_minutes: float | None = None,
    min_gain: float = MIN_ROUND_GAIN,
    prepare: Callable[[Plan], Plan] = lambda plan: plan,
    log: Log = print,
) -> Race:
    """Compare the cross-validation of probes with short runs of other strategies on the same held-out images.

    In: the prior; for each probe its answers (N,) on the setup's N training images, and which of the `probes`
    can be chosen; the strategies that train by gradient, the cheapest first. In each round those are trained
    that could change the winner by `min_gain` of accuracy or more, and a leader that was not yet tried. A
    strategy of which not one epoch fits the budget does not take part. `prepare` completes a plan that is
    about to be trained.
    Raises: GraftError as training does, as deal_folds, and where nothing fits the budget.
    """
    start = time.monotonic()
    targets = setup.train.split.targets
    chance = float(np.bincount(targets).max() / len(targets))
    folds = deal_folds(targets, seed=setup.settings.seed)[0]
    folds = folds[: math.ceil(ENOUGH_IMAGES / len(folds[0][1]))]
    budget_s = math.inf if budget_minutes is None else 60 * budget_minutes
    run_s = SHARE_OF_BUDGET * budget_s / max(len(contenders), 1) / len(folds)
    found = {each.plan.strategy: _plan_short_run(each, run_s, budget_s) for each in contenders}
    runs = {name: run for name, run in found.items() if run is not None}
    if not probes and not runs:
        raise GraftError(
            f"finetune.budget_minutes: {budget_minutes:g}; expected more: not one epoch of any strategy fits"
        )

    def ask(name: str, number: int) -> Correct:
        correct = train_fold(setup, prepare(runs[name].plan), folds[number])
        accuracy, seconds = accuracy_of(correct).percent, time.monotonic() - start
        log(f"  race, round {number + 1}: {name} has held-out accuracy {accuracy}  ({seconds:.0f} s)")
        return correct

    race = compete(
        prior.scale_growth({name: run.left for name, run in runs.items()}),
        probed,
        ask,
        probes=probes,
        trained=tuple(runs),
        rounds=[len(fold[1]) for fold in folds],
        chance=chance,
        min_gain=min_gain,
    )
    left_out = tuple(name for name in found if name not in runs)
    return replace(race, left_out=left_out, seconds=time.monotonic() - start, short_runs=runs)


def compete(
    prior: Prior,
    probed: Answers,
    ask: Callable[[str, int], Correct],
    *,
    probes: Sequence[str],
    trained: Sequence[str],
    rounds: Sequence[int],
    chance: float,
    min_gain: float = MIN_ROUND_GAIN,
) -> Race:
    """Run the rounds of a race; `ask` returns the answers of one of the `trained` in round 0, 1, and so on.

    In: `rounds`, how many images are asked in each; the rest as in run_race.
    """
    names, answers, done = (*probes, *trained), dict(probed), 0
    posterior = compute_posterior(prior, answers, chance)
    for images in rounds:
        winner = choose_winner(names, posterior)
        asked = [
            name
            for name in trained
            if round_gain(name, names, posterior, answers, images) >= min_gain
            or (name == winner and name not in answers)
        ]
        if not asked:
            break
        for name in asked:
            correct = ask(name, done)
            answers[name] = np.where(np.isnan(correct), answers.get(name, correct), correct)
        done += 1
        posterior = compute_posterior(prior, answers, chance)
    while (winner := choose_winner(names, posterior)) not in answers:  # the last round made it the leader
        answers[winner], done = ask(winner, 0), max(done, 1)
        posterior = compute_posterior(prior, answers, chance)
    return Race(names, (), answers, posterior, chance, done)


def _plan_short_run(contender: Contender, run_s: float, budget_s: float) -> ShortRun | None:
    """Return a run of as many epochs as a short run has and as fit into `run_s`; None where none does.

    In: `budget_s`, the seconds for the race and the whole run together.
    """
    plan, forecast = contender.plan, contender.forecast
    usual = round(SHORT_RUN * plan.epochs)
    epochs, whole = max(usual, 1), plan.epochs
    if forecast is not None:
        epochs = min(epochs, math.floor(min(run_s / forecast.epoch_s, plan.epochs)))
        if not epochs:
            return None
        rest_s = (1 - SHARE_OF_BUDGET) * budget_s
        whole = max(math.floor(min(rest_s / forecast.epoch_s / forecast.trainings, plan.epochs)), epochs)
    left = (1 - epochs / whole) / (1 - usual / plan.epochs)
    return ShortRun(replace(plan, epochs=epochs), whole, left)
