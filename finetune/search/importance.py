"""How much of the differences between trials each key explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from finetune.search.record import ENDED, Trial
from finetune.search.space import Space, distribution, label

TRIALS_A_KEY = 4
"""Fewer trials for each key say nothing."""
TRIALS_TO_TRUST = 30
"""With fewer trials the numbers are rough."""


def measure_importance(trials: Sequence[Trial], space: Space, seed: int) -> dict[str, float]:
    """The share of each key in the variance of the score, in all 1, greatest first; {} for too few trials.

    All trials that ended count, those that ended early with the best score they had, 0 if they had none:
    values that make training explode matter. Source: functional ANOVA, Hutter et al. 2014.
    """
    ended = [trial for trial in trials if trial.outcome in ENDED]
    scores = [trial.score or 0.0 for trial in ended]
    if len(ended) < TRIALS_A_KEY * len(space) or len(set(scores)) == 1:
        return {}
    study = optuna.create_study(direction="maximize")
    distributions = {key: distribution(given) for key, given in space.items()}
    for trial, score in zip(ended, scores, strict=True):
        params = _params(trial.values, space)
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=score))
    evaluator = FanovaImportanceEvaluator(seed=seed % 2**32)
    return {key: float(share) for key, share in get_param_importances(study, evaluator=evaluator).items()}


def _params(values: Mapping[str, object], space: Space) -> dict[str, object]:
    return {
        key: label(values[key]) if given.chosen[0] == "choice" else values[key]
        for key, given in space.items()
    }
