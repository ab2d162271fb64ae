"""The fastest arithmetic and memory layout for a network on a device, measured on the network itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

WARM_UP, TIMED = 1, 2
CLEARLY_SLOWER = 1.5
"""A candidate that takes this many times as long as the fastest one is not run again."""
SHORT_S = 0.05
"""A first run shorter than this many seconds is not compared: it is too short, and running again is cheap."""
GAIN = 1.2
"""bfloat16 must be this many times as fast as float32 to be chosen, since it has fewer digits."""


@dataclass(frozen=True)
class Precision:
    """How a network is run: float32 or bfloat16 autocast; channels last or first in memory.

    `images_per_s` contains the speed of each precision that was measured, by name.
    """

    autocast: bool = False
    channels_last: bool = False
    images_per_s: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """For example `bfloat16, channels last`."""
        return f"{self.dtype}, channels {'last' if self.channels_last else 'first'}"

    @property
    def dtype(self) -> str:
        """The type of matrix products: `bfloat16` or `float32`."""
        return "bfloat16" if self.autocast else "float32"

    def context(self, device: torch.device | str) -> torch.autocast:
        """Return the autocast context to run the network in."""
        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.autocast)

    def arrange(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) in the memory layout of this precision; other tensors unchanged."""
        if not self.channels_last or images.ndim != len("NCHW"):
            return images
        return images.contiguous(memory_format=torch.channels_last)


EXACT = Precision()
"""Float32, channels first: the reference for exported networks."""


@contextmanager
def arranged(net: nn.Module, precision: Precision) -> Iterator[None]:
    """In this block the weights have the memory layout of that precision; afterwards their own again."""
    if not precision.channels_last:
        yield
        return
    kernels = [value for value in net.state_dict(keep_vars=True).values() if value.ndim == len("NCHW")]
    plain = [value for value in kernels if value.is_contiguous()]
    net.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        for value in plain:
            value.data = value.data.contiguous()


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


def fastest_precision(
    net: nn.Module, example: Tensor, *, backward: bool = False, autocast: bool | None = None
) -> Precision:
    """Run the network on the example in each precision, and return the fastest.

    In: `example`, float32 (N, C, H, W), on the network's device; four images are enough. `backward` includes
    the gradient; `autocast` restricts the choice to bfloat16 (True) or float32 (False). The network keeps its
    weights, modes and gradients. A precision that fails on this device, or gives outputs that are not finite,
    is not chosen.
    """
    dtypes = [True, False] if autocast is None else [autocast]
    trial = _Trial(net, example, backward)
    with evaluating(net):
        for choice in dtypes:
            trial.run(Precision(choice, channels_last=True))
        leader = trial.fastest or Precision(bool(autocast))
        trial.run(Precision(leader.autocast, channels_last=False))
    speeds = trial.speeds
    if not speeds:
        return Precision(bool(autocast))
    best = max(speeds, key=lambda precision: speeds[precision] / (GAIN if precision.autocast else 1.0))
    measured = {precision.name: round(speed, 2) for precision, speed in speeds.items()}
    return Precision(best.autocast, best.channels_last, measured)


@dataclass
class _Trial:
    """The speed, in images per second, of each precision that works on this device."""

    net: nn.Module
    example: Tensor
    backward: bool
    speeds: dict[Precision, float] = field(default_factory=dict)
    cold: float = 0.0
    """Images per second of the fastest first run, which includes preparations of the library."""

    @property
    def fastest(self) -> Precision | None:
        return max(self.speeds, key=self.speeds.__getitem__, default=None)

    def run(self, precision: Precision) -> None:
        """Time this precision; stop early when it is clearly slower."""
        best = max(self.speeds.values(), default=0.0)
        images = precision.arrange(self.example)
        with arranged(self.net, precision), torch.inference_mode(not self.backward):
            try:
                for run in range(WARM_UP + TIMED):
                    start = time.perf_counter()
                    finite = _step(self.net, images, precision, self.backward)
                    seconds = time.perf_counter() - start
                    speed = len(images) / seconds
                    if not finite:
                        return
                    if run < WARM_UP:
                        self.cold = max(self.cold, speed)
                        slow = seconds > SHORT_S and speed * CLEARLY_SLOWER < self.cold
                    else:
                        self.speeds[precision] = max(speed, self.speeds.get(precision, 0.0))
                        slow = speed * CLEARLY_SLOWER < best
                    if slow:
                        return
            except (RuntimeError, NotImplementedError):  # the device lacks the type, or an operator for it
                self.speeds.pop(precision, None)


def _step(net: nn.Module, images: Tensor, precision: Precision, backward: bool) -> bool:
    """Run one pass to its end on the device; return whether all outputs are finite."""
    with precision.context(images.device):
        out = net(images).float()
    if backward:
        weights = [weight for weight in net.parameters() if weight.requires_grad]
        if weights:
            torch.autograd.grad(out.square().mean(), weights, allow_unused=True)
    return bool(out.isfinite().all())
