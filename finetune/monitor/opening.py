"""What stands round the training of a run: checks before it, trackers during it, words after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from finetune.checks.at_start import check_at_start
from finetune.log import read_lines
from finetune.monitor.reading import read_training
from finetune.monitor.trackers import Track, Tracked, tracking

if TYPE_CHECKING:
    from finetune.train import Loop


@contextmanager
def observed(loop: Loop, *, resumed: bool) -> Iterator[Track]:
    """Check the recipe unless it has been begun, and open the trackers; say at the end how it went."""
    setup, main = loop.setup, loop.accelerator.is_main_process
    run = Tracked(
        loop.folder, f"{setup.spec.name} {loop.folder.path.name}", setup.spec.to_yaml(), loop.standing.epoch
    )
    with tracking(setup.settings.trackers if main else [], run) as track:
        if main and not resumed:
            check_at_start(setup, loop.plan, loop.folder, loop.console, loop.accelerator.device)
        yield track
    lines = read_lines(loop.folder.log)
    for said in read_training(lines, setup.task.score, classes=len(setup.classes), val_images=len(setup.val)):
        loop.console.print(f"  • {said}")
