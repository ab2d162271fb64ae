"""One run as a user would have it, in this process: trained, and tested on images it never saw."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

import zoo
from finetune.data import Splits
from finetune.experiment.recipe import load_data
from finetune.experiment.setup import prepare
from finetune.experiment.start import prepare_start
from finetune.fit.execute import execute_plan
from finetune.models.tta import apply_test_time_augmentation
from finetune.planning.choose import choose_plan
from finetune.probes.arithmetic import choose_arithmetic
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.tasks.evaluate import evaluate_artifact

QUIET: dict[str, object] = {
    "finetune.checks": "none",
    "finetune.monitor": "none",
    "finetune.trackers": [],
}
"""What of a run does not bear on its result."""


def load(recipe: zoo.Spec) -> Splits:
    """The recipe's images, split by its seed."""
    return load_data(recipe)


def measure(recipe: zoo.Spec, splits: Splits) -> dict[str, object]:
    """Test accuracy, and seconds from decoded splits to trained network."""
    line, _ = measure_plan(recipe, splits)
    return line


def measure_plan(
    recipe: zoo.Spec, splits: Splits, change: Callable[[Plan], Plan] = lambda plan: plan
) -> tuple[dict[str, object], Plan]:
    """As `measure`, with the plan that was carried out: the chosen one after `change`."""
    start = time.perf_counter()
    setup = choose_arithmetic(prepare(recipe, splits))
    with tempfile.TemporaryDirectory() as folder:
        plan = change(choose_plan(setup))
        setup = prepare_start(setup, plan)
        net = execute_plan(setup, plan, RunFolder(Path(folder)), Console(quiet=True)).net
        net = apply_test_time_augmentation(net, setup.settings.test_time)
    seconds = time.perf_counter() - start
    found = evaluate_artifact(net, setup.preprocess, setup.test, setup.task, setup.classes)
    return {"accuracy": round(found.score, 5), "seconds": round(seconds, 1)}, plan
