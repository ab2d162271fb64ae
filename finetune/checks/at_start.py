"""The checks that are made before a run, when its first step is still to come."""

from __future__ import annotations

import time

import torch
from rich.console import Console
from rich.markup import escape

from finetune.checks.run import run_checks
from finetune.checks.subject import Subject
from finetune.experiment.setup import Setup
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder, write_json


def check_at_start(
    setup: Setup, plan: Plan, folder: RunFolder, console: Console, device: torch.device
) -> None:
    """The checks that the spec asks for before a run; what fails is said, and training goes on."""
    wanted, start = setup.settings.checks, time.monotonic()
    if wanted == "none":
        return
    results = list(run_checks(Subject(setup, plan, device), brief=wanted == "brief"))
    write_json(folder.path / "checks.json", {"checks": [result.to_json() for result in results]})
    failed = [result for result in results if result.failed]
    for result in failed:
        console.print(
            f"[yellow]warning[/yellow]: sanity check {result.name}: found {escape(result.found)}; expected "
            f"{escape(result.expected)}\n  {escape(result.way_out)}"
        )
    seconds = time.monotonic() - start
    console.print(f"  sanity checks: {len(results) - len(failed)} of {len(results)} passed ({seconds:.1f} s)")
