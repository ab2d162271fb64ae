"""The arithmetic that a network runs in: types of numbers, and the layout of weights and images in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, product
from typing import Self

import torch
from torch import Tensor, nn

MAP_AXES = len("NCHW")


@dataclass(frozen=True)
class Precision:
    """How a network is run: float32 or bfloat16 autocast; channels last or first in memory."""

    autocast: bool = False
    channels_last: bool = False

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the precision of this `name`."""
        found = {each.name: each for each in (cls(*flags) for flags in product((False, True), repeat=2))}
        return found[name]

    @property
    def name(self) -> str:
        """For example `bfloat16 channels_last`."""
        return f"{self.dtype} channels_{'last' if self.channels_last else 'first'}"

    @property
    def dtype(self) -> str:
        """The type of matrix products: `bfloat16` or `float32`."""
        return "bfloat16" if self.autocast else "float32"

    def context(self, device: torch.device | str) -> torch.autocast:
        """Return the autocast context to run the network in."""
        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.autocast)

    def arrange(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) in the memory layout of this precision; other tensors unchanged."""
        if not self.channels_last or images.ndim != MAP_AXES:
            return images
        return images.contiguous(memory_format=torch.channels_last)

    def arrange_weights(self, net: nn.Module) -> None:
        """Bring parameters and buffers into the memory layout of this precision, whatever theirs is.

        The layout decides which kernels run, and these round differently. Torch takes a kernel with a side of
        one for arranged in either layout, so the strides themselves are compared.
        """
        for value in chain(net.parameters(), net.buffers()):
            last = self.channels_last and value.ndim == MAP_AXES
            layout = torch.channels_last if last else torch.contiguous_format
            strides = torch.empty(value.shape, device="meta", memory_format=layout).stride()
            if value.stride() != strides:
                plain = torch.empty_strided(value.shape, strides, dtype=value.dtype, device=value.device)
                value.data = plain.copy_(value.data)


EXACT = Precision()
"""Float32, channels first: the reference for exported networks."""


@contextmanager
def arranged(net: nn.Module, precision: Precision) -> Iterator[None]:
    """In this block the weights have the memory layout of that precision; afterwards they are as before.

    The weights must not change in the block.
    """
    before = [(value, value.data) for value in chain(net.parameters(), net.buffers())]
    precision.arrange_weights(net)
    try:
        yield
    finally:
        for value, data in before:
            value.data = data


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """In this block every module is in evaluation mode; afterwards in its own mode again."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
