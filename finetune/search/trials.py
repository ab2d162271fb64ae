"""Running the trials of a study: what each draws, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from finetune.config import SearchSettings
from finetune.config.search import LOCAL
from finetune.data import DataError
from finetune.engine.callbacks import DivergedError
from finetune.search.processes import count_before, end_killed_trials, take_part
from finetune.search.record import LOSS, OUTCOME, PHASE, REASON, Outcome, Trial, best_trials, read_trial
from finetune.search.show import show_trial
from finetune.search.space import Space, draw, narrow_space
from finetune.search.study import make_sampler
from finetune.search.trial import Shared, run_trial
from zoo.errors import GraftError


@dataclass(frozen=True)
class Search:
    """A search in progress."""

    shared: Shared
    settings: SearchSettings
    folder: Path
    study: optuna.Study
    console: Console

    @property
    def score(self) -> str:
        """The name of the metric that is maximized."""
        return self.shared.setup.task.score

    def trials(self) -> list[Trial]:
        """Return all trials that were started, by whichever process."""
        trials = self.study.get_trials(deepcopy=False)
        return [read_trial(trial, self.settings.space) for trial in trials if _has_started(trial)]

    def run(self) -> None:
        """Run trials until as many were started as the spec asks for."""
        with take_part(self.folder) as alone:
            if alone and self.settings.storage == LOCAL:  # else processes may take part from other folders
                end_killed_trials(self.study, self.settings.space)
            optuna.storages.fail_stale_trials(self.study)
            if not self._is_complete():
                self.study.optimize(self._run_trial, callbacks=[self._after_trial])

    def _is_complete(self) -> bool:
        return sum(trial.counts for trial in self.trials()) >= self.settings.trials

    def _after_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        trials = self.trials()
        ended = sum(each.counts and each.outcome != "running" for each in trials)
        best = next(iter(best_trials(trials, 1)), None)
        shown = read_trial(trial, self.settings.space)
        show_trial(shown, best, f"{ended}/{self.settings.trials}", self.score, self.console)
        optuna.storages.fail_stale_trials(study)
        if self._is_complete():
            study.stop()

    def _run_trial(self, trial: optuna.Trial) -> float:
        """Train with the values of one trial. Out: its best validation score."""
        full_space: Space = self.settings.space
        if PHASE in trial.user_attrs:  # an interrupted trial again: its values are set
            space = full_space
        else:
            phase, space = choose_ranges(self.settings, self.trials())
            trial.set_user_attr(PHASE, phase)
        number = count_before(self.study, trial)  # so that interruptions change no draw
        self.study.sampler = make_sampler(self.settings, number, space, full_space)
        values = draw(trial, space, full_space)
        best: tuple[float, float] | None = None

        def report(epoch: int, score: float, loss: float) -> None:
            nonlocal best
            if best is None or (score, -loss) > best:
                best = (score, -loss)
                trial.set_user_attr(LOSS, loss)
            trial.report(score, epoch)
            if epoch < self.shared.epochs and trial.should_prune():
                raise optuna.TrialPruned

        try:
            run_trial(self.shared, values, self.folder / "trials" / f"{trial.number:04d}", report)
        except (DataError, KeyboardInterrupt):  # says nothing about the values: they are tried again
            self.study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
            raise
        except DivergedError as error:
            _end_early(trial, "diverged", error)
        except (GraftError, MemoryError, RuntimeError, ValueError) as error:  # torch raises all of these
            _end_early(trial, "invalid", error)
        assert best is not None
        return best[0]


def choose_ranges(settings: SearchSettings, trials: Sequence[Trial]) -> tuple[str, Space]:
    """Return the phase of the next trial, "" where there is one only, and the ranges it draws from."""
    fine = settings.fine_part
    if fine is None:
        return "", settings.space
    coarse = [trial for trial in trials if trial.phase == "coarse" and trial.counts]
    best = best_trials(coarse, fine.best)
    if len(coarse) < settings.coarse_trials or not best:
        return "coarse", settings.space
    return "fine", narrow_space(settings.space, [trial.values for trial in best], len(coarse))


def _has_started(trial: FrozenTrial) -> bool:
    return bool(trial.state != TrialState.WAITING)


def _end_early(trial: optuna.Trial, outcome: Outcome, error: Exception) -> NoReturn:
    trial.set_user_attr(OUTCOME, outcome)
    trial.set_user_attr(REASON, (str(error).splitlines() or [type(error).__name__])[0])
    raise optuna.TrialPruned from error
