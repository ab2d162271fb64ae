"""What stands round the training of a run: checks before it, trackers during it, words after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from finetune.checks.at_start import check_at_start
from finetune.data.subset import read_rows, spread_rows
from finetune.engine.trackers import Track, Tracked, tracking
from finetune.monitor.pictures import draw_pictures
from finetune.monitor.reading import read_run

if TYPE_CHECKING:
    from finetune.engine.trainer import Loop

PICTURED = 3


@contextmanager
def observed(loop: Loop, *, resumed: bool) -> Iterator[Track]:
    """Check the recipe unless it has been begun, and open the trackers; say at the end how it went."""
    setup, main = loop.setup, loop.accelerator.is_main_process
    run = Tracked(
        loop.folder, f"{setup.spec.name} {loop.folder.path.name}", setup.spec.to_yaml(), loop.standing.epoch
    )
    with tracking(setup.settings.trackers if main else [], run) as track:
        if not resumed:  # in every process: a step of several waits for all of them
            check_at_start(setup, loop.plan, loop.folder, loop.console, loop.accelerator.device)
        yield track
    if main and loop.monitor is not None and loop.monitor.settings.pictures:
        _draw(loop)
    for said in read_run(setup, loop.folder.log):
        loop.console.print(f"  • {said}")


def _draw(loop: Loop) -> None:
    """Pictures of the network as it is at the end, and of the first images of its validation split."""
    setup, rows = loop.setup, spread_rows(loop.setup.val.split.targets, PICTURED, seed=0)
    pixels, _ = read_rows(setup.val, rows)
    images = [(setup.val.split.images[row].name, image) for row, image in zip(rows, pixels, strict=True)]
    draw_pictures(
        loop.step.averaged(), setup.preprocess, setup.anatomy.stages, images, loop.folder.path / "pictures"
    )
