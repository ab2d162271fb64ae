"""Making the report of a run: what the trained network achieves, beside the plan's predictions."""

from __future__ import annotations

from dataclasses import replace

from finetune.calibration.out_of_fold import OutOfFold
from finetune.experiment.setup import Setup
from finetune.fit.execute import Trained
from finetune.monitor.diagnosis import diagnose_run
from finetune.records.plan import Plan
from finetune.records.report import (
    BrokenFile,
    NoWeights,
    Outcome,
    PredictedAccuracy,
    PredictedMinutes,
    Report,
    SplitSizes,
    StartingWeights,
    WeightsOrigin,
)
from finetune.records.run_folder import RunFolder
from finetune.report.advice import advise
from finetune.report.tested import Tested, cross_validation, measure_intervals, measure_quality


def make_report(
    setup: Setup,
    plan: Plan,
    trained: Trained,
    tested: Tested,
    *,
    folder: RunFolder,
    minutes: float | None,
    out_of_fold: OutOfFold | None = None,
) -> Report:
    """Return the report, without exports.

    In: `tested`, what `measure_run` found; `minutes`, the duration of training, None if it was interrupted.
    """
    splits, found = setup.splits, tested.evaluation
    val = len(splits.val) if out_of_fold is None else 0  # else they were learned from as well
    intervals, class_intervals = measure_intervals(tested, setup)
    return Report(
        spec=setup.spec.name,
        task=setup.task.name,
        strategy=plan.strategy,
        images=SplitSizes(len(setup.train), val, len(splits.test)),
        measured_on="test" if len(setup.test) else "folds" if tested.out_of_fold else "val",
        metrics=found.numbers,
        classes=found.per_class,
        confusion=found.confusion,
        training=trained.training,
        remarks=tuple(diagnose_run(setup, folder.log)),
        weights=describe_weights(setup),
        broken=tuple(BrokenFile(broken.path, broken.reason) for broken in splits.broken),
        warnings=setup.warnings,
        intervals=intervals,
        class_intervals=class_intervals,
        calibration=trained.calibration,
        quality=measure_quality(tested, trained.calibration),
        cross_validation=None if out_of_fold is None else cross_validation(out_of_fold),
        advice=tuple(advise(setup, intervals)),
        outcome=compare_outcome(plan, found.numbers.get("accuracy"), minutes),
    )


def describe_weights(setup: Setup) -> WeightsOrigin:
    """Return the origin of the pretrained weights, or why there are none."""
    origin = setup.origin
    if origin is None:
        return NoWeights(setup.no_weights)
    return StartingWeights(origin.name, origin.origin, origin.licence, origin.sha256, origin.classes)


def compare_outcome(plan: Plan, accuracy: float | None, minutes: float | None) -> Outcome:
    """Compare accuracy and minutes of training with what the plan predicted.

    The predicted accuracy is what the race expects of a full run, from held-out images.
    """
    race = plan.evidence.race
    score = None if race is None else race.scores.get(plan.strategy)
    outcome = Outcome()
    if score is not None and accuracy is not None:
        outcome = replace(outcome, accuracy=PredictedAccuracy(score.expected, accuracy))
    if plan.minutes is not None and minutes is not None:
        outcome = replace(outcome, minutes=PredictedMinutes(round(plan.minutes, 2), round(minutes, 2)))
    return outcome
