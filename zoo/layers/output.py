"""The shape of what a layer gives: by rule where there is one, else by running it on the meta device.

Running costs a thousand times what arithmetic does, and the first run has torch import its compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from zoo.layers.join import Add, Concat
from zoo.layers.shape import Shape, ShapeError, pair


def output_shape(module: nn.Module, inputs: tuple[Shape, ...]) -> Shape:
    """Give the shape of a layer's output, without the batch. Raises ShapeError where nothing is left."""
    rule = RULES.get(type(module))
    shape = _run(module, inputs) if rule is None else rule(module, *inputs)
    if any(size < 1 for size in shape):
        raise ShapeError("would leave nothing of it")
    return shape


def _run(module: nn.Module, inputs: Iterable[Shape]) -> Shape:
    batch = [torch.empty((2, *shape), device="meta") for shape in inputs]
    with torch.no_grad():
        output: Tensor = module.eval()(*batch)
    module.train()
    return tuple(output.shape[1:])


def _conv(module: Any, x: Shape) -> Shape:  # noqa: ANN401  (torch types these attributes as unions)
    return (module.out_channels, *_windows(module, x, module.dilation))


def _max_pool(module: Any, x: Shape) -> Shape:  # noqa: ANN401
    return (x[0], *_windows(module, x, pair(module.dilation), ceil=module.ceil_mode))


def _avg_pool(module: Any, x: Shape) -> Shape:  # noqa: ANN401
    return (x[0], *_windows(module, x, (1, 1), ceil=module.ceil_mode))


def _windows(module: Any, x: Shape, dilation: tuple[int, int], *, ceil: bool = False) -> Iterable[int]:  # noqa: ANN401
    """Count the places of a window down and across; with `ceil` also one that the edge cuts."""
    sizes = zip(
        x[1:], pair(module.kernel_size), pair(module.stride), pair(module.padding), dilation, strict=True
    )
    for size, kernel, stride, padding, spread in sizes:
        room = size + 2 * padding - spread * (kernel - 1) - 1
        count = room // stride + 1
        if ceil and room % stride and count * stride < size + padding:
            count += 1
        yield count


def _adaptive(module: Any, x: Shape) -> Shape:  # noqa: ANN401
    return (x[0], *module.output_size)


def _linear(module: Any, x: Shape) -> Shape:  # noqa: ANN401
    return (*x[:-1], module.out_features)


def _flatten(module: nn.Module, x: Shape) -> Shape:
    return (prod(x),)


def _add(module: nn.Module, *inputs: Shape) -> Shape:
    return inputs[0]


def _concat(module: nn.Module, *inputs: Shape) -> Shape:
    return (sum(shape[0] for shape in inputs), *inputs[0][1:])


RULES: dict[type[nn.Module], Callable[..., Shape]] = {
    nn.Conv2d: _conv,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _avg_pool,
    nn.AdaptiveAvgPool2d: _adaptive,
    nn.AdaptiveMaxPool2d: _adaptive,
    nn.Linear: _linear,
    nn.Flatten: _flatten,
    Add: _add,
    Concat: _concat,
}
"""By exact type: a class derived from one of these may do something else."""
