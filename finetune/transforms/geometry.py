"""Augmentations that move pixels: masks move along with their images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finetune.transforms.registry import (
    Amount,
    Context,
    Portion,
    Probability,
    Ratio,
    Share,
    Transform,
    augment,
    sometimes,
)

Degrees = Annotated[float, Field(ge=0, le=180)]
Slant = Annotated[float, Field(ge=0, lt=90)]


@augment
def horizontal_flip(context: Context, *, p: Probability = 0.5) -> Transform:
    """Mirror left and right: not for letters, digits, or anything whose side matters."""
    from torchvision.transforms import v2

    return sometimes(v2.RandomHorizontalFlip(1.0), p)


@augment
def vertical_flip(context: Context, *, p: Probability = 0.5) -> Transform:
    """Mirror top and bottom: for views from above, or through a microscope."""
    from torchvision.transforms import v2

    return sometimes(v2.RandomVerticalFlip(1.0), p)


@augment
def crop(
    context: Context,
    *,
    padding: Annotated[int, Field(ge=1)] = 4,
    fill: Literal["constant", "edge", "reflect", "symmetric"] = "constant",
    p: Probability = 1.0,
) -> Transform:
    """Add `padding` pixels on each side, black or as `fill` says, then cut the size out anywhere."""
    from torchvision.transforms import v2

    size = (context.height, context.width)
    return sometimes(v2.RandomCrop(size, padding=padding, padding_mode=fill), p)


@augment
def random_resized_crop(
    context: Context, *, smallest: Portion = 0.25, ratio: Ratio = 4 / 3, p: Probability = 1.0
) -> Transform:
    """Cut out `smallest` to all of the area, its shape off by up to `ratio`, and resize that.

    Source: Szegedy et al. 2014, arXiv:1409.4842, with `smallest: 0.08`.
    """
    from torchvision.transforms import v2

    size = (context.height, context.width)
    return sometimes(v2.RandomResizedCrop(size, (smallest, 1.0), (1 / ratio, ratio), antialias=True), p)


@augment
def rotation(context: Context, *, degrees: Degrees = 15.0, p: Probability = 1.0) -> Transform:
    """Turn by up to `degrees` either way; the corners turn black."""
    return sometimes(_affine(degrees), p)


@augment
def scale(context: Context, *, factor: Ratio = 1.25, p: Probability = 1.0) -> Transform:
    """Zoom about the middle, by 1 / `factor` to `factor`."""
    return sometimes(_affine(scale=factor), p)


@augment
def translation(context: Context, *, share: Share = 0.1, p: Probability = 1.0) -> Transform:
    """Shift by up to `share` of the height and of the width."""
    return sometimes(_affine(translate=share), p)


@augment
def shear(context: Context, *, degrees: Slant = 10.0, p: Probability = 1.0) -> Transform:
    """Slant by up to `degrees` along either axis."""
    return sometimes(_affine(shear=degrees), p)


@augment
def affine(
    context: Context,
    *,
    degrees: Degrees = 10.0,
    translate: Share = 0.1,
    scale: Ratio = 1.1,
    shear: Slant = 5.0,
    p: Probability = 1.0,
) -> Transform:
    """Turn, shift, zoom and slant in one resampling: cheaper and sharper than one after the other."""
    return sometimes(_affine(degrees, translate, scale, shear), p)


@augment
def stretch(context: Context, *, factor: Ratio = 1.25, p: Probability = 1.0) -> Transform:
    """Scale height and width each on its own, by 1 / `factor` to `factor`, about the middle."""
    from finetune.transforms.transforms import Stretch

    return sometimes(Stretch(factor), p)


@augment
def perspective(context: Context, *, distortion: Share = 0.3, p: Probability = 0.5) -> Transform:
    """Look from the side: each corner moves in by up to `distortion` of half a side."""
    from torchvision.transforms import v2

    transform = v2.RandomPerspective(distortion, 1.0, interpolation=v2.InterpolationMode.BILINEAR, fill=None)
    return sometimes(transform, p)


@augment
def elastic(
    context: Context, *, strength: Amount = 0.02, smoothness: Portion = 0.08, p: Probability = 0.5
) -> Transform:
    """Bend smoothly: shifts of `strength` (their deviation), alike over `smoothness`; shares of the sides.

    Source: Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural networks".
    """
    from finetune.transforms.transforms import Elastic

    return sometimes(Elastic(strength, smoothness), p)


def _affine(
    degrees: float = 0.0, translate: float = 0.0, scale: float = 1.0, shear: float = 0.0
) -> Transform:
    from torchvision.transforms import v2

    transform: Transform = v2.RandomAffine(
        degrees,
        translate=(translate, translate) if translate else None,
        scale=(1 / scale, scale) if scale > 1 else None,
        shear=(-shear, shear, -shear, shear) if shear else None,
        interpolation=v2.InterpolationMode.BILINEAR,
        fill=None,  # black too, and quicker than a fill of 0
    )
    return transform
