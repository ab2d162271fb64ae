"""Layers that take several values: sums, products, concatenations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.layers.shape import Shape, ShapeError, channels_of, in_words
from zoo.registry import layer


class Add(nn.Module):
    """Sum of its inputs."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first + other
        return first


class Multiply(nn.Module):
    """Product of its inputs; sizes of 1 spread."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first * other
        return first


class Concat(nn.Module):
    """Inputs laid channel after channel."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, dim=1)


class WithAuxiliary(NamedTuple):
    """What a network with an auxiliary head gives in training."""

    main: Tensor
    auxiliary: Tensor


class Auxiliary(nn.Module):
    """The main output; in training, both, for a loss on each."""

    def forward(self, main: Tensor, auxiliary: Tensor) -> Tensor | WithAuxiliary:
        return WithAuxiliary(main, auxiliary) if self.training else main


@layer
def add(*inputs: Shape) -> nn.Module:
    """Add inputs of one shape: (C, H, W) each, to (C, H, W)."""
    if any(shape != inputs[0] for shape in inputs):
        raise ShapeError(f"needs inputs of one shape, found {_listed(inputs)}")
    return Add()


@layer
def multiply(*inputs: Shape) -> nn.Module:
    """Multiply inputs; (C, 1, 1) spreads over (C, H, W), as in squeeze and excitation."""
    try:
        torch.broadcast_shapes(*inputs)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ShapeError(f"needs inputs that spread to one shape, found {_listed(inputs)}") from error
    return Multiply()


@layer
def concat(*inputs: Shape) -> nn.Module:
    """Lay channels together: (C1, H, W), (C2, H, W), … to (C1 + C2 + …, H, W)."""
    if any(shape[1:] != inputs[0][1:] for shape in inputs):
        raise ShapeError(f"needs inputs of one height and width, found {_listed(inputs)}")
    return Concat()


@layer
def auxiliary(main: Shape, aux: Shape) -> nn.Module:
    """Give the first input; in training (first, second), so that an auxiliary head learns too."""
    channels_of(main)
    channels_of(aux)
    return Auxiliary()


def _listed(shapes: tuple[Shape, ...]) -> str:
    return " and ".join(in_words(shape) for shape in shapes)
