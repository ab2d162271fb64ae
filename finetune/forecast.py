"""How long each strategy would take on this device: two steps timed, the rest by arithmetic."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn

from finetune.features.caching import count_views, reasons_against
from finetune.features.lower import find_lower
from finetune.plan import Plan
from finetune.precision import Precision
from finetune.recipe.freeze import freeze, set_training
from finetune.setup import Setup

WARM_UP, TIMED = 1, 2
LARGEST_BATCH = 32
"""Images of a timed step; more would say nothing else on a processor."""


@dataclass(frozen=True)
class Forecast:
    """`minutes` of training for `epochs` at `images_per_s`, validation included."""

    epochs: int
    images_per_s: float
    minutes: float


def forecast_plan(setup: Setup, plan: Plan) -> Forecast:
    """Time two steps of the plan, on a copy of the network, and reckon up the whole of it.

    Where frozen stages are cached, their one pass over each view and the steps above them are timed apart.
    """
    net, images = _trial(setup, plan)
    epochs = plan.epochs * (len(setup.train) + len(setup.val) / 3)  # a forward pass is a third of a step
    views = count_views(setup.settings.partial.views, plan.epochs, augmented=setup.train.augment is not None)
    cached = not any(reasons_against(setup.settings, views))
    lower = find_lower(net, setup.anatomy.stages, images, plan.precision) if cached else None
    if lower is None:
        speed = images_per_s(lambda: net(images), images, plan.precision)
        seconds = epochs / speed
    else:
        with torch.no_grad(), plan.precision.context(images.device):
            stored = lower.outputs(net, images)
        speed = images_per_s(lambda: lower.upper(net, stored), images, plan.precision)
        below = images_per_s(lambda: lower.outputs(net, images), images, plan.precision, learning=False)
        seconds = epochs / speed + (views * len(setup.train) + len(setup.val)) / below
    return Forecast(plan.epochs, round(speed, 1), round(seconds / 60, 2))


def _trial(setup: Setup, plan: Plan) -> tuple[nn.Module, Tensor]:
    """A copy of the network as the plan trains it, and a batch for it."""
    device, shape = PartialState().device, setup.spec.input
    net = copy.deepcopy(setup.net).to(device)
    freeze(net, plan.trains)
    set_training(net)
    if plan.precision.channels_last:
        net.to(memory_format=torch.channels_last)
    batch = min(plan.batch_size, LARGEST_BATCH)
    pixels = torch.zeros(batch, 3, shape.height, shape.width, dtype=torch.uint8, device=device)
    return net, plan.precision.arrange(setup.preprocess.to(device).normalise(pixels))


def images_per_s(
    forward: Callable[[], Any], images: Tensor, precision: Precision, *, learning: bool = True
) -> float:
    """How many of the images pass in a second through `forward`, and back again where it is `learning`."""
    best, device = 0.0, images.device
    with torch.random.fork_rng(), torch.set_grad_enabled(learning):
        for run in range(WARM_UP + TIMED):
            start = time.perf_counter()
            with precision.context(device):
                answer = forward()
            if learning:
                parts = [answer] if isinstance(answer, Tensor) else answer  # two with an auxiliary head
                torch.stack([part.float().square().mean() for part in parts]).sum().backward()  # type: ignore[no-untyped-call]
            _finish(device)
            if run >= WARM_UP:
                best = max(best, len(images) / (time.perf_counter() - start))
    return best


def within_budget(plan: Plan, forecast: Forecast, minutes: float) -> Plan:
    """The plan with as many epochs as fit into so many minutes, at least one."""
    if forecast.minutes <= minutes or plan.epochs == 1:
        return plan
    epochs = max(math.floor(plan.epochs * minutes / forecast.minutes), 1)
    reason = (
        f"finetune.budget_minutes leaves {max(minutes, 0):.2g} for training: {epochs} of {plan.epochs} "
        f"epochs fit, at {forecast.images_per_s:g} images/s"
    )
    return replace(plan, epochs=epochs, reasons=(*plan.reasons, reason))


def as_evidence(forecasts: Mapping[str, Forecast]) -> dict[str, object]:
    """The forecasts as plan.json holds them."""
    return {name: asdict(value) for name, value in forecasts.items()}


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
