"""One trial: a short training run, scored on the validation split."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import zoo
from finetune.engine.build import build_trainer
from finetune.engine.callbacks import Callback, DivergenceGuard
from finetune.experiment.setup import Setup, prepare
from finetune.experiment.start import prepare_start
from finetune.fit.execute import execute_plan
from finetune.planning.defaults import resolve_defaults
from finetune.planning.rate_scale import scale_rate
from finetune.probes.classifier import start_head
from finetune.records.metrics_log import EpochRecord
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import QUIET
from finetune.runtime.norms import explain_norms
from finetune.search.space import Values, override_values
from finetune.strategies import find_strategy
from finetune.tasks.evaluate import evaluate_artifact
from zoo.errors import GraftError

Report = Callable[[int, float, float], None]
"""Called after each epoch with its number, from 1, its score and its loss."""


@dataclass(frozen=True)
class Shared:
    """What all trials share: the spec as given, the images, the starting weights, the plan of a full run."""

    recipe: zoo.Spec
    setup: Setup
    plan: Plan
    epochs: int


class TrialReporter(Callback):
    """Reports the epochs of a trial."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Report the epoch's score and loss."""
        assert record.val_score is not None
        assert record.val_loss is not None
        self.report(record.epoch, record.val_score, record.val_loss)


@explain_norms()
def run_trial(shared: Shared, values: Values, folder: Path, report: Report) -> None:
    """Train with these values; `folder` keeps the line of numbers of each epoch.

    Raises: DivergedError; whatever `report` raises; GraftError for values that the rest of the
    spec does not allow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    setup = trial_setup(shared, values)
    plan = trial_plan(shared, setup)
    setup = prepare_start(setup, plan)
    start_head(setup, plan)
    if find_strategy(plan.strategy).probe:
        _fit_probe(setup, plan, folder, report)
        return
    trainer = build_trainer(setup, plan, RunFolder(folder), QUIET)
    callbacks = [DivergenceGuard(setup.task.chance_loss(len(setup.classes))), TrialReporter(report)]
    replace(trainer, callbacks=callbacks, saves=False).run()


def trial_setup(shared: Shared, values: Values) -> Setup:
    """Return the shared setup with these values in its spec, and a network with the starting weights.

    Values of `finetune` change neither network nor images. Other keys, and those that the task may refuse,
    need both to be prepared again, with the shared pixels where the image size is the same.
    """
    overrides = {**values, "finetune.epochs": shared.epochs}
    task = shared.setup.task
    checked = {"weights", *task.refuses, *(() if task.probes else ("strategy",))}
    if all(key.startswith("finetune.") and key.split(".")[1] not in checked for key in values):
        spec = override_values(shared.setup.spec, overrides)
        return replace(shared.setup, spec=spec, net=copy.deepcopy(shared.setup.net))
    rescaled = any(key == "finetune.weights" or key.startswith("input") for key in values)
    spec = override_values(shared.recipe if rescaled else shared.setup.spec, overrides)
    chosen = {"finetune.precision": shared.setup.settings.model_dump(mode="json")["precision"]}
    setup = prepare(zoo.override(spec, chosen), shared.setup.splits)
    if _pixel_format(setup) != _pixel_format(shared.setup):
        return setup
    val = replace(setup.val, pixels=shared.setup.val.pixels)
    return replace(setup, val=val, train=replace(setup.train, pixels=shared.setup.train.pixels))


def trial_plan(shared: Shared, setup: Setup) -> Plan:
    """Return the shared plan with what the trial's spec changes; all trials have the plan's precision.

    Raises: GraftError for a strategy that needs weights where there are none.
    """
    name = setup.settings.strategy
    strategy = find_strategy(shared.plan.strategy if name == "auto" else name)
    if strategy.pretrained and setup.origin is None:
        raise GraftError(f"{strategy.name} needs pretrained weights, and there are none: {setup.no_weights}")
    evidence = shared.plan.evidence
    plan = resolve_defaults(setup, strategy, shared.plan.cell, shared.plan.reasons, evidence)
    if setup.settings.learning_rate == "auto" and strategy.fine_tunes:
        plan = scale_rate(plan, evidence.rate_scale)
    trains = shared.plan.trains if _has_same_depth(shared, setup, plan) else plan.trains
    return replace(plan, precision=shared.plan.precision, trains=trains)


def _has_same_depth(shared: Shared, setup: Setup, plan: Plan) -> bool:
    """Whether the trial trains the modules of the shared plan, whose depth was measured or given."""
    same = plan.strategy == shared.plan.strategy and setup.anatomy == shared.setup.anatomy
    return same and setup.settings.partial.stages == shared.setup.settings.partial.stages


def _fit_probe(setup: Setup, plan: Plan, folder: Path, report: Report) -> None:
    """Fit a linear classifier, which has no epochs, and report it once."""
    net = execute_plan(setup, plan, RunFolder(folder), QUIET).net
    found = evaluate_artifact(net, setup.preprocess, setup.val, setup.task, setup.classes)
    shutil.rmtree(folder)
    report(1, found.score, found.loss)


def _pixel_format(setup: Setup) -> tuple[int, int, str]:
    """Return what the stored pixels depend on."""
    return setup.spec.input.height, setup.spec.input.width, setup.spec.input.resize
