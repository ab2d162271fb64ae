"""Augmentations of colour and sharpness: every pixel stays where it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from finetune.transforms.registry import (
    Amount,
    Context,
    Portion,
    Probability,
    Share,
    Transform,
    augment,
    sometimes,
)


@augment
def brightness(context: Context, *, strength: Share = 0.3, p: Probability = 1.0) -> Transform:
    """Multiply all values by 1 - `strength` to 1 + `strength`."""
    from torchvision.transforms import v2

    return sometimes(v2.ColorJitter(brightness=strength), p)


@augment
def contrast(context: Context, *, strength: Share = 0.3, p: Probability = 1.0) -> Transform:
    """Pull values to or push them from the image's mean grey, by 1 - `strength` to 1 + `strength`."""
    from torchvision.transforms import v2

    return sometimes(v2.ColorJitter(contrast=strength), p)


@augment
def saturation(context: Context, *, strength: Share = 0.3, p: Probability = 1.0) -> Transform:
    """Pull colours to or push them from their grey, by 1 - `strength` to 1 + `strength`."""
    from torchvision.transforms import v2

    return sometimes(v2.ColorJitter(saturation=strength), p)


@augment
def hue(
    context: Context, *, strength: Annotated[float, Field(ge=0, le=0.5)] = 0.05, p: Probability = 1.0
) -> Transform:
    """Turn the colour wheel by up to `strength` of a full turn either way."""
    from torchvision.transforms import v2

    return sometimes(v2.ColorJitter(hue=strength), p)


@augment
def grey(context: Context, *, p: Probability = 0.1) -> Transform:
    """Take the colour away."""
    from torchvision.transforms import v2

    return sometimes(v2.RandomGrayscale(1.0), p)


@augment
def blur(
    context: Context, *, sigma: Annotated[float, Field(gt=0.1)] = 1.5, p: Probability = 0.3
) -> Transform:
    """Blur with a Gaussian of 0.1 to `sigma` pixels."""
    from torchvision.transforms import v2

    widest = 2 * min(context.height, context.width) - 1  # what reflection at the border allows
    kernel = min(2 * round(3 * sigma) + 1, widest)
    return sometimes(v2.GaussianBlur(kernel, sigma=(0.1, sigma)), p)


@augment
def gaussian_noise(context: Context, *, strength: Amount = 0.03, p: Probability = 0.5) -> Transform:
    """Add noise with deviation `strength` of white, to every channel of every pixel on its own."""
    from finetune.transforms.transforms import GaussianNoise

    return sometimes(GaussianNoise(strength), p)


@augment
def fancy_pca(context: Context, *, sigma: Amount = 0.1, p: Probability = 1.0) -> Transform:
    """Shift the whole image's colour along the principal components of the training set's RGB values.

    Each component is added in proportion to its eigenvalue times a draw from N(0, `sigma`), values running
    from 0 to 1. Source: Krizhevsky, Sutskever, Hinton 2012, section 4.1.
    """
    from finetune.transforms.transforms import FancyPca

    if context.statistics is None:
        raise ValueError("fancy_pca needs the statistics of the training images")
    return sometimes(FancyPca(context.statistics, sigma), p)


@augment
def erasing(
    context: Context,
    *,
    largest: Portion = 0.25,
    value: Annotated[int, Field(ge=0, le=255)] = 128,
    p: Probability = 0.5,
) -> Transform:
    """Paint a rectangle of 0.02 to `largest` of the area in the grey `value`.

    Source: Zhong et al. 2017, arXiv:1708.04896.
    """
    from torchvision.transforms import v2

    return sometimes(v2.RandomErasing(1.0, scale=(min(0.02, largest), largest), value=value), p)
