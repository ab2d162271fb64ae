"""Which arithmetic this device runs a network fastest in: measured on the network itself, not looked up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

WARM_UP, TIMED = 1, 2
CLEARLY_SLOWER = 1.5
"""A candidate whose first run takes this many times the best time is not timed again."""


GAIN = 1.2
"""bfloat16 must be this many times as fast as float32 to be chosen: it costs digits."""


@dataclass(frozen=True)
class Precision:
    """How a network is run: in float32, or with bfloat16 autocast; channels last in memory, or first.

    `images_per_s` holds what was measured of each way that was tried, by name.
    """

    autocast: bool = False
    channels_last: bool = False
    images_per_s: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """Such as `bfloat16, channels last`."""
        return f"{self.dtype}, channels {'last' if self.channels_last else 'first'}"

    @property
    def dtype(self) -> str:
        """The type that matrix products are done in: `bfloat16` or `float32`."""
        return "bfloat16" if self.autocast else "float32"

    def context(self, device: torch.device | str) -> torch.autocast:
        """The autocast region to run the network in, for a device or a type of device."""
        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.autocast)

    def arrange(self, images: Tensor) -> Tensor:
        """The same images (N, C, H, W), laid out in memory as this precision wants them; else as it is."""
        if not self.channels_last or images.ndim != len("NCHW"):
            return images
        return images.contiguous(memory_format=torch.channels_last)


EXACT = Precision()
"""Float32, channels first: what exported networks are compared with."""


@contextmanager
def arranged(net: nn.Module, precision: Precision) -> Iterator[None]:
    """Inside the block the weights are laid out for that precision; afterwards as they were before."""
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
    """Inside the block every module is in eval mode; afterwards each is in the mode it was in."""
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
    """Run the network on the example in each precision the device offers, and give the fastest.

    In: `example`, float32 (N, C, H, W), on the network's device; four images are enough. `backward`
    times the gradient as well; `autocast` restricts the choice to bfloat16 (True) or float32 (False).
    The network keeps its weights, modes and gradients. A precision that fails on this device, or whose
    outputs are not finite where those of float32 are, does not take part.
    """
    dtypes = [True, False] if autocast is None else [autocast]
    speeds: dict[Precision, float] = {}
    with evaluating(net):
        for choice in dtypes:
            _try(Precision(choice, channels_last=True), net, example, backward, speeds)
        leader = max(speeds, key=speeds.__getitem__) if speeds else Precision(bool(autocast))
        _try(Precision(leader.autocast, channels_last=False), net, example, backward, speeds)
    if not speeds:
        return Precision(bool(autocast))
    best = max(speeds, key=lambda precision: speeds[precision] / (GAIN if precision.autocast else 1.0))
    measured = {precision.name: round(speed, 2) for precision, speed in speeds.items()}
    return Precision(best.autocast, best.channels_last, measured)


def _try(
    precision: Precision, net: nn.Module, example: Tensor, backward: bool, speeds: dict[Precision, float]
) -> None:
    """Add the images a second of this precision to `speeds`, unless it does not work here."""
    best = max(speeds.values(), default=0.0)
    images = precision.arrange(example)
    with arranged(net, precision), torch.inference_mode(not backward):
        try:
            for run in range(WARM_UP + TIMED):
                start = time.perf_counter()
                finite = _step(net, images, precision, backward)
                speed = len(example) / (time.perf_counter() - start)
                if not finite:
                    return
                if run >= WARM_UP:
                    speeds[precision] = max(speed, speeds.get(precision, 0.0))
                if run and speed * CLEARLY_SLOWER < best:
                    return
        except (RuntimeError, NotImplementedError):  # this device lacks the type or an operator in it
            speeds.pop(precision, None)


def _step(net: nn.Module, images: Tensor, precision: Precision, backward: bool) -> bool:
    """One pass, to its end on the device. Out: whether all outputs are finite."""
    with precision.context(images.device):
        out = net(images).float()
    if backward:
        weights = [weight for weight in net.parameters() if weight.requires_grad]
        if weights:
            torch.autograd.grad(out.square().mean(), weights, allow_unused=True)
    return bool(out.isfinite().all())
