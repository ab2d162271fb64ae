"""Transforms that torchvision lacks, or has only in a form too slow for training."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as nn_functional
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from finetune.transforms import IGNORED
from finetune.transforms.statistics import Statistics, principal_components

WHITE = 255


class Stretch(v2.Transform):  # type: ignore[misc]
    """Scale height and width independently, log-uniformly from 1 / factor to factor, and keep the size."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.max_log_scale = math.log(factor)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        low, high = -self.max_log_scale, self.max_log_scale
        scale_y, scale_x = torch.empty(2).uniform_(low, high).exp().tolist()
        return {
            "scaled_size": [max(1, round(height * scale_y)), max(1, round(width * scale_x))],
            "size": [height, width],
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401  images, masks, boxes
        resized = self._call_kernel(F.resize, inpt, params["scaled_size"], antialias=True)
        if isinstance(inpt, tv_tensors.Mask):  # center_crop adds borders of 0, which - 1 turns to 255
            cropped = F.center_crop(resized + 1, params["size"]) - 1
            return tv_tensors.wrap(cropped, like=inpt)
        return self._call_kernel(F.center_crop, resized, params["size"])


class Elastic(v2.Transform):  # type: ignore[misc]
    """Shift every pixel by smoothed noise.

    v2.ElasticTransform smooths with a two-dimensional kernel: 50 ms at 224 pixels.
    """

    def __init__(self, strength: float, smoothness: float) -> None:
        super().__init__()
        self.strength, self.smoothness = strength, smoothness

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        sides = torch.tensor([width, height]).reshape(1, 1, 1, 2)
        field = smooth_noise(height, width, self.smoothness * min(height, width)).permute(0, 2, 3, 1)
        # Displacements are on a grid from -1 to 1: two units per side.
        return {"displacement": field * (2 * self.strength * min(height, width) / sides)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        fill = IGNORED if isinstance(inpt, tv_tensors.Mask) else None
        return self._call_kernel(F.elastic, inpt, **params, fill=fill)


def smooth_noise(height: int, width: int, sigma: float) -> Tensor:
    """Draw noise of standard deviation 1, smooth over `sigma` pixels. Out: (1, 2, height, width)."""
    radius = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / max(sigma, 1e-3)) ** 2)
    kernel = kernel / kernel.square().sum().sqrt()  # keeps the standard deviation at 1
    noise = torch.randn(2, 1, height + 2 * radius, width + 2 * radius)
    noise = nn_functional.conv2d(noise, kernel.reshape(1, 1, -1, 1))
    return nn_functional.conv2d(noise, kernel.reshape(1, 1, 1, -1)).transpose(0, 1)


class GaussianNoise(v2.Transform):  # type: ignore[misc]
    """Add noise of standard deviation `strength` times white, rounded (v2.GaussianNoise truncates)."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        if not _is_image(inpt):
            return inpt
        return _add(inpt, torch.randn(inpt.shape) * (self.strength * WHITE))


class FancyPca(v2.Transform):  # type: ignore[misc]
    """Shift an image's colour by components, each weighted by its eigenvalue and a draw from N(0, sigma)."""

    def __init__(self, statistics: Statistics, sigma: float) -> None:
        super().__init__()
        values, vectors = principal_components(statistics)
        self.weighted = torch.from_numpy(vectors * values * sigma).float()

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"shift": self.weighted @ torch.randn(3)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        return _add(inpt, params["shift"].reshape(3, 1, 1) * WHITE) if _is_image(inpt) else inpt


def _is_image(value: object) -> bool:
    """Return False for masks and boxes, which are tensors too."""
    others = isinstance(value, tv_tensors.TVTensor) and not isinstance(value, tv_tensors.Image)
    return isinstance(value, Tensor) and not others


def _add(image: Tensor, change: Tensor) -> Tensor:
    """Return the sum as uint8, clamped to 0..255; a tv_tensor stays one."""
    total = (image.as_subclass(Tensor) + change).round().clamp(0, WHITE).to(torch.uint8)
    return tv_tensors.wrap(total, like=image) if isinstance(image, tv_tensors.TVTensor) else total
