"""One run from spec to artifact: each step writes its file, and a step whose file stands is not repeated."""

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
from finetune.config import DataSettings
from finetune.data import Split, Splits
from finetune.experiment.setup import Setup, get_section, load_data, prepare, read_recipe, restore_spec
from finetune.experiment.start import prepare_start
from finetune.fit.execute import Trained, execute_plan, rebuild
from finetune.models.views import with_views
from finetune.planning.choose import choose_plan
from finetune.planning.load import load_plan, read_given_plan
from finetune.records.plan import Plan, read_plan
from finetune.records.run_folder import RunFolder, keep_other, new_folder, unfinished, write_json, write_text
from finetune.report.outcome import compare_outcome
from finetune.report.report import make_report, read_report
from finetune.report.show import show_plan, show_report, show_setup
from finetune.runtime.console import make_console
from finetune.tasks.base import find_task
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError
from zoo.plugins import EXPORTERS, find_plugins

RUNS = Path("runs")


@dataclass(frozen=True)
class FinishedRun:
    """A trained network with all that an exporter needs; `val` are the images to check it on."""

    folder: Path
    spec: zoo.Spec
    net: nn.Module
    preprocess: Preprocess
    labels: tuple[str, ...]
    task: str
    metrics: Mapping[str, object]
    weights_origin: Mapping[str, object]
    val: Split


@dataclass(frozen=True)
class RunReport:
    """What a run left behind, read from its folder."""

    folder: Path

    @cached_property
    def plan(self) -> Plan:
        """Strategy, evidence, reasons."""
        return read_plan(RunFolder(self.folder).plan)

    @cached_property
    def report(self) -> Mapping[str, object]:
        """The whole of report.json."""
        return read_report(RunFolder(self.folder))

    @property
    def metrics(self) -> Mapping[str, object]:
        """The metrics on the test split; on the validation split where there is no test split."""
        metrics = self.report["metrics"]
        assert isinstance(metrics, dict)
        return metrics

    @property
    def onnx(self) -> Path:
        """The artifact."""
        return RunFolder(self.folder).onnx


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
    """Train the spec on its images, or on those of `data`, and write the run folder, the artifact in it.

    `set` overrides dotted keys of the spec. `run` names the folder: one that stands is gone on with from
    where it was broken off, to the same numbers; `resume` takes the newest unfinished one of the spec.
    Raises: GraftError for everything a user can mend.
    """
    console = console or make_console()
    recipe = read_recipe(spec, data, set)
    folder = _open_folder(recipe, run, resume, root)
    if folder.report.exists():
        console.print(f"{folder.path} is finished; nothing to do")
        show_report(read_report(folder), folder, console)
        return RunReport(folder.path)
    start = time.monotonic()
    splits = _settle_splits(recipe, folder)
    setup = prepare(recipe, splits)
    write_text(folder.spec, setup.spec.to_yaml())
    show_setup(setup, console)
    plan = _settle_plan(setup, folder, console)
    show_plan(plan, console)
    setup = prepare_start(setup, plan)
    write_text(folder.spec, setup.spec.to_yaml())
    unbroken, begun = not folder.checkpoint.exists() and not folder.trained.exists(), time.monotonic()
    trained = served(setup, _settle_weights(setup, plan, folder, console))
    minutes = (time.monotonic() - begun) / 60 if unbroken else None
    report = make_report(setup, plan, trained, folder)
    report["outcome"] = compare_outcome(plan, report, minutes)
    finished = finish(setup, trained, folder, report)
    try:
        report["exports"] = export(finished)
    except GraftError:  # the network is trained and tested all the same
        report |= {"exports": {}, "seconds": round(time.monotonic() - start, 1)}
        write_json(folder.report, report)
        raise
    report["seconds"] = round(time.monotonic() - start, 1)
    write_json(folder.report, report)
    show_report(report, folder, console)
    return RunReport(folder.path)


def make_plan(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    *,
    root: Path = RUNS,
    console: Console | None = None,
) -> Plan:
    """The plan that a run of the spec would follow, shown, and written to `root`/NAME/plan.json.

    Another plan that stands there is kept beside it. A plan that the spec names is shown, and not written.
    Raises: GraftError for everything a user can mend.
    """
    console = console or make_console()
    recipe = read_recipe(spec, data, set)
    setup = prepare(recipe, load_data(recipe))
    show_setup(setup, console)
    given = setup.settings.plan
    if given is not None:
        show_plan(plan := read_given_plan(setup, given), console)
        console.print(f"{given}: as it stands, nothing was measured")
        return plan
    chosen = choose_plan(setup, compare=True, console=console)
    show_plan(chosen, console)
    written = root / recipe.name / "plan.json"
    kept = keep_other(written, chosen.to_json())
    write_text(written, chosen.to_json())
    console.print(f"{written}: edit it, and have it carried out with SET=finetune.plan={written}")
    if kept is not None:
        console.print(f"{kept}: the other plan that stood there")
    return chosen


def load_run(path: str | Path) -> FinishedRun:
    """A finished run from its folder, its network with the trained weights: to export it again.

    Raises: GraftError when the folder holds no trained network.
    """
    folder = RunFolder(Path(path).expanduser())
    setup, trained = reopen(folder)
    return finish(setup, served(setup, trained), folder, read_report(folder))


def reopen(folder: RunFolder) -> tuple[Setup, Trained]:
    """The setup and the network of a run that was trained. Raises: GraftError when there is none."""
    if not folder.trained.exists():
        raise GraftError(
            f"{folder.path}: no trained network here; expected a run's folder, such as runs/NAME/DATE"
        )
    setup = prepare(spec := restore_spec(zoo.read_spec(folder.spec)), _settle_splits(spec, folder))
    return setup, rebuild(setup, json.loads(folder.trained.read_text()), folder)


def finish(setup: Setup, trained: Trained, folder: RunFolder, report: Mapping[str, object]) -> FinishedRun:
    """The setup's trained network as exporters want it."""
    metrics, weights = report["metrics"], report["weights"]
    assert isinstance(metrics, dict)
    assert isinstance(weights, dict)
    return FinishedRun(
        folder=folder.path,
        spec=setup.spec,
        net=trained.net.eval(),
        preprocess=setup.preprocess,
        labels=setup.classes,
        task=setup.task.name,
        metrics=metrics,
        weights_origin=weights,
        val=setup.splits.val,
    )


def export(finished: FinishedRun) -> dict[str, object]:
    """Hand the run to every exporter that is installed; what each has to say, by its name."""
    return {name: load()(finished) for name, load in find_plugins(EXPORTERS)}


def _open_folder(recipe: zoo.Spec, run: str | Path | None, resume: bool, root: Path) -> RunFolder:
    """The folder to work in, which holds the recipe as it was typed."""
    if run is None:
        folder = unfinished(root, recipe.name) if resume else new_folder(root, recipe.name)
    else:
        folder = RunFolder(Path(run).expanduser())
    if not folder.recipe.exists():
        write_text(folder.recipe, recipe.to_yaml())
    elif folder.recipe.read_text() != recipe.to_yaml():
        changes = _differences(folder.recipe.read_text(), recipe.to_yaml())
        raise GraftError(
            f"{folder.path} was started from another recipe: {changes}\n"
            "  expected: the same SPEC, DATA and SET as then, or another RUN"
        )
    return folder


def _differences(old: str, new: str) -> str:
    """The lines of two recipes that differ, as `then -> now`."""
    before, after = old.splitlines(), new.splitlines()
    gone = [line.strip() for line in before if line not in after]
    come = [line.strip() for line in after if line not in before]
    return f"then {'; '.join(gone) or 'nothing'}, now {'; '.join(come) or 'nothing'}"


def _settle_splits(spec: zoo.Spec, folder: RunFolder) -> Splits:
    settings = get_section(spec, DataSettings)
    if folder.splits.exists():
        return find_task(spec.task).read(json.loads(folder.splits.read_text()), settings)
    splits = load_data(spec)
    write_json(folder.splits, splits.to_record())
    return splits


def _settle_plan(setup: Setup, folder: RunFolder, console: Console) -> Plan:
    if folder.plan.exists():
        return read_plan(folder.plan)
    plan = load_plan(setup, console)
    write_text(folder.plan, plan.to_json())
    return plan


def served(setup: Setup, trained: Trained) -> Trained:
    """The network as it is measured and exported: with its test-time views."""
    return replace(trained, net=with_views(trained.net, setup.settings.test_time))


def _settle_weights(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Trained:
    """The trained network: from the folder if training has ended, else trained now."""
    if folder.trained.exists():
        return rebuild(setup, json.loads(folder.trained.read_text()), folder)
    trained = execute_plan(setup, plan, folder, console)
    write_json(folder.trained, trained.training)
    return trained
