"""All sanity checks in their order, and making them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from finetune.checks.check import Check, Result
from finetune.checks.data import inputs, labels
from finetune.checks.gradient import gradient
from finetune.checks.learning import detached, frozen, overfit
from finetune.checks.rates import learning_rate
from finetune.checks.start import activations, initial_loss, initial_weights, regularisation
from finetune.checks.subject import Subject
from finetune.engine.callbacks import Callback
from finetune.engine.state import TrainState
from finetune.records.files import write_json
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import details

FILE = "checks.json"

# From the network's inputs to what it learns: the first check to fail often makes later ones fail.
CHECKS: dict[str, Check] = {
    each.name: each
    for each in (
        inputs,
        labels,
        initial_loss,
        regularisation,
        initial_weights,
        activations,
        frozen,
        detached,
        gradient,
        learning_rate,
        overfit,
    )
}


def run_checks(subject: Subject, *, brief: bool = False) -> Iterator[Result]:
    """Yield the result of each check, or of each brief one."""
    return (each.run(subject) for each in CHECKS.values() if each.brief or not brief)


def read_failed(folder: Path) -> tuple[str, ...]:
    """Return the names of the checks that failed before a run, from its folder; none if none were made."""
    path = folder / FILE
    checks = json.loads(path.read_text(encoding="utf-8"))["checks"] if path.exists() else []
    return tuple(check["name"] for check in checks if check["status"] == "failed")


class StartChecks(Callback):
    """Makes the checks that the spec asks for before a run. Failures are printed, and training continues."""

    def __init__(self, subject: Subject, folder: RunFolder, console: Console) -> None:
        self.subject, self.folder, self.console = subject, folder, console

    def on_train_start(self, state: TrainState, *, resumed: bool) -> None:
        """Make the checks unless the run resumes, and write their results."""
        choice, start_s = self.subject.setup.settings.checks, time.monotonic()
        if choice == "none" or resumed:
            return
        results = list(run_checks(self.subject, brief=choice == "brief"))
        write_json(self.folder.path / FILE, {"checks": [asdict(result) for result in results]})
        failed = [result for result in results if result.failed]
        for number, result in enumerate(failed):  # the first often causes the others
            (details(self.console) if number else self.console).print(
                f"[yellow]warning[/yellow]: the check {result.name} before training failed: found "
                f"{escape(result.found)}; expected {escape(result.expected)}\n  {escape(result.advice)}"
            )
        passed, seconds = len(results) - len(failed), time.monotonic() - start_s
        details(self.console).print(f"  sanity checks: {passed} of {len(results)} passed ({seconds:.1f} s)")
