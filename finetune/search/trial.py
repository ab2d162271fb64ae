"""One trial: a short run of the engine on images that all trials share, judged on the validation split."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

import zoo
from finetune.engine.callbacks import Watch
from finetune.engine.loop import build_loop
from finetune.experiment.setup import Setup, prepare
from finetune.experiment.start import prepare_start
from finetune.fit.execute import execute_plan
from finetune.planning.defaults import settle
from finetune.probes.head import start_head
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.runtime.divergence import Divergence
from finetune.search.space import Values, override_values
from finetune.strategies import find_strategy
from finetune.tasks.base import chance_loss
from finetune.tasks.evaluate import evaluate_artifact
from zoo.errors import GraftError

QUIET = Console(quiet=True, force_terminal=False)

Report = Callable[[int, float, float], None]
"""Told after each epoch: its number from 1, its score and its loss."""


class BrokenOffError(Exception):
    """A trial whose cost grew instead of falling."""


@dataclass(frozen=True)
class Bench:
    """What all trials share: the spec as it was asked for, images, first weights, and the plan of a run."""

    recipe: zoo.Spec
    setup: Setup
    plan: Plan
    epochs: int


class TrialWatch(Watch):
    """Breaks a trial off when its loss runs away, and reports its epochs."""

    def __init__(self, classes: int, report: Report) -> None:
        self.report = report
        self.guard = Divergence(chance_loss(classes))

    def after_step(self, loss: float) -> None:
        """Raises: BrokenOffError."""
        trouble = self.guard.observe(loss)
        if trouble is not None:
            raise BrokenOffError(trouble)

    def after_epoch(self, epoch: int, score: float, loss: float) -> None:
        """Pass it on."""
        self.report(epoch + 1, score, loss)


def run_trial(bench: Bench, values: Values, folder: Path, report: Report) -> None:
    """Train with these values for the bench's epochs; `folder` keeps the line of numbers of each epoch.

    Raises: BrokenOffError; whatever `report` raises; GraftError for values that go with nothing else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    setup = trial_setup(bench, values)
    plan = trial_plan(bench, setup)
    setup = prepare_start(setup, plan)
    start_head(setup, plan)
    if find_strategy(plan.strategy).probe:
        _fit(setup, plan, folder, report)
        return
    loop = build_loop(setup, plan, RunFolder(folder), QUIET)
    replace(loop, watch=TrialWatch(len(setup.classes), report), keeps=False).run()


def trial_setup(bench: Bench, values: Values) -> Setup:
    """The bench's setup with these values in its spec, and a network with the starting weights.

    Values of `finetune` leave network and images as they are; other keys, and what the task may refuse, have
    them prepared again, from the bench's pixels where the size stays the same.
    """
    asked = {**values, "finetune.epochs": bench.epochs}
    task = bench.setup.task
    looked_at = {"weights", *task.refuses, *(() if task.probes else ("strategy",))}
    if all(key.startswith("finetune.") and key.split(".")[1] not in looked_at for key in values):
        spec = override_values(bench.setup.spec, asked)
        return replace(bench.setup, spec=spec, net=copy.deepcopy(bench.setup.net))
    rescaled = any(key == "finetune.weights" or key.startswith("input") for key in values)
    spec = override_values(bench.recipe if rescaled else bench.setup.spec, asked)
    setup = prepare(spec, bench.setup.splits)
    if _grid(setup) != _grid(bench.setup):
        return setup
    val = replace(setup.val, pixels=bench.setup.val.pixels)
    return replace(setup, val=val, train=replace(setup.train, pixels=bench.setup.train.pixels))


def trial_plan(bench: Bench, setup: Setup) -> Plan:
    """The bench's plan with what the trial's spec says otherwise; all trials have the bench's precision.

    Raises: GraftError for a strategy that needs weights where there are none.
    """
    wanted = setup.settings.strategy
    strategy = find_strategy(bench.plan.strategy if wanted == "auto" else wanted)
    if strategy.pretrained and setup.origin is None:
        raise GraftError(f"{strategy.name} needs pretrained weights, and there are none: {setup.no_weights}")
    exact = replace(setup, spec=zoo.override(setup.spec, {"finetune.precision": "float32"}))
    evidence, rates = bench.plan.evidence, float(str(bench.plan.evidence.get("rates", 1.0)))
    plan = settle(exact, strategy, bench.plan.cell, bench.plan.reasons, evidence, rates=rates)
    trains = bench.plan.trains if _as_planned(bench, setup, plan) else plan.trains
    return replace(plan, precision=bench.plan.precision, trains=trains)


def _as_planned(bench: Bench, setup: Setup, plan: Plan) -> bool:
    """Whether the trial trains to the depth that was measured, or that a plan given back says."""
    same = plan.strategy == bench.plan.strategy and setup.anatomy == bench.setup.anatomy
    return same and setup.settings.partial.stages == bench.setup.settings.partial.stages


def _fit(setup: Setup, plan: Plan, folder: Path, report: Report) -> None:
    """A probe has no epochs: it is fitted and judged once."""
    net = execute_plan(setup, plan, RunFolder(folder), QUIET).net
    metrics = evaluate_artifact(net, setup.preprocess, setup.val, setup.task, len(setup.classes))
    shutil.rmtree(folder)
    report(1, float(metrics[setup.task.score]), float(metrics["loss"]))  # type: ignore[arg-type]


def _grid(setup: Setup) -> tuple[int, int, str]:
    """What the stored pixels depend on."""
    return setup.spec.input.height, setup.spec.input.width, setup.spec.input.resize
