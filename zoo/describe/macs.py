"""Multiply-adds of one image: a weight is used once for every position that it is laid on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.layers.shape import Shape

CONVOLUTION_IS_TRANSPOSED = 6  # the place of that argument
FIRST_FACTOR = {"mm": 0, "addmm": 1, "bmm": 0, "baddbmm": 1}  # the place of a product's first factor


def macs_of(module: nn.Module, inputs: tuple[Shape, ...], output: Shape) -> int:
    """Give the multiply-adds of a convolution or linear layer; 0 for any other. Shapes without the batch."""
    if isinstance(module, nn.Conv2d):
        return _kernel(module) * math.prod(output[1:])
    if isinstance(module, nn.ConvTranspose2d):
        return _kernel(module) * math.prod(inputs[0][1:])
    if isinstance(module, nn.Linear):
        return module.in_features * math.prod(output)
    return 0


def macs_of_operation(op: str, args: Sequence[Any], output: Tensor) -> int:
    """Give the multiply-adds of one of torch's operations by its name and arguments, batch included."""
    if op == "convolution":
        laid_on = args[0] if args[CONVOLUTION_IS_TRANSPOSED] else output
        return int(args[1].numel() * len(laid_on) * math.prod(laid_on.shape[2:]))
    if op in FIRST_FACTOR:
        first, second = args[FIRST_FACTOR[op] :][:2]
        return int(first.numel() * second.shape[-1])
    return 0


def _kernel(module: nn.Conv2d | nn.ConvTranspose2d) -> int:
    """Give the number of weights, biases aside: for weights held as direction and length, their product."""
    return module.in_channels // module.groups * module.out_channels * math.prod(module.kernel_size)
