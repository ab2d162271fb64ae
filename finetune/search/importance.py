"""How much of the differences between trials each key explains."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from finetune.search.record import INFORMATIVE, Trial
from finetune.search.space import Space, distribution, label

MIN_TRIALS_PER_KEY = 4
"""With fewer trials nothing is measured."""
RELIABLE_TRIALS = 30
"""With fewer trials the numbers are rough."""


def measure_importance(trials: Sequence[Trial], space: Space, seed: int) -> dict[str, float]:
    """Return each key's share in the variance of the score, largest first; {} for too few trials.

    Trials that ended early count with the best score they reached, or 0: a range whose values make training
    diverge matters. Source: functional ANOVA, Hutter et al. 2014.
    """
    ended = [trial for trial in trials if trial.outcome in INFORMATIVE]
    scores = [trial.score or 0.0 for trial in ended]
    if len(ended) < MIN_TRIALS_PER_KEY * len(space) or len(set(scores)) == 1:
        return {}
    study = optuna.create_study(direction="maximize")
    distributions = {key: distribution(given) for key, given in space.items()}
    choices = {key for key, given in space.items() if given.chosen[0] == "choice"}
    for trial, score in zip(ended, scores, strict=True):
        params = {key: label(trial.values[key]) if key in choices else trial.values[key] for key in space}
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=score))
    evaluator = FanovaImportanceEvaluator(seed=seed % 2**32)
    return {key: float(share) for key, share in get_param_importances(study, evaluator=evaluator).items()}
