"""Test-time augmentation: the predictions for several views of an image are averaged inside the network."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from finetune.config.optim import TestTime
from finetune.models.ensemble import average_predictions

CROP_SHARE = 7 / 8
"""The size of a crop as a share of each side: 224 of 256 pixels in the source."""


class TestTimeAugmented(nn.Module):
    """A classifier that averages its predictions over several views of each image.

    In: (N, C, H, W). Out: (N, classes) logits, whose softmax is the mean of the views' probabilities.
    `flip`: the image and its mirror image. `ten_crop`: the four corners and the centre, each resized to the
    full size, and their mirror images. Source: Krizhevsky et al. 2012, section 4.1.
    """

    __test__ = False  # pytest takes the name for a test

    def __init__(self, net: nn.Module, kind: TestTime) -> None:
        super().__init__()
        self.net, self.kind = net, kind

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean prediction."""
        views = [images] if self.kind == "flip" else list(five_crops(images))
        logits = [self.net(flipped) for view in views for flipped in (view, view.flip(-1))]
        return average_predictions(torch.stack(logits))


def five_crops(images: Tensor) -> Iterator[Tensor]:
    """Yield the four corners and the centre of (N, C, H, W), each resized to the full size."""
    height, width = images.shape[-2:]
    crop_height, crop_width = round(height * CROP_SHARE), round(width * CROP_SHARE)
    down, right = height - crop_height, width - crop_width
    for top, left in ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)):
        crop = images[..., top : top + crop_height, left : left + crop_width]
        yield nn.functional.interpolate(crop, size=(height, width), mode="bilinear", align_corners=False)


def apply_test_time_augmentation(net: nn.Module, kind: TestTime | None) -> nn.Module:
    """Return the network with test-time augmentation, or the network itself if `kind` is None."""
    return net if kind is None else TestTimeAugmented(net, kind)
