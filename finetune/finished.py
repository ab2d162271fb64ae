"""Finished runs: what is read from a run's folder, shown again, and handed to exporters."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rich.console import Console
from torch import nn

import zoo
from files.paths import expand_home
from finetune.calibration.calibrate import restore_calibration
from finetune.calibration.out_of_fold import read_out_of_fold
from finetune.config import DataSettings, get_section
from finetune.data import Split, Splits
from finetune.experiment.recipe import load_data, restore_spec
from finetune.experiment.setup import Setup, prepare
from finetune.fit.execute import Trained, rebuild
from finetune.health.run import check_splits, write_health
from finetune.models.calibrated import CalibratedNet
from finetune.models.tta import apply_test_time_augmentation
from finetune.records.calibration import Calibration
from finetune.records.files import read_record, write_json
from finetune.records.plan import Plan, read_plan
from finetune.records.report import Export, Report, WeightsOrigin, read_report
from finetune.records.run_folder import RUNS, RunFolder
from finetune.records.training import TRAINING
from finetune.records.verify import change_run, open_run
from finetune.report.page.write import write_page
from finetune.report.show import show_plan, show_report
from finetune.report.tested import measure_run
from finetune.runtime.console import Terminal, details
from finetune.runtime.console_text import format_command, show_path
from finetune.tasks import find_task
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError
from zoo.plugins import EXPORTERS, find_plugins


@dataclass(frozen=True)
class FinishedRun:
    """A trained network with all that an exporter needs; `val` holds the images to check an export on,
    and `train` those that the network learned from.

    `calibrated` is the same network with calibrated answers, which is exported.
    """

    folder: Path
    spec: zoo.Spec
    net: nn.Module
    calibrated: nn.Module
    preprocess: Preprocess
    labels: tuple[str, ...]
    task: str
    metrics: Mapping[str, float]
    weights_origin: WeightsOrigin
    train: Split
    val: Split
    calibration: Calibration | None = None


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


def show_run(run: str | Path, *, why: bool = False, console: Console | None = None) -> RunReport:
    """Show the result of a finished run again. Raises: GraftError when the folder has no report."""
    folder, console = open_run(run), console or Terminal(why=why)
    if not folder.report.exists():
        raise GraftError(f"{folder.path}: the run is not finished\n  expected: the folder of a finished run")
    result, recipe = RunReport(folder.path), zoo.read_spec(folder.spec)
    if folder.plan.exists():
        show_plan(result.plan, details(console))
    show_report(result.report, folder, console, next_commands(recipe, folder, folder.spec))
    return result


def next_commands(recipe: zoo.Spec, folder: RunFolder, spec: str | Path) -> tuple[str, ...]:
    """Return the commands that use a finished run; the first answers for one of its own images."""
    data, demo = get_section(recipe, DataSettings), format_command("demo")
    if RUNS.resolve() not in (folder.path.resolve().parent, folder.path.resolve().parent.parent):
        demo = format_command("demo", "--runs", show_path(folder.path.parent))
    if data.folder is None:
        return demo, f"{format_command('finetune', spec, '--data')} FOLDER   (your own photos)"
    splits = json.loads(folder.splits.read_text(encoding="utf-8"))
    key = (splits["test"]["images"] or splits["val"]["images"])[0]
    image = expand_home(data.folder) / key
    return format_command("predict", show_path(folder.path), show_path(image)), demo


def load_run(path: str | Path, *, but: Collection[str] = ()) -> FinishedRun:
    """Load a finished run, with its trained network, from its folder. Files named in `but` may be damaged.

    Raises: GraftError when the folder holds no trained network, or a damaged file.
    """
    folder = open_run(path, but=but)
    setup, trained = load_trained(folder)
    report = read_report(folder)
    trained = replace(trained, net=apply_test_time_augmentation(trained.net, setup.settings.test_time))
    return finish(setup, restore_calibration(trained, report.calibration, setup, folder), folder, report)


def write_run_page(path: str | Path) -> Path:
    """Write report.html of a finished run again; the network answers for the test images once more.

    Raises: GraftError as `load_run`, and when another process works in the folder.
    """
    with change_run(path) as folder:
        report = read_report(folder)
        setup, trained = load_trained(folder)
        trained = replace(trained, net=apply_test_time_augmentation(trained.net, setup.settings.test_time))
        trained = restore_calibration(trained, report.calibration, setup, folder)
        tested = measure_run(trained, setup, read_out_of_fold(setup, folder))
        plan = read_plan(folder.plan)
        return write_page(setup, trained.net, tested, plan=plan, report=report, folder=folder)


def load_trained(folder: RunFolder) -> tuple[Setup, Trained]:
    """Load the setup and the trained network of a run. Raises: GraftError when there is none."""
    if not folder.trained.exists():
        raise GraftError(
            f"{folder.path}: no trained network here; expected a run's folder, such as runs/NAME/DATE"
        )
    spec = restore_spec(zoo.read_spec(folder.spec))
    setup = prepare(spec, get_splits(spec, folder))
    return setup, rebuild(setup, read_record(folder.trained, TRAINING), folder)


def finish(setup: Setup, trained: Trained, folder: RunFolder, report: Report) -> FinishedRun:
    """Return what exporters need of a trained network."""
    calibrated = trained.net.eval()
    return FinishedRun(
        folder=folder.path,
        spec=setup.spec,
        net=calibrated.net if isinstance(calibrated, CalibratedNet) else calibrated,
        calibrated=calibrated,
        preprocess=setup.preprocess,
        labels=setup.classes,
        task=setup.task.name,
        metrics=report.metrics,
        weights_origin=report.weights,
        train=setup.splits.train,
        val=setup.splits.val,
        calibration=trained.calibration,
    )


def export(finished: FinishedRun) -> dict[str, Export]:
    """Call every installed exporter. Out: its result by its name, of those that the spec asks for."""
    folder, written = RunFolder(finished.folder), dict[str, Export]()
    for name, load in find_plugins(EXPORTERS):
        found: Export | None = load()(finished)
        if found is None:
            continue
        written[name] = found
        if found.file is not None:
            folder.manifest.add(folder.path / found.file)
    return written


def get_splits(spec: zoo.Spec, folder: RunFolder) -> Splits:
    """Return the splits that the folder records, or split the images and record it."""
    if folder.splits.exists():
        try:
            record = json.loads(folder.splits.read_text(encoding="utf-8"))
            return find_task(spec.task).read_splits(record, get_section(spec, DataSettings))
        except ValueError as error:  # no JSON, or no splits
            raise GraftError(f"{folder.splits}: not the splits of a run: {error}") from error
    splits = load_data(spec)
    write_health(check_splits(splits, classes=find_task(spec.task).target == "class"), folder)
    write_json(folder.splits, splits.to_record())
    return splits
