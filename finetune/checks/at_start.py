"""The sanity checks that every run makes before its first step."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape

from finetune.checks.run import run_checks
from finetune.checks.subject import Subject
from finetune.engine.callbacks import Callback
from finetune.engine.state import TrainState
from finetune.records.run_folder import RunFolder, write_json


class StartChecks(Callback):
    """Makes the checks that the spec asks for before a run. Failures are printed, and training goes on."""

    def __init__(self, subject: Subject, folder: RunFolder, console: Console) -> None:
        self.subject, self.folder, self.console = subject, folder, console

    def on_train_start(self, state: TrainState, *, resumed: bool) -> None:
        """Check the recipe unless the run resumes, and write `checks.json`."""
        choice, start_s = self.subject.setup.settings.checks, time.monotonic()
        if choice == "none" or resumed:
            return
        results = list(run_checks(self.subject, brief=choice == "brief"))
        write_json(self.folder.path / "checks.json", {"checks": [result.to_json() for result in results]})
        failed = [result for result in results if result.failed]
        for result in failed:
            self.console.print(
                f"[yellow]warning[/yellow]: sanity check {result.name}: found {escape(result.found)}; "
                f"expected {escape(result.expected)}\n  {escape(result.way_out)}"
            )
        passed, seconds = len(results) - len(failed), time.monotonic() - start_s
        self.console.print(f"  sanity checks: {passed} of {len(results)} passed ({seconds:.1f} s)")
