"""The pictures of a finished run, drawn into its folder."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console

import zoo
from finetune.api import load_run
from finetune.data.subset import spread_rows
from finetune.monitor.pictures import draw_pictures
from finetune.runtime.console import own_console

IMAGES = 3


def show_pictures(run: str | Path, *, console: Console | None = None) -> list[Path]:
    """Draw the first layer's filters, and what the stages make of a few validation images.

    They are written to `pictures/` in the run's folder. Raises: GraftError when no trained network is there.
    """
    console = console or own_console()
    finished = load_run(run)
    rows = spread_rows(finished.val.targets, IMAGES, seed=0)
    images = []
    for row in rows.tolist():
        pixels = torch.from_numpy(finished.val.images[row].read()).permute(2, 0, 1)
        label = finished.labels[int(finished.val.targets[row])] if finished.task == "classification" else ""
        images.append((label or finished.val.images[row].name, finished.preprocess.resize(pixels[None])[0]))
    stages = zoo.anatomy(finished.spec, finished.net).stages
    written = draw_pictures(finished.net, finished.preprocess, stages, images, finished.folder / "pictures")
    console.print(f"[bold]{finished.folder / 'pictures'}[/bold]: {', '.join(path.name for path in written)}")
    return written
