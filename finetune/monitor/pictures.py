"""Pictures of a network: the filters of its first layer, and activations stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finetune.data.subset import read_rows, spread_rows
from finetune.engine.callbacks import Callback
from finetune.engine.dead_units import MAP_AXES
from finetune.engine.step import Step
from finetune.experiment.setup import Setup
from finetune.runtime.precision import evaluating
from finetune.transforms.preprocess import Preprocess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float32]

IMAGES = 3
MAX_FILTERS, COLUMNS = 64, 8
CHANNELS = 10
"""Channels shown of each stage: those that vary most over the image."""
TILE_INCHES = 0.9
COLOURS = 3
TITLE_LENGTH = 60


class Pictures(Callback):
    """Draws the network when training has ended, with a few validation images, into `folder`."""

    def __init__(self, setup: Setup, step: Step, folder: Path) -> None:
        self.setup, self.step, self.folder = setup, step, folder

    def on_train_end(self) -> None:
        """Draw the pictures."""
        setup, rows = self.setup, spread_rows(self.setup.val.split.strata, IMAGES, seed=0)
        pixels, _ = read_rows(setup.val, rows)
        names = [setup.val.split.images[row].name for row in rows]
        images = list(zip(names, pixels, strict=True))
        draw_pictures(self.step.eval_net, setup.preprocess, setup.anatomy.stages, images, self.folder)


def draw_pictures(
    net: nn.Module,
    preprocess: Preprocess,
    stages: Sequence[str],
    images: Sequence[tuple[str, Tensor]],
    folder: Path,
) -> list[Path]:
    """Write `filters.png`, and `activations-1.png` etc., one for each image. Return the paths.

    In: `stages` are module paths; `images` are pairs of a title and uint8 (3, height, width) at the network's
    size. Without a convolution there are no filters; a stage without maps is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    weight = first_filters(net)
    if weight is not None:
        written.append(_save(_draw_tiles(filter_tiles(weight)), folder / "filters.png"))
    for number, (title, image) in enumerate(images, start=1):
        maps = read_maps(net, preprocess, stages, image)
        written.append(_save(_draw_maps(title, image, maps), folder / f"activations-{number}.png"))
    return written


def first_filters(net: nn.Module) -> Tensor | None:
    """Return the weights of the first convolution, (filters, channels, h, w), or None without one."""
    convolution = next((module for module in net.modules() if isinstance(module, nn.Conv2d)), None)
    return None if convolution is None else convolution.weight.detach().cpu().float()


def filter_tiles(weight: Tensor) -> Array:
    """Return filters as pictures: grey is a weight of 0, black or white the largest weight of each filter.

    Filters of three channels are in colour; of others the mean over channels is shown.
    In: (filters, channels, h, w). Out: (N, h, w, 3) from 0 to 1, N at most MAX_FILTERS.
    """
    weight = weight[:MAX_FILTERS]
    if weight.shape[1] != COLOURS:
        weight = weight.mean(1, keepdim=True).expand(-1, COLOURS, -1, -1)
    largest = weight.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    tiles: Array = (0.5 + 0.5 * weight / largest).permute(0, 2, 3, 1).numpy()
    return tiles


def read_maps(
    net: nn.Module, preprocess: Preprocess, stages: Sequence[str], image: Tensor
) -> dict[str, Array]:
    """Return the feature maps of each stage: stage -> (CHANNELS or fewer, h, w), the most varied first."""
    inner, maps = find_holder(net, stages), dict[str, Array]()

    def keep(stage: str, module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == MAP_AXES:
            channels = output[0].float()
            order = channels.flatten(1).std(1).argsort(descending=True)[:CHANNELS]
            maps[stage] = channels[order].cpu().numpy()

    device = next(net.parameters()).device
    with ExitStack() as stack, evaluating(net), torch.inference_mode():
        if inner is not None:
            for stage in stages:
                stack.enter_context(inner.get_submodule(stage).register_forward_hook(partial(keep, stage)))
        net(preprocess.to(device).normalise(image[None].to(device)))
    return maps


def find_holder(net: nn.Module, stages: Sequence[str]) -> nn.Module | None:
    """Return the outermost module with all stages under these paths: the network or one inside a wrapper."""
    for module in net.modules():
        if {name for name, _ in module.named_modules()}.issuperset(stages):
            return module
    return None


def _draw_tiles(tiles: Array) -> Figure:
    from matplotlib.figure import Figure

    rows = -(-len(tiles) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * TILE_INCHES, rows * TILE_INCHES + 0.4), layout="constrained")
    figure.suptitle(f"first layer: {len(tiles)} filters, each to its own scale", fontsize=10)
    for i, axes in enumerate(figure.subplots(rows, COLUMNS, squeeze=False).flat):
        axes.axis("off")
        if i < len(tiles):
            axes.imshow(tiles[i], interpolation="nearest")
    return figure


def _draw_maps(title: str, image: Tensor, maps: dict[str, Array]) -> Figure:
    from matplotlib.figure import Figure

    rows = max(len(maps), 1)
    size = ((CHANNELS + 2) * TILE_INCHES, rows * TILE_INCHES + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{title[-TITLE_LENGTH:]}: the most varied channels of each stage", fontsize=10)
    grid = figure.add_gridspec(rows, CHANNELS + 2)
    left = figure.add_subplot(grid[:, :2])
    left.imshow(image.permute(1, 2, 0).numpy())
    left.axis("off")
    for row, (stage, channels) in enumerate(maps.items()):
        for column, channel in enumerate(channels):
            axes = figure.add_subplot(grid[row, column + 2])
            axes.imshow(channel, cmap="viridis", interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if column == 0:
                axes.set_ylabel(stage, fontsize=8)
    return figure


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path
