"""How long each strategy would take on this device: two steps timed, the rest by arithmetic."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass, replace

import torch
from accelerate import PartialState
from torch import Tensor

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
    """Time two steps of the plan, on a copy of the network, and reckon up the whole of it."""
    speed = training_speed(setup, plan.trains, plan.precision, min(plan.batch_size, LARGEST_BATCH))
    images = plan.epochs * (len(setup.train) + len(setup.val) / 3)  # a forward pass is a third of a step
    return Forecast(plan.epochs, round(speed, 1), round(images / speed / 60, 2))


def training_speed(setup: Setup, trains: tuple[str, ...], precision: Precision, batch: int) -> float:
    """Images a second of forward and backward pass while the modules of `trains` learn."""
    device = PartialState().device
    net = copy.deepcopy(setup.net).to(device)
    freeze(net, trains)
    set_training(net)
    if precision.channels_last:
        net.to(memory_format=torch.channels_last)
    shape = setup.spec.input
    pixels = torch.zeros(batch, 3, shape.height, shape.width, dtype=torch.uint8, device=device)
    images = precision.arrange(setup.preprocess.to(device).normalise(pixels))
    best = 0.0
    with torch.random.fork_rng():
        for run in range(WARM_UP + TIMED):
            start = time.perf_counter()
            with precision.context(device):
                answer = net(images)
            parts = [answer] if isinstance(answer, Tensor) else answer  # one with an auxiliary head gives two
            torch.stack([part.float().square().mean() for part in parts]).sum().backward()  # type: ignore[no-untyped-call]
            _finish(device)
            if run >= WARM_UP:
                best = max(best, batch / (time.perf_counter() - start))
    return best


def within_budget(plan: Plan, forecast: Forecast, minutes: float | None) -> Plan:
    """The plan with as many epochs as fit into so many minutes, at least one."""
    if minutes is None or forecast.minutes <= minutes:
        return plan
    epochs = max(math.floor(plan.epochs * minutes / forecast.minutes), 1)
    reason = (
        f"finetune.budget_minutes {minutes:g}: {epochs} of {plan.epochs} epochs fit, "
        f"at {forecast.images_per_s:g} images/s"
    )
    return replace(plan, epochs=epochs, reasons=(*plan.reasons, reason))


def as_evidence(forecasts: dict[str, Forecast]) -> dict[str, object]:
    """The forecasts as plan.json holds them."""
    return {"forecast": {name: asdict(value) for name, value in forecasts.items()}}


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
