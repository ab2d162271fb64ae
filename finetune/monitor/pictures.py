"""What a network looks for and what it sees: the first layer's filters, and activations stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finetune.engine.dead_units import MAP_AXES
from finetune.runtime.precision import evaluating
from finetune.transforms.preprocess import Preprocess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float32]

MOST_FILTERS, COLUMNS = 64, 8
CHANNELS = 10
"""Channels shown of each stage: those that this image moves most."""
TILE_INCHES = 0.9
COLOURS = 3
TITLE = 60


def draw_pictures(
    net: nn.Module,
    preprocess: Preprocess,
    stages: Sequence[str],
    images: Sequence[tuple[str, Tensor]],
    folder: Path,
) -> list[Path]:
    """Write `filters.png`, and `activations-1.png` and on, one for each image; gives what was written.

    In: `stages` are module paths; `images` have a title each, and are uint8 (3, height, width) at the
    network's size. Without a convolution there are no filters; a stage without maps is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    weight = first_filters(net)
    if weight is not None:
        written.append(_save(_tile_figure(filter_tiles(weight)), folder / "filters.png"))
    for number, (title, image) in enumerate(images, start=1):
        maps = read_maps(net, preprocess, stages, image)
        written.append(_save(_stage_figure(title, image, maps), folder / f"activations-{number}.png"))
    return written


def first_filters(net: nn.Module) -> Tensor | None:
    """The weights of the first convolution, (filters, channels, h, w); None where there is none."""
    convolution = next((module for module in net.modules() if isinstance(module, nn.Conv2d)), None)
    return None if convolution is None else convolution.weight.detach().cpu().float()


def filter_tiles(weight: Tensor) -> Array:
    """Filters as pictures: grey stands for a weight of 0, each filter's largest weight for black or white.

    Those of three channels are in colour, of others the mean over channels is shown.
    In: (filters, channels, h, w). Out: (N, h, w, 3) from 0 to 1, N at most MOST_FILTERS.
    """
    weight = weight[:MOST_FILTERS]
    if weight.shape[1] != COLOURS:
        weight = weight.mean(1, keepdim=True).expand(-1, COLOURS, -1, -1)
    largest = weight.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    tiles: Array = (0.5 + 0.5 * weight / largest).permute(0, 2, 3, 1).numpy()
    return tiles


def read_maps(
    net: nn.Module, preprocess: Preprocess, stages: Sequence[str], image: Tensor
) -> dict[str, Array]:
    """What each stage answers to an image: stage -> (CHANNELS or fewer, h, w), the most varied first."""
    inner, found = holder(net, stages), dict[str, Array]()

    def hook_of(stage: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == MAP_AXES:
                maps = output[0].float()
                order = maps.flatten(1).std(1).argsort(descending=True)[:CHANNELS]
                found[stage] = maps[order].cpu().numpy()

        return hook

    device = next(net.parameters()).device
    with ExitStack() as stack, evaluating(net), torch.inference_mode():
        for stage in stages if inner is not None else ():
            assert inner is not None
            stack.enter_context(inner.get_submodule(stage).register_forward_hook(hook_of(stage)))
        net(preprocess.to(device).normalise(image[None].to(device)))
    return found


def holder(net: nn.Module, stages: Sequence[str]) -> nn.Module | None:
    """The outermost module with all stages under these paths: the network itself, or one inside a wrapper."""
    for module in net.modules():
        paths = {name for name, _ in module.named_modules()}
        if paths.issuperset(stages):
            return module
    return None


def _tile_figure(tiles: Array) -> Figure:
    from matplotlib.figure import Figure

    rows = -(-len(tiles) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * TILE_INCHES, rows * TILE_INCHES + 0.4), layout="constrained")
    figure.suptitle(f"first layer: {len(tiles)} filters, each to its own scale", fontsize=10)
    for i, axes in enumerate(figure.subplots(rows, COLUMNS, squeeze=False).flat):
        axes.axis("off")
        if i < len(tiles):
            axes.imshow(tiles[i], interpolation="nearest")
    return figure


def _stage_figure(title: str, image: Tensor, maps: dict[str, Array]) -> Figure:
    from matplotlib.figure import Figure

    size = ((CHANNELS + 2) * TILE_INCHES, max(len(maps), 1) * TILE_INCHES + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{title[-TITLE:]}: what each stage answers, its most varied channels", fontsize=10)
    grid = figure.add_gridspec(max(len(maps), 1), CHANNELS + 2)
    shown = figure.add_subplot(grid[:, :2])
    shown.imshow(image.permute(1, 2, 0).numpy())
    shown.axis("off")
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
