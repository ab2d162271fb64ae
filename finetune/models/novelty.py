"""How unlike the training images an image is, by the features that a network's head sees."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

THRESHOLD = 1.0
"""Scores above it count as unlike the training images."""


class Novelty(nn.Module):
    """The Mahalanobis distance of features from those of the training images, divided by a scale.

    Before it, each feature is replaced by its root, and the features of an image are brought to unit length:
    few large features, or an image of little contrast, would decide otherwise. The covariance is known along
    `directions` (F, r) of the standardised features, and the same in all other directions. `weights` (r,) and
    `rest` are one over the standard deviation there. `state` is a `state_dict`.
    Source: Perronnin et al. 2010, section 3 (root, length); Müller and Hein 2025, Mahalanobis++ (length).
    """

    mean: Tensor
    std: Tensor
    directions: Tensor
    weights: Tensor
    rest: Tensor
    scale: Tensor

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name in ("mean", "std", "directions", "weights", "rest", "scale"):
            self.register_buffer(name, state[name].to(torch.float32))

    def forward(self, features: Tensor) -> Tensor:
        """Return the distance of each image, (N,). In: the input of the head, (N, F)."""
        values = (equalise(features) - self.mean) / self.std
        parts = values @ self.directions
        others = (values - parts @ self.directions.T) * self.rest
        known = parts * self.weights
        return torch.sqrt((known * known).sum(1) + (others * others).sum(1)) / self.scale


def equalise(features: Tensor) -> Tensor:
    """Return the signed roots of the features (N, F), each row of unit length."""
    roots = features.sign() * features.abs().sqrt()
    return roots / roots.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)
