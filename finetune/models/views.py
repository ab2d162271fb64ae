"""Test-time augmentation: several views of an image, answered together, inside the one exported network."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from finetune.config.optim import TestTime
from finetune.models.ensemble import average_answers

CROP = 7 / 8
"""A crop's share of each side: 224 of 256 pixels in the source."""


class Views(nn.Module):
    """A classifier that answers for several views of each image at once.

    In: (N, C, H, W). Out: (N, classes) logits, whose softmax is the mean of the views' probabilities.
    `flip`: the image and its mirror image. `ten_crop`: the four corners and the middle, each brought back to
    the full size, and their mirror images. Source: Krizhevsky et al. 2012, section 4.1.
    """

    def __init__(self, net: nn.Module, kind: TestTime) -> None:
        super().__init__()
        self.net, self.kind = net, kind

    def forward(self, images: Tensor) -> Tensor:
        """The mean answer."""
        shown = [images] if self.kind == "flip" else list(crops(images))
        answers = [self.net(view) for image in shown for view in (image, image.flip(-1))]
        return average_answers(torch.stack(answers))


def crops(images: Tensor) -> Iterator[Tensor]:
    """The four corners and the middle of (N, C, H, W), each at the full size."""
    height, width = images.shape[-2:]
    high, wide = round(height * CROP), round(width * CROP)
    down, across = height - high, width - wide
    for top, left in ((0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2)):
        crop = images[..., top : top + high, left : left + wide]
        yield nn.functional.interpolate(crop, size=(height, width), mode="bilinear", align_corners=False)


def with_views(net: nn.Module, kind: TestTime | None) -> nn.Module:
    """The network as it is to answer; itself where no views are asked for."""
    return net if kind is None else Views(net, kind)
