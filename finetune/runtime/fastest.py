"""The fastest arithmetic for a network on a device, measured on the network itself."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor, nn

from finetune.runtime.precision import Precision, arranged, evaluating

TIMED, MOST_TIMED = 3, 15
ENOUGH_S = 0.4
"""Short passes are repeated for so long: the median of many is the same on a busy machine."""
WARM_UP_IMAGES, FIRST_IMAGES = 2, 8
"""The first passes take so few images: one to warm up, and one to find candidates that are clearly slower."""
LIMIT_S = 2.5
"""Where passes of the whole example would take longer than this together, they take fewer of its images."""
CLEARLY_SLOWER = 1.5
"""A candidate that takes this many times as long as the fastest one is not run again."""
SHORT_S = 0.05
"""A first run shorter than this many seconds is not compared: it is too short, and running again is cheap."""
GAIN = 1.2
"""bfloat16 must be this many times as fast as float32 to be chosen, since it has fewer digits."""
LAYOUT_GAIN = 1.1
"""Channels last must be this many times as fast as channels first, so that noise does not decide."""


def fastest_precision(
    net: nn.Module, example: Tensor, *, backward: bool = False, autocast: bool | None = None
) -> Precision:
    """Run the network on the example in each precision, and return the fastest.

    In: `example`, float32 (N, C, H, W), on the network's device: a batch as it will be run, since its size
    changes the speed of each layout by another factor. `backward` includes the gradient; `autocast` restricts
    the choice to bfloat16 (True) or float32 (False). The network keeps its weights, their layout, modes and
    gradients. A precision that fails on this device, or gives outputs that are not finite, is not chosen;
    bfloat16 is not tried on a processor that has no instructions for it, where it is many times slower. On a
    processor the time of one core is measured, so that other work on the machine hardly affects the choice.
    """
    trial = _Trial(net, example, backward)
    with evaluating(net), _one_thread(example.device):
        if autocast is None and not has_bfloat16(example.device):
            autocast = False
        if autocast is None:
            trial.run(Precision(True, True), Precision(False, True))
            autocast = trial.prefers(Precision(True, True), Precision(False, True), GAIN)
        last, first = Precision(autocast, True), Precision(autocast, False)
        trial.run(last, first)
    return last if trial.prefers(last, first, LAYOUT_GAIN) else first


def has_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 may be fast on a device: on a processor, whether oneDNN computes with it."""
    if device.type != "cpu":
        return True
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(available and torch.ops.mkldnn._is_mkldnn_bf16_supported())


@dataclass
class _Trial:
    """The speed, in images per second, of each precision that works on this device."""

    net: nn.Module
    example: Tensor
    backward: bool
    speeds: dict[Precision, float] = field(default_factory=dict)

    def run(self, *candidates: Precision) -> None:
        """Time these precisions in turns, after a first pass of few images without those clearly slower."""
        few = self.example[:FIRST_IMAGES]
        for each in candidates:
            self._time(each, few[:WARM_UP_IMAGES])
        first = {each: len(few) / s for each in candidates if (s := self._time(each, few)) is not None}
        fastest = max(first.values(), default=0.0)
        comparable = {
            each: speed
            for each, speed in first.items()
            if speed * CLEARLY_SLOWER >= fastest or len(few) / speed < SHORT_S
        }
        self.speeds |= first
        if len(comparable) < 2:  # noqa: PLR2004
            return  # nothing is left to compare
        images = self.example[: self._affordable(comparable)]
        timed: dict[Precision, list[float]] = {each: [] for each in comparable}
        start = _clock(images.device)
        for number in range(MOST_TIMED):
            if number >= TIMED and _clock(images.device) - start > ENOUGH_S:
                break
            for precision, times in timed.items():
                times.append(self._time(precision, images) or math.inf)
        self.speeds |= {each: len(images) / median(times) for each, times in timed.items()}

    def _affordable(self, speeds: Mapping[Precision, float]) -> int:
        """Return the number of images whose timed passes at these speeds stay within the limit."""
        image_s = TIMED * sum(1 / speed for speed in speeds.values())
        return max(FIRST_IMAGES, int(LIMIT_S / image_s) if image_s else 0)

    def prefers(self, one: Precision, other: Precision, gain: float) -> bool:
        """Return whether `one` works, and is `gain` times as fast as the other if that works."""
        return self.speeds.get(one, 0.0) > 0 and self.speeds[one] >= gain * self.speeds.get(other, 0.0)

    def _time(self, precision: Precision, images: Tensor) -> float | None:
        """Return the seconds of a pass; None where it fails."""
        images = precision.arrange(images)
        with arranged(self.net, precision), torch.inference_mode(not self.backward):
            start = _clock(images.device)
            try:
                finite = _step(self.net, images, precision, self.backward)
            except (RuntimeError, NotImplementedError):  # the device lacks the type, or an operator for it
                return None
            return max(_clock(images.device) - start, 1e-9) if finite else None


def _clock(device: torch.device) -> float:
    """Return the seconds of this thread on a processor, else those of the clock: results are awaited."""
    return time.thread_time() if device.type == "cpu" else time.perf_counter()


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """Keep torch to the calling thread, whose time is measured: threads that wait for others count too."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _step(net: nn.Module, images: Tensor, precision: Precision, backward: bool) -> bool:
    """Run one pass to its end on the device; return whether all outputs are finite."""
    with precision.context(images.device):
        out = net(images).float()
    if backward:
        weights = [weight for weight in net.parameters() if weight.requires_grad]
        if weights:
            torch.autograd.grad(out.square().mean(), weights, allow_unused=True)
    return bool(out.isfinite().all())
