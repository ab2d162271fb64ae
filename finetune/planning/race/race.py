"""The race: short trainings on the same folds, for as long as another round could change who wins."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from finetune.experiment.setup import Setup
from finetune.planning.forecast import Forecast
from finetune.planning.race.belief import Belief, Seen, at_chance, believe
from finetune.planning.race.experience import Experience
from finetune.planning.race.fold import fold_hits
from finetune.planning.race.verdict import ROUND_WORTH, winner, worth_of_a_round
from finetune.probes.folds import deal_folds
from finetune.records.estimate import Estimate, Hits, share
from finetune.records.plan import Plan
from zoo.errors import GraftError

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
class Trial:
    """A short run of a strategy, and the `epochs` of the whole one.

    `left` is what is still to be learned after it, as a part of what it was in the benchmark's short runs:
    less where the whole run, of one epoch or cut to the budget, is hardly longer.
    """

    plan: Plan
    epochs: int
    left: float


@dataclass(frozen=True)
class Race:
    """How a race went.

    `names` took part, cheapest first; `left_out` did not, for the budget. `seen` are the right answers,
    `belief` what is expected from them, `chance` what guessing would get. `trials` are the short runs of
    those that train by gradient.
    """

    names: tuple[str, ...]
    left_out: tuple[str, ...]
    seen: Seen
    belief: Belief
    chance: float
    rounds: int
    seconds: float = 0.0
    trials: Mapping[str, Trial] = field(default_factory=dict)

    @property
    def blind(self) -> bool:
        """Whether nothing that was asked is clearly better than guessing."""
        return all(at_chance(hits, self.chance) for hits in self.seen.values())

    @property
    def winner(self) -> str:
        """The cheapest, unless another is expected to be better; the cheapest in any case where all guess."""
        return self.names[0] if self.blind else winner(self.names, self.belief)

    def accuracy(self, name: str) -> Estimate | None:
        """On the left-out images that a strategy was asked; None where it was not asked any."""
        return share(self.seen[name]) if name in self.seen else None


def run_race(
    setup: Setup,
    known: Experience,
    probed: Seen,
    entries: Sequence[Entry],
    *,
    probes: Sequence[str],
    budget_minutes: float | None = None,
    worth: float = ROUND_WORTH,
    say: Say = print,
) -> Race:
    """Compare what probes scored by cross-validation with short trainings on the same left-out images.

    In: what is known from the benchmark on data like this; for each probe its hits (N,) on the setup's N
    training images, and which of the `probes` could be chosen; the other strategies, cheapest first.
    In a round those train of which it could change who wins, by `worth` of accuracy or more; and who would
    win untried. A strategy of which not even one epoch fits the budget does not take part.
    Raises: GraftError as training does, as deal_folds, and where nothing at all fits the budget.
    """
    start = time.monotonic()
    targets = setup.train.split.targets
    chance = float(np.bincount(targets).max() / len(targets))
    folds = deal_folds(targets, seed=setup.settings.seed)[0]
    folds = folds[: math.ceil(ASKED / len(folds[0][1]))]
    seconds = math.inf if budget_minutes is None else 60 * OF_BUDGET * budget_minutes
    rest = math.inf if budget_minutes is None else 60 * (1 - OF_BUDGET) * budget_minutes
    found = {entry.plan.strategy: _try(entry, seconds / len(entries) / len(folds), rest) for entry in entries}
    trials = {name: trial for name, trial in found.items() if trial is not None}
    left_out = tuple(name for name in found if name not in trials)
    if not probes and not trials:
        raise GraftError(
            f"finetune.budget_minutes: {budget_minutes:g}; expected more: not one epoch of any strategy fits"
        )

    def ask(name: str, number: int) -> Hits:
        hits = fold_hits(setup, trials[name].plan, folds[number])
        say(_line(name, share(hits), number + 1, time.monotonic() - start))
        return hits

    rounds = [len(fold[1]) for fold in folds]
    known = known.left({name: trial.left for name, trial in trials.items()})
    race = compete(
        known, probed, ask, probes=probes, trained=tuple(trials), rounds=rounds, chance=chance, worth=worth
    )
    return replace(race, left_out=left_out, seconds=time.monotonic() - start, trials=trials)


def compete(
    known: Experience,
    probed: Seen,
    ask: Callable[[str, int], Hits],
    *,
    probes: Sequence[str],
    trained: Sequence[str],
    rounds: Sequence[int],
    chance: float,
    worth: float = ROUND_WORTH,
) -> Race:
    """The race itself, whoever trains: `ask` gives the hits of one of the `trained` in round 0, 1, and so on.

    In: `rounds`, how many images are asked in each; the rest as run_race has it.
    """
    names, seen, done = (*probes, *trained), dict(probed), 0
    belief = believe(known, seen, chance)
    for images in rounds:
        ahead = winner(names, belief)
        asked = [
            name
            for name in trained
            if worth_of_a_round(name, names, belief, seen, images) >= worth
            or (name == ahead and name not in seen)
        ]
        if not asked:
            break
        for name in asked:
            hits = ask(name, done)
            seen[name] = np.where(np.isnan(hits), seen.get(name, hits), hits)
        done += 1
        belief = believe(known, seen, chance)
    while (ahead := winner(names, belief)) not in seen:  # the last round brought an untried one forward
        seen[ahead], done = ask(ahead, 0), max(done, 1)
        belief = believe(known, seen, chance)
    return Race(names, (), seen, belief, chance, done)


def _try(entry: Entry, seconds: float, rest: float) -> Trial | None:
    """A run of as many epochs as a round has, and as take so many seconds; None where not one does.

    In: `rest`, the seconds that there are for the whole run.
    """
    plan, epoch_s = entry.plan, entry.forecast.epoch_s
    usual = round(SHARE * plan.epochs)
    epochs = min(max(usual, 1), math.floor(min(seconds / epoch_s, plan.epochs)))
    if not epochs:
        return None
    whole = max(math.floor(min(rest / epoch_s / entry.forecast.trainings, plan.epochs)), epochs)
    left = (1 - epochs / whole) / (1 - usual / plan.epochs)
    return Trial(replace(plan, epochs=epochs), whole, left)


def _line(name: str, accuracy: Estimate, done: int, seconds: float) -> str:
    return f"  race, round {done}: {name} is right on {accuracy} of what was left out  ({seconds:.0f} s)"
