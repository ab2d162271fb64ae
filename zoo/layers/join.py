"""Layers that take several inputs: sums, products, concatenations."""

from __future__ import annotations

from zoo.layers.shape import Layer, Shape, ShapeError, channels_of, format_shape
from zoo.registry import layer


@layer
def add(*inputs: Shape) -> Layer:
    """Add inputs of one shape: (C, H, W) each, to (C, H, W)."""
    if any(shape != inputs[0] for shape in inputs):
        raise ShapeError(f"needs inputs of the same shape, found {_listed(inputs)}")
    return Layer(inputs[0], lambda m: m.Add())


@layer
def multiply(*inputs: Shape) -> Layer:
    """Multiply inputs; (C, 1, 1) is broadcast to (C, H, W), as in squeeze and excitation."""
    output = tuple(max(sizes) for sizes in zip(*inputs, strict=False))
    for shape in inputs:
        fits = all(size in (1, most) for size, most in zip(shape, output, strict=False))
        if len(shape) != len(output) or not fits:
            raise ShapeError(f"needs inputs that broadcast to one shape, found {_listed(inputs)}")
    return Layer(output, lambda m: m.Multiply())


@layer
def concat(*inputs: Shape) -> Layer:
    """Concatenate channels: (C1, H, W), (C2, H, W), … to (C1 + C2 + …, H, W)."""
    if any(shape[1:] != inputs[0][1:] for shape in inputs):
        raise ShapeError(f"needs inputs of the same height and width, found {_listed(inputs)}")
    return Layer((sum(shape[0] for shape in inputs), *inputs[0][1:]), lambda m: m.Concat())


@layer
def auxiliary(main: Shape, aux: Shape) -> Layer:
    """Return the first input; in training (first, second), so that an auxiliary head is trained too."""
    channels_of(main)
    channels_of(aux)
    return Layer(main, lambda m: m.Auxiliary())


def _listed(shapes: tuple[Shape, ...]) -> str:
    return " and ".join(format_shape(shape) for shape in shapes)
