"""Taking trials: which values come next, and what becomes of each trial."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from finetune.config import SearchSettings
from finetune.config.search import JOURNAL
from finetune.data import DataError
from finetune.search.fine import narrow_space
from finetune.search.record import LOSS, ORIGIN, OUTCOME, PHASE, REASON, Trial, best_trials, read_trial
from finetune.search.show import show_trial
from finetune.search.space import Space, draw
from finetune.search.study import make_sampler
from finetune.search.trial import Bench, BrokenOffError, run_trial
from finetune.search.workers import Worker, give_up_lost, try_again
from zoo.errors import GraftError


@dataclass(frozen=True)
class Search:
    """A search in progress."""

    bench: Bench
    settings: SearchSettings
    folder: Path
    study: optuna.Study
    worker: Worker
    console: Console

    @property
    def score(self) -> str:
        """The metric that is maximised."""
        return self.bench.setup.task.score

    def trials(self) -> list[Trial]:
        """All that have begun, by whichever process."""
        found = self.study.get_trials(deepcopy=False)
        space = self.settings.space
        return [read_trial(trial, space) for trial in found if trial.state != TrialState.WAITING]

    def run(self) -> None:
        """Take trials until all are taken."""
        while self._take():
            pass

    def _take(self) -> bool:
        """Take one trial and carry it out; False when enough are taken."""
        with self.worker.claim:
            self._tidy()
            trials = self.trials()
            if sum(trial.counts for trial in trials) >= self.settings.trials:
                return False
            phase, space = self._ranges(trials)
            number = len(self.study.get_trials(deepcopy=False))
            self.study.sampler = make_sampler(self.settings, number, space, self.settings.space)
            self.study.optimize(
                lambda trial: self._carry_out(trial, phase, space), n_trials=1, callbacks=[self._tell]
            )
        return True

    def _tell(self, study: optuna.Study, trial: FrozenTrial) -> None:
        trials = self.trials()
        ended = sum(each.counts and each.outcome != "running" for each in trials)
        best = next(iter(best_trials(trials, 1)), None)
        mine = read_trial(trial, self.settings.space)
        show_trial(mine, best, f"{ended}/{self.settings.trials}", self.score, self.console)

    def _tidy(self) -> None:
        """See to trials whose process was killed."""
        if self.settings.storage == JOURNAL:
            give_up_lost(self.study, self.worker)
        else:
            optuna.storages.fail_stale_trials(self.study)
        try_again(self.study)

    def _ranges(self, trials: list[Trial]) -> tuple[str, Space]:
        """What the next trial draws from."""
        fine, count, space = self.settings.fine_part, self.settings.coarse_trials, self.settings.space
        coarse = [trial for trial in trials if trial.phase == "coarse" and trial.counts]
        if fine is None:
            return "", space
        best = best_trials(coarse, fine.best)
        if len(coarse) < count or not best:
            return "coarse", space
        return "fine", narrow_space(space, [trial.values for trial in best], len(coarse))

    def _carry_out(self, trial: optuna.Trial, phase: str, space: Space) -> float:
        """Optuna's objective. The claim is given back as soon as the trial is signed and its values drawn."""
        self.worker.sign(trial)
        again = ORIGIN in trial.user_attrs
        if not again:
            trial.set_user_attr(PHASE, phase)
        values = draw(trial, self.settings.space if again else space, self.settings.space)
        self.worker.claim.release()
        best = (0.0, 0.0)

        def report(epoch: int, score: float, loss: float) -> None:
            nonlocal best
            if epoch == 1 or (score, -loss) > best:
                best = (score, -loss)
                trial.set_user_attr(LOSS, loss)
            trial.report(score, epoch)
            if epoch < self.bench.epochs and trial.should_prune():
                raise optuna.TrialPruned

        try:
            run_trial(self.bench, values, self.folder / "trials" / f"{trial.number:04d}", report)
        except DataError:
            raise
        except BrokenOffError as error:
            _end_early(trial, "broken off", error)
        except (GraftError, MemoryError, RuntimeError, ValueError) as error:  # torch's own, of these values
            _end_early(trial, "refused", error)
        return best[0]


def _end_early(trial: optuna.Trial, outcome: str, error: Exception) -> None:
    trial.set_user_attr(OUTCOME, outcome)
    trial.set_user_attr(REASON, (str(error).splitlines() or [type(error).__name__])[0])
    raise optuna.TrialPruned from error
