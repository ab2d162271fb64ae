"""A run from spec to artifact.

The steps are: read the spec, split the images, prepare the network, plan, train, evaluate, export, report.
Each step writes a file to the run's folder; a step whose file exists is not repeated.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rich.console import Console
from torch import nn

import zoo
from finetune.config import DataSettings, get_section
from finetune.data import Split, Splits
from finetune.experiment.recipe import load_data, read_recipe, restore_spec
from finetune.experiment.setup import Setup, prepare
from finetune.experiment.start import prepare_start
from finetune.fit.execute import Trained, execute_plan, rebuild
from finetune.models.tta import apply_test_time_augmentation
from finetune.planning.choose import choose_plan
from finetune.planning.load import load_plan, read_given_plan
from finetune.records.plan import Plan, read_plan
from finetune.records.report import Export, Report, WeightsOrigin, read_report, write_report
from finetune.records.run_folder import (
    RUNS,
    RunFolder,
    describe_changes,
    find_unfinished,
    keep_other,
    new_folder,
    read_record,
    write_json,
    write_record,
    write_text,
)
from finetune.records.training import TRAINING
from finetune.report.report import make_report
from finetune.report.show import show_plan, show_report, show_setup
from finetune.runtime.console import make_console
from finetune.runtime.norms import explain_norms
from finetune.tasks import find_task
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError
from zoo.plugins import EXPORTERS, find_plugins


@dataclass(frozen=True)
class FinishedRun:
    """A trained network with all that an exporter needs; `val` holds the images to check an export on."""

    folder: Path
    spec: zoo.Spec
    net: nn.Module
    preprocess: Preprocess
    labels: tuple[str, ...]
    task: str
    metrics: Mapping[str, float]
    weights_origin: WeightsOrigin
    val: Split


@dataclass(frozen=True)
class RunReport:
    """The results of a run, read from its folder."""

    folder: Path

    @cached_property
    def plan(self) -> Plan:
        """The plan: strategy, evidence, reasons."""
        return read_plan(RunFolder(self.folder).plan)

    @cached_property
    def report(self) -> Report:
        """The content of report.json."""
        return read_report(RunFolder(self.folder))

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics on the test split, or without one on the validation split."""
        return self.report.metrics

    @property
    def onnx(self) -> Path:
        """The artifact."""
        return RunFolder(self.folder).onnx


@explain_norms()
def run(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    run: str | Path | None = None,
    *,
    resume: bool = False,
    root: Path = RUNS,
    console: Console | None = None,
) -> RunReport:
    """Train the spec on its images, or on `data`, and write the run's folder with the artifact in it.

    `set` overrides dotted keys of the spec. `run` is the folder; an interrupted run in it is resumed, to the
    same results. `resume` takes the newest unfinished run of the spec.
    Raises: GraftError for every mistake in the spec, the data or the arguments.
    """
    console, start = console or make_console(), time.monotonic()
    recipe = read_recipe(spec, data, set)
    folder = _open_folder(recipe, run, resume, root)
    if folder.report.exists():
        console.print(f"{folder.path} is finished; nothing to do")
        show_report(read_report(folder), folder, console)
        return RunReport(folder.path)
    setup = prepare(recipe, _get_splits(recipe, folder))
    show_setup(setup, console)
    plan = _get_plan(setup, folder, console)
    show_plan(plan, console)
    setup = prepare_start(setup, plan)
    write_text(folder.spec, setup.spec.to_yaml())
    trained, minutes = _train(setup, plan, folder, console)
    report = make_report(setup, plan, trained, folder, minutes)
    try:
        exports = export(finish(setup, trained, folder, report))
    except GraftError:  # the network is trained and evaluated nevertheless
        write_report(folder, replace(report, seconds=round(time.monotonic() - start, 1)))
        raise
    report = replace(report, exports=exports, seconds=round(time.monotonic() - start, 1))
    write_report(folder, report)
    show_report(report, folder, console)
    return RunReport(folder.path)


@explain_norms()
def make_plan(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    *,
    root: Path = RUNS,
    console: Console | None = None,
) -> Plan:
    """Show the plan of a run of the spec, and write it to `root`/NAME/plan.json.

    Another plan in that file is renamed. A plan that the spec names is shown, and not written.
    Raises: GraftError for every mistake in the spec, the data or the arguments.
    """
    console = console or make_console()
    recipe = read_recipe(spec, data, set)
    setup = prepare(recipe, load_data(recipe))
    show_setup(setup, console)
    given = setup.settings.plan
    if given is not None:
        show_plan(plan := read_given_plan(setup, given), console)
        console.print(f"{given} is used unchanged; nothing was measured")
        return plan
    chosen = choose_plan(setup, compare=True, console=console)
    show_plan(chosen, console)
    path = root / recipe.name / "plan.json"
    renamed = keep_other(path, chosen.to_json())
    write_text(path, chosen.to_json())
    console.print(f"{path}: edit it, and train with it by --set finetune.plan={path}")
    if renamed is not None:
        console.print(f"{renamed}: the previous plan")
    return chosen


def load_run(path: str | Path) -> FinishedRun:
    """Load a finished run, with its trained network, from its folder.

    Raises: GraftError when the folder holds no trained network.
    """
    folder = RunFolder(Path(path).expanduser())
    setup, trained = load_trained(folder)
    trained = replace(trained, net=apply_test_time_augmentation(trained.net, setup.settings.test_time))
    return finish(setup, trained, folder, read_report(folder))


def load_trained(folder: RunFolder) -> tuple[Setup, Trained]:
    """Load the setup and the trained network of a run. Raises: GraftError when there is none."""
    if not folder.trained.exists():
        raise GraftError(
            f"{folder.path}: no trained network here; expected a run's folder, such as runs/NAME/DATE"
        )
    spec = restore_spec(zoo.read_spec(folder.spec))
    setup = prepare(spec, _get_splits(spec, folder))
    return setup, rebuild(setup, read_record(folder.trained, TRAINING), folder)


def finish(setup: Setup, trained: Trained, folder: RunFolder, report: Report) -> FinishedRun:
    """Return what exporters need of a trained network."""
    return FinishedRun(
        folder=folder.path,
        spec=setup.spec,
        net=trained.net.eval(),
        preprocess=setup.preprocess,
        labels=setup.classes,
        task=setup.task.name,
        metrics=report.metrics,
        weights_origin=report.weights,
        val=setup.splits.val,
    )


def export(finished: FinishedRun) -> dict[str, Export]:
    """Call every installed exporter. Out: its result by its name."""
    return {name: load()(finished) for name, load in find_plugins(EXPORTERS)}


def _open_folder(recipe: zoo.Spec, run: str | Path | None, resume: bool, root: Path) -> RunFolder:
    """Return the folder to work in, which holds the spec as given."""
    if run is None:
        folder = find_unfinished(root, recipe.name) if resume else new_folder(root, recipe.name)
    else:
        folder = RunFolder(Path(run).expanduser())
    if not folder.recipe.exists():
        write_text(folder.recipe, recipe.to_yaml())
    elif folder.recipe.read_text() != recipe.to_yaml():
        changes = describe_changes(folder.recipe.read_text(), recipe.to_yaml())
        raise GraftError(
            f"{folder.path} was started with another spec: {changes}\n"
            "  expected: the same spec, --data and --set as before, or another --run"
        )
    return folder


def _get_splits(spec: zoo.Spec, folder: RunFolder) -> Splits:
    """Return the splits that the folder records, or split the images and record it."""
    if folder.splits.exists():
        record = json.loads(folder.splits.read_text())
        return find_task(spec.task).read_splits(record, get_section(spec, DataSettings))
    splits = load_data(spec)
    write_json(folder.splits, splits.to_record())
    return splits


def _get_plan(setup: Setup, folder: RunFolder, console: Console) -> Plan:
    """Return the plan in the folder, or choose one and write it."""
    if folder.plan.exists():
        return read_plan(folder.plan)
    plan = load_plan(setup, console)
    write_text(folder.plan, plan.to_json())
    return plan


def _train(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> tuple[Trained, float | None]:
    """Return the trained network, from the folder if training has ended; and the minutes of training.

    The minutes are None if training was interrupted.
    """
    start, resumed = time.monotonic(), folder.trained.exists() or folder.checkpoint.exists()
    if folder.trained.exists():
        trained = rebuild(setup, read_record(folder.trained, TRAINING), folder)
    else:
        trained = execute_plan(setup, plan, folder, console)
        write_record(folder.trained, TRAINING, trained.training)
    net = apply_test_time_augmentation(trained.net, setup.settings.test_time)
    return replace(trained, net=net), None if resumed else (time.monotonic() - start) / 60
