"""Augmentations that draw their steps from a fixed list."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from finetune.transforms.registry import Context, Probability, Transform, augment, sometimes


@augment
def rand_augment(
    context: Context,
    *,
    operations: Annotated[int, Field(ge=1)] = 2,
    magnitude: Annotated[int, Field(ge=0, le=30)] = 9,
    p: Probability = 1.0,
) -> Transform:
    """Apply `operations` drawn from 14 of geometry and colour, all at one `magnitude` of 30.

    Source: Cubuk et al. 2019, arXiv:1909.13719.
    """
    from torchvision.transforms import v2

    return sometimes(v2.RandAugment(operations, magnitude, interpolation=v2.InterpolationMode.BILINEAR), p)


@augment
def trivial_augment(context: Context, *, p: Probability = 1.0) -> Transform:
    """Apply one step drawn from 14 of geometry and colour, at a magnitude drawn too.

    Source: Müller, Hutter 2021, arXiv:2103.10158.
    """
    from torchvision.transforms import v2

    return sometimes(v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR), p)
