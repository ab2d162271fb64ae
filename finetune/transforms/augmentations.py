"""All augmentations, one function each; the keyword arguments of a function are its keys in a spec.

Geometry moves the pixels of images and masks; colour changes only images; policies draw from a fixed list.
Torchvision is imported when a transform is built, not before: specs are read and checked without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from finetune.optim.ranges import Count, Factor, NonNegative, Share
from finetune.transforms import IGNORED
from zoo.registry import Registry

if TYPE_CHECKING:
    from finetune.transforms.statistics import Statistics

AUGMENTATIONS = Registry("augmentation")
augmentation = AUGMENTATIONS.register

Transform = Callable[..., Any]
"""A torchvision.transforms.v2.Transform: uint8 image in, uint8 image out; masks are transformed along."""
Ratio = Annotated[float, Field(ge=1)]
Degrees = Annotated[float, Field(ge=0, le=180)]
ShearDegrees = Annotated[float, Field(ge=0, lt=90)]


@dataclass(frozen=True)
class AugmentContext:
    """Size of the images, and statistics of the training images for the augmentations that need them."""

    height: int
    width: int
    statistics: Statistics | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width


class _LazyV2:
    """The module torchvision.transforms.v2, imported when it is first used."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        from torchvision.transforms import v2

        return getattr(v2, name)


v2 = _LazyV2()


def with_probability(transform: Transform, p: float) -> Transform:
    """Apply the transform with probability `p`."""
    result: Transform = transform if p == 1 else v2.RandomApply([transform], p)
    return result


# Geometry


@augmentation
def horizontal_flip(context: AugmentContext, *, p: Share = 0.5) -> Transform:
    """Mirror left and right; not for letters, digits, or classes that differ by side."""
    return with_probability(v2.RandomHorizontalFlip(1.0), p)


@augmentation
def vertical_flip(context: AugmentContext, *, p: Share = 0.5) -> Transform:
    """Mirror top and bottom, for example in aerial or microscope images."""
    return with_probability(v2.RandomVerticalFlip(1.0), p)


@augmentation
def crop(
    context: AugmentContext,
    *,
    padding: Count = 4,
    fill: Literal["constant", "edge", "reflect", "symmetric"] = "constant",
    p: Share = 1.0,
) -> Transform:
    """Pad each side by `padding` pixels, then crop to the original size at a random position."""
    return with_probability(
        v2.RandomCrop(context.size, padding=padding, padding_mode=fill, fill=_border(0)), p
    )


@augmentation
def random_resized_crop(
    context: AugmentContext, *, smallest: Factor = 0.25, ratio: Ratio = 4 / 3, p: Share = 1.0
) -> Transform:
    """Crop `smallest` to all of the area, with an aspect ratio changed by up to `ratio`, and resize.

    Source: Szegedy et al. 2014, arXiv:1409.4842, with `smallest: 0.08`.
    """
    transform = v2.RandomResizedCrop(context.size, (smallest, 1.0), (1 / ratio, ratio), antialias=True)
    return with_probability(transform, p)


@augmentation
def rotation(context: AugmentContext, *, degrees: Degrees = 15.0, p: Share = 1.0) -> Transform:
    """Rotate by up to `degrees` in either direction; the corners become black."""
    return with_probability(_affine(degrees), p)


@augmentation
def scale(context: AugmentContext, *, factor: Ratio = 1.25, p: Share = 1.0) -> Transform:
    """Scale about the centre by 1 / `factor` to `factor`."""
    return with_probability(_affine(scale=factor), p)


@augmentation
def translation(context: AugmentContext, *, share: Share = 0.1, p: Share = 1.0) -> Transform:
    """Shift by up to `share` of the height and of the width."""
    return with_probability(_affine(translate=share), p)


@augmentation
def shear(context: AugmentContext, *, degrees: ShearDegrees = 10.0, p: Share = 1.0) -> Transform:
    """Shear by up to `degrees` along each axis."""
    return with_probability(_affine(shear=degrees), p)


@augmentation
def affine(
    context: AugmentContext,
    *,
    degrees: Degrees = 10.0,
    translate: Share = 0.1,
    scale: Ratio = 1.1,
    shear: ShearDegrees = 5.0,
    p: Share = 1.0,
) -> Transform:
    """Rotate, shift, scale and shear in one resampling: faster and sharper than one after the other."""
    return with_probability(_affine(degrees, translate, scale, shear), p)


@augmentation
def stretch(context: AugmentContext, *, factor: Ratio = 1.25, p: Share = 1.0) -> Transform:
    """Scale height and width independently about the centre, each by 1 / `factor` to `factor`."""
    from finetune.transforms.custom import Stretch

    return with_probability(Stretch(factor), p)


@augmentation
def perspective(context: AugmentContext, *, distortion: Share = 0.3, p: Share = 0.5) -> Transform:
    """Change the perspective: each corner moves inwards by up to `distortion` of half a side."""
    bilinear = v2.InterpolationMode.BILINEAR
    return with_probability(v2.RandomPerspective(distortion, 1.0, interpolation=bilinear, fill=_border()), p)


@augmentation
def elastic(
    context: AugmentContext, *, strength: NonNegative = 0.02, smoothness: Factor = 0.08, p: Share = 0.5
) -> Transform:
    """Shift pixels by a field of deviation `strength` that is smooth over `smoothness`, shares of a side.

    Source: Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural networks".
    """
    from finetune.transforms.custom import Elastic

    return with_probability(Elastic(strength, smoothness), p)


def _affine(
    degrees: float = 0.0, translate: float = 0.0, scale: float = 1.0, shear: float = 0.0
) -> Transform:
    transform: Transform = v2.RandomAffine(
        degrees,
        translate=(translate, translate) if translate else None,
        scale=(1 / scale, scale) if scale > 1 else None,
        shear=(-shear, shear, -shear, shear) if shear else None,
        interpolation=v2.InterpolationMode.BILINEAR,
        fill=_border(),
    )
    return transform


def _border(image: int | None = None) -> dict[Any, int | None]:
    """Return what fills new borders: black in images (None is faster than 0), IGNORED in masks."""
    from torchvision import tv_tensors

    return {tv_tensors.Mask: IGNORED, "others": image}


# Colour


@augmentation
def brightness(context: AugmentContext, *, strength: Share = 0.3, p: Share = 1.0) -> Transform:
    """Multiply all values by 1 - `strength` to 1 + `strength`."""
    return with_probability(v2.ColorJitter(brightness=strength), p)


@augmentation
def contrast(context: AugmentContext, *, strength: Share = 0.3, p: Share = 1.0) -> Transform:
    """Scale the differences from the image's mean grey by 1 - `strength` to 1 + `strength`."""
    return with_probability(v2.ColorJitter(contrast=strength), p)


@augmentation
def saturation(context: AugmentContext, *, strength: Share = 0.3, p: Share = 1.0) -> Transform:
    """Scale the differences of each pixel from its grey by 1 - `strength` to 1 + `strength`."""
    return with_probability(v2.ColorJitter(saturation=strength), p)


@augmentation
def hue(
    context: AugmentContext, *, strength: Annotated[float, Field(ge=0, le=0.5)] = 0.05, p: Share = 1.0
) -> Transform:
    """Rotate the hue by up to `strength` of a full turn in either direction."""
    return with_probability(v2.ColorJitter(hue=strength), p)


@augmentation
def grey(context: AugmentContext, *, p: Share = 0.1) -> Transform:
    """Convert to grey."""
    return with_probability(v2.RandomGrayscale(1.0), p)


@augmentation
def blur(
    context: AugmentContext, *, sigma: Annotated[float, Field(gt=0.1)] = 1.5, p: Share = 0.3
) -> Transform:
    """Blur with a Gaussian of standard deviation 0.1 to `sigma` pixels."""
    widest = 2 * min(context.size) - 1  # what reflection at the border allows
    return with_probability(v2.GaussianBlur(min(2 * round(3 * sigma) + 1, widest), sigma=(0.1, sigma)), p)


@augmentation
def gaussian_noise(context: AugmentContext, *, strength: NonNegative = 0.03, p: Share = 0.5) -> Transform:
    """Add independent noise to every value, of standard deviation `strength` where white is 1."""
    from finetune.transforms.custom import GaussianNoise

    return with_probability(GaussianNoise(strength), p)


@augmentation
def fancy_pca(context: AugmentContext, *, sigma: NonNegative = 0.1, p: Share = 1.0) -> Transform:
    """Shift the colour of the whole image along the principal components of the training set's RGB values.

    Each component is weighted by its eigenvalue times a draw from N(0, `sigma`), where white is 1.
    Source: Krizhevsky, Sutskever, Hinton 2012, section 4.1.
    """
    from finetune.transforms.custom import FancyPca

    if context.statistics is None:
        raise ValueError("fancy_pca needs the statistics of the training images")
    return with_probability(FancyPca(context.statistics, sigma), p)


@augmentation
def erasing(
    context: AugmentContext,
    *,
    largest: Factor = 0.25,
    value: Annotated[int, Field(ge=0, le=255)] = 128,
    p: Share = 0.5,
) -> Transform:
    """Fill a rectangle of 0.02 to `largest` of the area with the grey `value`.

    Source: Zhong et al. 2017, arXiv:1708.04896.
    """
    return with_probability(v2.RandomErasing(1.0, scale=(min(0.02, largest), largest), value=value), p)


# Policies


@augmentation
def rand_augment(
    context: AugmentContext,
    *,
    operations: Count = 2,
    magnitude: Annotated[int, Field(ge=0, le=30)] = 9,
    p: Share = 1.0,
) -> Transform:
    """Apply `operations` drawn from 14 of geometry and colour, all at one `magnitude` of 30.

    Source: Cubuk et al. 2019, arXiv:1909.13719.
    """
    bilinear = v2.InterpolationMode.BILINEAR
    return with_probability(v2.RandAugment(operations, magnitude, interpolation=bilinear), p)


@augmentation
def trivial_augment(context: AugmentContext, *, p: Share = 1.0) -> Transform:
    """Apply one operation drawn from 14 of geometry and colour, at a random magnitude.

    Source: Müller, Hutter 2021, arXiv:2103.10158.
    """
    return with_probability(v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR), p)
