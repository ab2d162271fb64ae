"""How long each strategy would take on this device: two steps timed, the rest by arithmetic."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Any

import torch
from accelerate import PartialState
from pydantic import Field
from torch import Tensor, nn

from finetune.engine.cached_stages import count_views, reasons_not_to_cache
from finetune.experiment.setup import Setup
from finetune.features.lower import find_lower
from finetune.optim.freeze import freeze, set_training
from finetune.records.plan import Plan
from finetune.regularization.distill import load_teacher
from finetune.regularization.gradients import enable_checkpointing
from finetune.regularization.perturbation import adversarial_loss
from finetune.regularization.resizing import mean_area
from finetune.runtime.precision import Precision
from finetune.strategies import find_strategy

WARM_UP, TIMED = 1, 2
LARGEST_BATCH = 32
"""Images of a timed step; more would say nothing else on a processor."""


@dataclass(frozen=True)
class Forecast:
    """`minutes` of training for `epochs`, validation included, in all that a run may hold.

    `images_per_s` is the speed of a step on images of the network's full size; `trainings` tells how many
    times the first training's time a run takes at most: more than once with a bag, or on after stopping.
    """

    epochs: Annotated[int, Field(ge=1)]
    images_per_s: float
    minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    trainings: Annotated[float, Field(ge=1)] = 1.0

    @property
    def epoch_s(self) -> float:
        """Seconds that an epoch of one training takes, more than none."""
        return max(60 * self.minutes / self.trainings / self.epochs, 1e-9)


def forecast_plan(setup: Setup, plan: Plan) -> Forecast:
    """Time two steps of the plan, on a copy of the network, and reckon up the whole of it.

    Where frozen stages are cached, their one pass over each view and the steps above them are timed apart;
    so are the answers of a teacher.
    Raises: GraftError where the spec names a teacher that is none.
    """
    net, images = _trial(setup, plan)
    settings, size = setup.settings, (setup.spec.input.height, setup.spec.input.width)
    speed_of = partial(images_per_s, images=images, precision=plan.precision)
    train = len(setup.train) * mean_area(settings.progressive_resizing, *size)
    epoch = train + len(setup.val) / 3  # a forward pass is a third of a step
    views = count_views(settings.partial.views, plan.epochs, augmented=setup.train.augment is not None)
    cached = not any(reasons_not_to_cache(settings, views))
    lower = find_lower(net, setup.anatomy.stages, images, plan.precision) if cached else None
    if lower is None:
        speed = speed_of(_answering(setup, net, images))
        seconds = plan.epochs * epoch / speed
    else:
        with torch.no_grad(), plan.precision.context(images.device):
            stored = lower.outputs(net, images)
        speed = speed_of(lambda: lower.upper(net, stored))
        below = speed_of(lambda: lower.outputs(net, images), learning=False)
        seconds = plan.epochs * epoch / speed + (views * len(setup.train) + len(setup.val)) / below
    if settings.distill is not None:
        teacher = load_teacher(settings.distill, setup.classes, setup.preprocess, images.device)
        seconds += plan.epochs * train / speed_of(lambda: teacher.predict(images), learning=False)
    trainings = float((settings.ensemble and settings.ensemble.bagging) or 1)
    if settings.after_stopping == "retrain":
        trainings += 1
    elif settings.after_stopping == "continue":  # on training and validation images, validated all the while
        trainings += (train + 4 / 3 * len(setup.val)) / epoch
    return Forecast(plan.epochs, round(speed, 1), round(trainings * seconds / 60, 2), trainings)


def _trial(setup: Setup, plan: Plan) -> tuple[nn.Module, Tensor]:
    """A copy of the network as the plan trains it, and a batch for it."""
    device, shape = PartialState().device, setup.spec.input
    net = copy.deepcopy(setup.net).to(device)
    freeze(net, plan.trains)
    set_training(net)
    if setup.settings.gradient_checkpointing:
        enable_checkpointing(net, setup.anatomy.stages)
    if plan.precision.channels_last:
        net.to(memory_format=torch.channels_last)
    batch = min(plan.batch_size, LARGEST_BATCH)
    pixels = torch.zeros(batch, 3, shape.height, shape.width, dtype=torch.uint8, device=device)
    return net, plan.precision.arrange(setup.preprocess.to(device).normalise(pixels))


def _answering(setup: Setup, net: nn.Module, images: Tensor) -> Callable[[], Any]:
    """What a step computes of the images before its gradient: the answers, or how an attack changes them."""
    adversarial = setup.settings.adversarial
    if adversarial is None or adversarial.fgsm is None:
        return partial(net, images)
    low, high = setup.preprocess.bounds()
    return partial(
        adversarial_loss, net, lambda given: _scalar(net(given)), images, adversarial.fgsm, low=low, high=high
    )


def _scalar(answer: Any) -> Tensor:  # noqa: ANN401  (as the network's own forward)
    """What costs as much as a loss to go back from; networks with an auxiliary head give two parts."""
    parts = [answer] if isinstance(answer, Tensor) else answer
    return torch.stack([part.float().square().mean() for part in parts]).sum()


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
                _scalar(answer).backward()  # type: ignore[no-untyped-call]
            _finish(device)
            if run >= WARM_UP:
                best = max(best, len(images) / (time.perf_counter() - start))
    return best


def within_budget(plan: Plan, forecast: Forecast, minutes: float) -> Plan:
    """The plan with as many epochs as fit into so many minutes; with one where none does."""
    if forecast.minutes <= minutes:
        return plan
    epochs = math.floor(60 * minutes / forecast.trainings / forecast.epoch_s)
    left = f"finetune.budget_minutes leaves {max(minutes, 0):.2g} for training"
    if epochs > 0:
        reason = f"{left}: {epochs} of {plan.epochs} epochs fit, at {forecast.images_per_s:g} images/s"
    else:
        needed = forecast.trainings * forecast.epoch_s / 60
        reason = f"{left}, and {plan.strategy} takes {needed:.2g} at least: the budget is exceeded"
    return replace(plan, epochs=max(epochs, 1), reasons=(*plan.reasons, reason))


def planned_minutes(plan: Plan) -> float | None:
    """How long a plan is predicted to take, with the epochs that it has now; None where nothing was."""
    forecasts: Any = plan.evidence.get("forecast", {})
    forecast = forecasts.get(plan.strategy)
    if forecast is None:
        return None
    part = 1 if find_strategy(plan.strategy).probe else plan.epochs / forecast["epochs"]
    return float(forecast["minutes"] * part)


def as_evidence(forecasts: Mapping[str, Forecast]) -> dict[str, object]:
    """The forecasts as plan.json holds them."""
    return {name: asdict(value) for name, value in forecasts.items()}


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
