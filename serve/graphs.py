"""What is exported: a network between its preprocessing and its task's last step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from serve.parity import Expected, margin


class Classifier(nn.Module):
    """Raw pixels to probabilities: what the artifact of a classification run computes."""

    def __init__(self, preprocess: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """In: uint8 (batch, height, width, 3). Out: float32 (batch, classes)."""
        return torch.softmax(self.net(self.preprocess(image)), dim=1)

    def expect(self, image: Tensor) -> Expected:
        """The answer with its margins, for comparison."""
        probabilities = self(image).numpy()
        return Expected(probabilities, margin(probabilities, axis=1))


class Segmenter(Classifier):
    """Raw pixels to the class of every pixel, at the size of the image that came in."""

    def forward(self, image: Tensor) -> Tensor:
        """In: uint8 (batch, height, width, 3). Out: uint8 (batch, height, width)."""
        mask = self.net(self.preprocess(image)).argmax(dim=1).to(torch.uint8)
        return fit_nearest(mask, image)

    def expect(self, image: Tensor) -> Expected:
        """The answer with its margins, for comparison."""
        probabilities = super().forward(image).numpy()
        margins = torch.from_numpy(margin(probabilities, axis=1))
        return Expected(self(image).numpy(), fit_nearest(margins, image).numpy())


GRAPHS: Mapping[str, type[Classifier]] = {"classification": Classifier, "segmentation": Segmenter}


def fit_nearest(values: Tensor, image: Tensor) -> Tensor:
    """Each pixel of `image` (N, H, W, 3) takes the value (N, h, w) under its centre.

    The places are found in whole numbers, so that every runtime finds the same ones.
    """
    rows, columns = (
        torch.div((2 * torch.arange(new) + 1) * old, 2 * new, rounding_mode="floor")
        for new, old in zip(image.shape[1:3], values.shape[1:3], strict=True)
    )
    return values[:, rows][:, :, columns]
