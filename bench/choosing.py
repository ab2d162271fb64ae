"""What choosing the plan costs, and whether its forecast holds: `python -m bench.choosing [--data FOLDER]`.

`auto` on 360 photos of 512 by 384 pixels with EfficientNet-Lite0, with nothing in the caches: alone, and
beside two busy processes. Choosing may take two frozen passes and 15% of the training; the forecast should be
within a factor of 1.5 of what came.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.busy import busy
from bench.document import machine, write_between
from bench.stopwatch import Stopwatch
from bench.textures import write_textures
from bench.trial import QUIET, load
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import prepare
from finetune.experiment.start import prepare_start
from finetune.features.frozen_pass import FrozenPass
from finetune.fit.execute import execute_plan
from finetune.planning.choose import choose_plan
from finetune.planning.race.race import run_race
from finetune.probes.arithmetic import choose_arithmetic
from finetune.records.run_folder import RunFolder
from finetune.strategies import find_strategy

SPEC = "specs/efficientnet_lite0.yaml"
PHOTOS, SIZE = 360, (512, 384)
BUSY = 2
PAGE, MARK = Path("docs/speed.md"), "choosing"
PASS, ARITHMETIC, RACE, REST = "frozen pass", "arithmetic", "race", "the rest of the choice"
PARTS: dict[Callable[..., Any], str] = {
    FrozenPass.run: PASS,
    choose_arithmetic: ARITHMETIC,
    run_race: RACE,
    choose_plan: REST,
}


@dataclass(frozen=True)
class Choice:
    """Seconds of one run: the parts of the choice, the training, and what was told before it."""

    strategy: str
    parts: dict[str, float]
    training_s: float
    forecast_s: float

    @property
    def choosing_s(self) -> float:
        """Seconds until the plan was there."""
        return sum(self.parts.values())

    @property
    def came_s(self) -> float:
        """Seconds of what was told: the forecast of a probe includes what was measured, but for the race."""
        measured = self.parts[PASS] + self.parts[REST] if find_strategy(self.strategy).probe else 0.0
        return self.training_s + measured


def main() -> None:
    """Measure alone and beside busy processes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of photos; default: drawn textures")
    parser.add_argument("--spec", default=SPEC)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, rows = given.data or Path(scratch), []
        if given.data is None:
            write_textures(folder, PHOTOS, size=SIZE)
        for name, others in (("alone", 0), (f"beside {BUSY} busy processes", BUSY)):
            with busy(others) if others else nullcontext():
                rows.append(row(name, choose(given.spec, folder)))
            print(rows[-1], flush=True)
    head = (
        "| | strategy | frozen pass, s | arithmetic | race | the rest of the choice | choosing, in passes |"
        " training, s | forecast, s | came, s |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    write_between(PAGE, MARK, "\n".join([head, *rows, "", machine()]))


def choose(spec: str, folder: Path) -> Choice:
    """Choose and train as a run does, with nothing in the caches."""
    with tempfile.TemporaryDirectory() as scratch:
        recipe = read_recipe(spec, str(folder), {**QUIET, "finetune.cache": scratch})
        setup, watch = prepare(recipe, load(recipe)), Stopwatch()
        with watch.running(PARTS):
            setup = choose_arithmetic(setup)
            plan = choose_plan(setup)
        start = time.perf_counter()
        started = prepare_start(setup, plan)
        execute_plan(started, plan, RunFolder(Path(scratch)), Console(quiet=True))
        training_s = time.perf_counter() - start
    forecast_s = 60 * plan.evidence.forecasts[plan.strategy].minutes
    seconds = {name: watch.seconds.get(name, 0.0) for name in PARTS.values()}
    return Choice(plan.strategy, seconds, training_s, forecast_s)


def row(name: str, found: Choice) -> str:
    """Return a line of the table."""
    parts = found.parts
    return (
        f"| {name} | {found.strategy} | {parts[PASS]:.1f} | {parts[ARITHMETIC]:.1f} |"
        f" {parts[RACE]:.1f} | {parts[REST]:.1f} |"
        f" {found.choosing_s / parts[PASS]:.2f} | {found.training_s:.1f} | {found.forecast_s:.1f} |"
        f" {found.came_s:.1f} |"
    )


if __name__ == "__main__":
    main()
