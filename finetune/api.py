"""A run from spec to artifact.

The steps are: read the spec, split the images, prepare the network, plan, train, evaluate, export, report.
Each step writes a file to the run's folder; a step whose file exists is not repeated.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

import zoo
from files.paths import expand_home
from finetune.calibration.calibrate import calibrate
from finetune.calibration.out_of_fold import answer_out_of_fold
from finetune.config import DataSettings, get_section
from finetune.experiment.recipe import fetch_weights, load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.experiment.start import prepare_start
from finetune.finished import RunReport, export, finish, get_splits, next_commands
from finetune.fit.execute import Trained, execute_plan, rebuild
from finetune.fit.folds import deal_folds, share_budget, use_all
from finetune.health.run import add_labels, read_health
from finetune.models.tta import apply_test_time_augmentation
from finetune.networks.choose import choose_network, read_or_choose_network
from finetune.planning.choose import choose_plan
from finetune.planning.load import load_plan, read_given_plan
from finetune.probes.arithmetic import choose_arithmetic, read_or_choose_arithmetic
from finetune.records.disk import WriteError, require_space, require_writable
from finetune.records.files import keep_other, read_record, write_record, write_text
from finetune.records.network import NetworkChoice
from finetune.records.plan import Plan, read_plan
from finetune.records.report import write_report
from finetune.records.run_folder import (
    RUNS,
    InterruptedRun,
    RunFolder,
    describe_changes,
    find_unfinished,
    lock_folder,
    new_folder,
    safe_name,
)
from finetune.records.training import TRAINING
from finetune.records.verify import claim_folder
from finetune.report.page.write import write_page
from finetune.report.report import make_report
from finetune.report.show import show_findings, show_network, show_plan, show_report, show_setup
from finetune.report.tested import measure_run
from finetune.runtime.console import Terminal, show_progress
from finetune.runtime.console_text import format_command, show_path
from finetune.runtime.norms import explain_norms
from finetune.strategies import find_strategy
from zoo.errors import GraftError

COPIES_OF_PROBES, COPIES_OF_TRAINING = 2, 5
"""What a run writes, in copies of the weights: the best ones and the artifact; and two checkpoints with the
optimiser's state, of which one replaces the other."""


@explain_norms()
def run(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    run: str | Path | None = None,
    *,
    resume: bool = False,
    root: Path = RUNS,
    why: bool = False,
    console: Console | None = None,
) -> RunReport:
    """Train the spec on its images, or on `data`, and write the run's folder with the artifact in it.

    `set` overrides dotted keys of the spec. `run` is the folder; an interrupted run in it is resumed, to the
    same results. `resume` takes the newest unfinished run of the spec. `why` prints the evidence for the
    plan, each epoch and all metrics.
    Raises: GraftError for every mistake in the spec, the data or the arguments, for a folder that cannot be
    written, and when another process works in it; InterruptedRun for Ctrl-C.
    """
    console, start = console or Terminal(why=why), time.monotonic()
    recipe = read_recipe(spec, data, set)
    folder = _find_folder(recipe, run, resume, root)
    with _resumable(folder), lock_folder(folder):
        for message in claim_folder(folder):
            console.print(f"[yellow]note[/yellow]: {escape(message)}")
        _check_recipe(recipe, folder)
        if folder.report.exists():
            console.print(f"This run is finished: {show_path(folder.path)}", markup=False)
        else:
            _run_in(folder, recipe, console, start)
    result = RunReport(folder.path)
    show_report(result.report, folder, console, next_commands(recipe, folder, spec))
    return result


def _run_in(folder: RunFolder, recipe: zoo.Spec, console: Console, start: float) -> None:
    """Do what is left of a run, and write its report."""
    with show_progress(console):
        fetch_weights(recipe)
        splits = get_splits(recipe, folder)
        recipe, choice = read_or_choose_network(recipe, splits, folder)
        setup = prepare(recipe, splits)
        deal_folds(setup)  # what it finds wrong is said before anything is measured
    show_setup(setup, console)
    show_network(choice, console)
    _require_space(setup, folder, COPIES_OF_PROBES)
    with show_progress(console):
        setup = read_or_choose_arithmetic(setup, folder)
        plan = _get_plan(setup, choice, folder, console)
        findings = read_health(folder) if folder.trained.exists() else add_labels(setup, plan, folder)
    show_plan(plan, console)
    show_findings(findings, setup, console)
    if not find_strategy(plan.strategy).probe and not folder.checkpoint.exists():
        _require_space(setup, folder, COPIES_OF_TRAINING)
    setup = prepare_start(setup, plan)
    write_text(folder.spec, setup.spec.to_yaml())
    out_of_fold = answer_out_of_fold(setup, plan, folder, console)
    setup = use_all(setup)
    trained, minutes = _train(setup, plan, folder, console)
    with show_progress(console):
        trained = calibrate(trained, setup, folder, out_of_fold.answers if out_of_fold else None)
        tested = measure_run(trained, setup, out_of_fold)
        report = make_report(
            setup, plan, trained, tested, folder=folder, minutes=minutes, out_of_fold=out_of_fold
        )
        try:
            exports = export(finish(setup, trained, folder, report))
        except GraftError:  # the network is trained and evaluated nevertheless
            write_report(folder, replace(report, seconds=round(time.monotonic() - start, 1)))
            raise
    report = replace(report, exports=exports)
    if setup.settings.report:
        write_page(setup, trained.net, tested, plan=plan, report=report, folder=folder)
    write_report(folder, replace(report, seconds=round(time.monotonic() - start, 1)))


@explain_norms()
def make_plan(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    *,
    root: Path = RUNS,
    why: bool = False,
    console: Console | None = None,
) -> Plan:
    """Show the plan of a run of the spec, and write it to `root`/NAME/DATA.plan.json.

    Another plan in that file is renamed. A plan that the spec names is shown, and not written. `why` prints
    the evidence.
    Raises: GraftError for every mistake in the spec, the data or the arguments.
    """
    console = console or Terminal(why=why)
    recipe = read_recipe(spec, data, set)
    path = root / recipe.name / f"{safe_name(name_data(get_section(recipe, DataSettings)))}.plan.json"
    require_writable(path.parent)
    with show_progress(console):
        fetch_weights(recipe)
        splits, choice = load_data(recipe), None
        if recipe.is_chosen:
            recipe, choice = choose_network(recipe, splits)
            spec = recipe.path
        setup = prepare(recipe, splits)
    show_setup(setup, console)
    show_network(choice, console)
    given = setup.settings.plan
    if given is not None:
        show_plan(plan := read_given_plan(setup, given), console)
        console.print(f"{given} is used unchanged; nothing was measured", markup=False)
        return plan
    with show_progress(console):
        setup = choose_arithmetic(setup)
        chosen = _add_choice(choose_plan(share_budget(setup), compare=True, console=console), choice)
    show_plan(chosen, console)
    renamed = keep_other(path, chosen.to_json())
    write_text(path, chosen.to_json())
    console.print(f"written: {path}", markup=False)
    if renamed is not None:
        console.print(f"The plan that was there is now {renamed}", markup=False)
    source = () if data is None else ("--data", data)
    pairs = [part for key, value in (set or {}).items() for part in ("--set", f"{key}={value}")]
    command = format_command("finetune", spec, *source, *pairs, "--set", f"finetune.plan={path}")
    console.print(f"next: {command}", markup=False)
    return chosen


def name_data(data: DataSettings) -> str:
    """Return a short name of the images: of their folder, file or data set."""
    if data.folder is not None:
        return expand_home(data.folder).resolve().name
    if data.table is not None or data.parquet is not None:
        path = expand_home(str(data.table or data.parquet))
        return path.resolve().parent.name if "*" in path.name else path.stem
    return str(data.hub or data.builtin).rpartition("/")[2]


@contextmanager
def _resumable(folder: RunFolder) -> Iterator[None]:
    """Name the run's folder in what stops the run, so that it can be continued."""
    try:
        yield
    except InterruptedRun:
        raise
    except KeyboardInterrupt as error:
        raise InterruptedRun(folder.path) from error
    except WriteError as error:
        error.folder = folder.path if folder.recipe.exists() else None
        raise


def _find_folder(recipe: zoo.Spec, run: str | Path | None, resume: bool, root: Path) -> RunFolder:
    """Return the folder to work in."""
    if run is not None:
        return RunFolder(expand_home(run))
    if resume:
        return find_unfinished(root, recipe.name)
    return new_folder(root, recipe.name, name_data(get_section(recipe, DataSettings)))


def _check_recipe(recipe: zoo.Spec, folder: RunFolder) -> None:
    """Write the spec into a new folder. Raises: GraftError for a folder that was started with another one."""
    if not folder.recipe.exists():
        write_text(folder.recipe, recipe.to_yaml())
        return
    before = folder.recipe.read_text(encoding="utf-8")
    if before != recipe.to_yaml():
        raise GraftError(
            f"{folder.path} was started with other settings: {describe_changes(before, recipe.to_yaml())}\n"
            "  expected: the same spec, --data and --set as before to continue that run, or another --run"
        )


def _require_space(setup: Setup, folder: RunFolder, copies: int) -> None:
    """Raises: WriteError when the disk cannot hold so many copies of the weights."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in setup.net.state_dict().values())
    require_space(folder.path, copies * size, f"a run of {setup.spec.name}")


def _add_choice(plan: Plan, choice: NetworkChoice | None) -> Plan:
    """Return the plan with the reason for its network, if that was chosen."""
    return plan if choice is None else replace(plan, reasons=(choice.reason, *plan.reasons))


def _get_plan(setup: Setup, choice: NetworkChoice | None, folder: RunFolder, console: Console) -> Plan:
    """Return the plan in the folder, or choose one and write it."""
    if folder.plan.exists():
        return read_plan(folder.plan)
    plan = _add_choice(load_plan(share_budget(setup), console), choice)
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
