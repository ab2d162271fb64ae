"""What the command line offers beside training: checks of a recipe, pictures of a run or an augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from accelerate import PartialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import zoo
from files.paths import expand_home
from finetune.checks.check import Result
from finetune.checks.rate_finder import plot_rates
from finetune.checks.rates import rate_curve
from finetune.checks.run import CHECKS, run_checks
from finetune.checks.subject import Subject
from finetune.config import AugmentSettings, DataSettings, FinetuneSettings, get_section
from finetune.data.dataset import ImageDataset
from finetune.data.pixels import Room
from finetune.data.subset import spread_rows
from finetune.experiment.recipe import choose_weights, load_data, read_recipe
from finetune.experiment.setup import build_preprocess, prepare, resolve_input
from finetune.experiment.start import prepare_start
from finetune.finished import load_run
from finetune.monitor.augment_sheet import augment_sheet
from finetune.monitor.pictures import IMAGES, draw_pictures
from finetune.planning.load import load_plan
from finetune.probes.arithmetic import choose_arithmetic
from finetune.probes.classifier import start_head
from finetune.records.run_folder import RUNS
from finetune.report.show import show_plan, show_setup
from finetune.runtime.console import Terminal
from finetune.runtime.norms import explain_norms
from finetune.runtime.seeds import keep_random_state
from finetune.tasks import find_task
from finetune.transforms.augment import needs_statistics
from finetune.transforms.defaults import default_augmentation, flip_warning
from finetune.transforms.statistics import measure_statistics

COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow"}
FINDER_BUDGET_S = 120.0


@explain_norms()
def check_recipe(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    *,
    plot: Path | None = None,
) -> tuple[Result, ...]:
    """Run every sanity check of the spec on its images, show the results, and draw the learning rate test.

    `plot` is the path of the drawing, by default `runs/<spec>/rates.png`.
    Raises: GraftError for a spec or data that the user has to correct first.
    """
    console, recipe = Terminal(), read_recipe(spec, data, set)
    setup = choose_arithmetic(prepare(recipe, load_data(recipe)))
    show_setup(setup, console)
    plan = load_plan(setup, console)
    show_plan(plan, console)
    setup = prepare_start(setup, plan)
    start_head(setup, plan)
    subject, results = Subject(setup, plan, PartialState().device), []
    for result in run_checks(subject):
        console.print(f"  {_coloured(result)}  {result.name}: {CHECKS[result.name].description}")
        results.append(result)
    show_results(results, console)
    if plan.learning_rate:
        _plot_rates(subject, plot or RUNS / recipe.name / "rates.png", console)
    return tuple(results)


def show_results(results: Sequence[Result], console: Console) -> None:
    """Print a table with a row for each check, and below it the advice for those that failed."""
    table = Table("check", "result", "found", "expected")
    for result in results:
        table.add_row(result.name, _coloured(result), Text(result.found), Text(result.expected))
    console.print(table)
    for result in results:
        if result.failed:
            console.print(f"[red]{result.name}[/red]: {escape(result.advice)}")


def show_pictures(run: str | Path) -> list[Path]:
    """Draw the first layer's filters, and the activations of a few validation images, for a finished run.

    The pictures are written to `pictures/` in the run's folder. Raises: GraftError without a trained network.
    """
    console, finished = Terminal(), load_run(run)
    images = []
    for row in spread_rows(finished.val.strata, IMAGES, seed=0).tolist():
        pixels = torch.from_numpy(finished.val.images[row].read()).permute(2, 0, 1)
        label = find_task(finished.task).describe_target(finished.val.targets[row], finished.labels)
        images.append((label or finished.val.images[row].name, finished.preprocess.resize(pixels[None])[0]))
    stages, folder = zoo.anatomy(finished.spec, finished.net).stages, finished.folder / "pictures"
    written = draw_pictures(finished.net, finished.preprocess, stages, images, folder)
    console.print(f"[bold]{folder}[/bold]: {', '.join(path.name for path in written)}")
    return written


def show_augment(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    out: str | Path | None = None,
) -> Path:
    """Write a PNG of a few training images: the original, draws of each augmentation step and of all.

    `out` is the path of the PNG, by default `runs/<spec>/augment.png`. No network is built.
    Raises: GraftError for a spec or data that the user has to correct first.
    """
    console, recipe = Terminal(), read_recipe(spec, data, set)
    splits = load_data(recipe)
    shape = resolve_input(recipe, choose_weights(recipe)[0], len(splits.classes)).input
    room = Room(get_section(recipe, DataSettings).cache_mb)
    train = ImageDataset(splits.train, build_preprocess(shape), room)
    calls = get_section(recipe, AugmentSettings).calls
    if calls is None:
        calls = default_augmentation(splits.given_names, (shape.height, shape.width))
        console.print("the spec names no augmentation; these are the default steps")
    statistics = measure_statistics(train.images()) if needs_statistics(calls) else None
    chosen = spread_rows(splits.train.strata, IMAGES, seed=0).tolist()
    seed = get_section(recipe, FinetuneSettings).seed
    sheet = augment_sheet(train.stored.take(chosen), calls, statistics, seed)
    path = expand_home(out) if out is not None else RUNS / recipe.name / "augment.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")
    warning = flip_warning(splits.given_names, calls)
    if warning is not None:
        console.print(f"[yellow]warning[/yellow]: {warning}")
    names = ", ".join(splits.train.images[index].name for index in chosen)
    console.print(f"[bold]{path}[/bold]: {len(calls)} steps on {names}")
    return path


def _coloured(result: Result) -> str:
    colour = COLOURS[result.status]
    return f"[{colour}]{result.status}[/{colour}]"


def _plot_rates(subject: Subject, path: Path, console: Console) -> None:
    rate = subject.plan.learning_rate
    with keep_random_state(subject.device):
        curve = rate_curve(subject, budget_s=FINDER_BUDGET_S)
    plot_rates(curve, path, current=rate)
    proposal = f"proposes {curve.proposed:g}" if curve.proposed is not None else "found no rate to propose"
    console.print(f"learning rate: {rate:g}; the learning rate test {proposal}, drawn in {path}")
