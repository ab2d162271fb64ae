"""The analysis of a search by Optuna: the importance of each key, and plots of the scores."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from finetune.search.record import INFORMATIVE, Trial
from finetune.search.space import Space, distribution, label

HISTORY, VALUES = "history.png", "values.png"
MIN_TRIALS_PER_KEY = 4
"""With fewer trials no importance is measured."""
RELIABLE_TRIALS = 30
"""With fewer trials the importance is rough."""


def measure_importance(trials: Sequence[Trial], space: Space, seed: int) -> dict[str, float]:
    """Return each key's share in the variance of the score, largest first; {} for too few trials.

    Trials that ended early count: a range whose values make training diverge matters.
    Source: functional ANOVA, Hutter et al. 2014.
    """
    study = _collect(trials, space)
    scores = {trial.value for trial in study.trials}
    if len(study.trials) < MIN_TRIALS_PER_KEY * len(space) or len(scores) == 1:
        return {}
    evaluator = FanovaImportanceEvaluator(seed=seed % 2**32)
    return {key: float(share) for key, share in get_param_importances(study, evaluator=evaluator).items()}


def plot_search(trials: Sequence[Trial], space: Space, score: str, folder: Path) -> None:
    """Write `history.png`, the scores in order, and `values.png`, the scores over the values of each key.

    Trials that ended early are grey; those without a score are left out.
    """
    from matplotlib import pyplot as plt
    from optuna.visualization.matplotlib import plot_optimization_history, plot_slice

    study = _collect([trial for trial in trials if trial.score is not None], space)
    for name, plot in ((HISTORY, plot_optimization_history), (VALUES, plot_slice)):
        with plt.rc_context(), warnings.catch_warnings():  # Optuna sets a style
            warnings.simplefilter("ignore", UserWarning)  # of an axis with a single value
            plot(study, target_name=f"validation {score}")
            figure = plt.gcf()
        for axes in figure.axes:
            axes.tick_params("x", labelrotation=30)  # long values do not overlap
        temporary = folder / f".{name}.{os.getpid()}"  # other processes of the search may write it too
        figure.savefig(temporary, dpi=120, format="png", bbox_inches="tight")
        plt.close(figure)
        temporary.replace(folder / name)


def _collect(trials: Sequence[Trial], space: Space) -> optuna.Study:
    """Return a study of the completed trials and of those that ended early, with their best score or 0."""
    study = optuna.create_study(direction="maximize")
    distributions = {key: distribution(given) for key, given in space.items()}
    choices = {key for key, given in space.items() if given.chosen[0] == "choice"}
    for trial in trials:
        if trial.outcome in INFORMATIVE:
            values = {key: label(trial.values[key]) if key in choices else trial.values[key] for key in space}
            early = {"ended early": 0.0 if trial.outcome == "completed" else 1.0}
            study.add_trial(
                optuna.create_trial(
                    params=values, distributions=distributions, value=trial.score or 0.0, constraints=early
                )
            )
    return study
