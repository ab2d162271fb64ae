"""Progressive resizing: training starts with small images and ends with the network's size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

import zoo
from finetune.config.optim import ProgressiveResizing
from zoo.errors import GraftError

MASKS = 3  # dimensions of a batch of masks
MULTIPLE = 8
"""Sizes below the full one are multiples of this many pixels, so that there are few different ones."""


@dataclass(frozen=True)
class Resizing:
    """The size of images at each step of a run of `steps`.

    Source: Howard 2018, DAWNBench's fastest ImageNet entry; the schedule is that of MosaicML's Composer.
    """

    settings: ProgressiveResizing
    steps: int

    def scale(self, step: int) -> float:
        """Return the height and width at `step`, as a share of the full ones."""
        done, settings = step / max(self.steps, 1), self.settings
        growing = 1 - settings.delay_fraction - settings.finetune_fraction
        grown = (
            (done - settings.delay_fraction) / growing
            if growing > 0
            else float(done > settings.delay_fraction)
        )
        return settings.initial_scale + (1 - settings.initial_scale) * min(max(grown, 0.0), 1.0)

    def full(self, step: int) -> bool:
        """Return whether images have their full size at `step`."""
        return self.scale(step) >= 1

    def __call__(self, images: Tensor, step: int) -> Tensor:
        """Resize images (N, C, H, W) to the size of that step, with antialiasing."""
        size = tuple(scaled(side, self.scale(step)) for side in images.shape[-2:])
        if size == tuple(images.shape[-2:]):
            return images
        return nn.functional.interpolate(images, size=size, mode="bilinear", antialias=True)

    def targets(self, targets: Tensor, images: Tensor) -> Tensor:
        """Bring masks (N, H, W) to the size of resized images; each pixel has the value under its centre.

        Other targets are returned as they are.
        """
        size = tuple(images.shape[-2:])
        if targets.ndim != MASKS or tuple(targets.shape[-2:]) == size:
            return targets
        resized = nn.functional.interpolate(targets[:, None].float(), size=size, mode="nearest-exact")
        return resized[:, 0].to(targets.dtype)


def scaled(side: int, scale: float) -> int:
    """Scale a side of `side` pixels, rounded to a multiple of `MULTIPLE` where that is still smaller."""
    return min(max(round(side * scale / MULTIPLE), 1) * MULTIPLE, side)


def mean_area(settings: ProgressiveResizing | None, height: int, width: int) -> float:
    """Return the mean number of pixels of an image over a run, as a share of those at full size."""
    if settings is None:
        return 1.0
    run = Resizing(settings, steps=100)
    areas = [scaled(height, run.scale(step)) * scaled(width, run.scale(step)) for step in range(run.steps)]
    return sum(areas) / len(areas) / (height * width)


def build_resizing(
    settings: ProgressiveResizing | None, steps: int, net: nn.Module, shape: zoo.Input, name: str
) -> Resizing | None:
    """Return the schedule for a network on the CPU that takes images of `shape`; None where it is off.

    Raises: GraftError when the network takes only images of its declared size.
    """
    if settings is None:
        return None
    smallest = [scaled(side, settings.initial_scale) for side in (shape.height, shape.width)]
    try:
        with torch.inference_mode():
            net.eval()(torch.zeros(1, shape.channels, *smallest))
    except RuntimeError as error:
        raise GraftError(
            f"{name}: finetune.progressive_resizing starts with images of {smallest[0]} x {smallest[1]}, "
            f"and the network takes only {shape.height} x {shape.width}: {str(error).partition(chr(10))[0]}\n"
            "  expected: a network that ends in global pooling, or finetune.progressive_resizing=none"
        ) from error
    return Resizing(settings, steps)
