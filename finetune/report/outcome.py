"""What the plan promised beside what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from finetune.records.estimate import Estimate
from finetune.records.plan import Plan


def compare_outcome(plan: Plan, report: Mapping[str, Any], minutes: float | None) -> dict[str, object]:
    """Minutes of training and accuracy, as predicted and as they came; what was not predicted is left out.

    In: the plan, the report's metrics, and how long training took, None where it was broken off in between.
    The predicted accuracy is what the race expects of a whole run, from images left out of training.
    """
    outcome: dict[str, object] = {}
    predicted = plan.minutes
    if predicted is not None and minutes is not None:
        outcome["minutes"] = {"predicted": round(predicted, 2), "came": round(minutes, 2)}
    race = plan.evidence.race
    score = None if race is None else race.scores.get(plan.strategy)
    if score is not None and "accuracy" in report["metrics"]:
        outcome["accuracy"] = {"predicted": asdict(score.expected), "came": report["metrics"]["accuracy"]}
    return outcome


def outcome_in_words(outcome: Mapping[str, Any]) -> str:
    """Such as `predicted: accuracy 0.912 ± 0.020 (came 0.931), 1.2 minutes (came 1.4)`; empty for nothing."""
    parts = []
    if "accuracy" in outcome:
        accuracy = outcome["accuracy"]
        parts.append(f"accuracy {Estimate(**accuracy['predicted'])} (came {accuracy['came']:.3f})")
    if "minutes" in outcome:
        minutes = outcome["minutes"]
        parts.append(f"{minutes['predicted']:g} minutes of training (came {minutes['came']:g})")
    return f"predicted: {', '.join(parts)}" if parts else ""
