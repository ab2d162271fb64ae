"""How long a plan would take on this device: a few steps are timed, the rest is computed."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn

from finetune.engine.build import prepare_net
from finetune.engine.cached_stages import count_views, reasons_not_to_cache
from finetune.experiment.setup import Setup
from finetune.features.frozen_stages import find_frozen_stages
from finetune.optim.freeze import set_training
from finetune.records.evidence import Forecast
from finetune.records.plan import Plan
from finetune.regularization.distill import load_teacher
from finetune.regularization.perturbation import adversarial_loss
from finetune.regularization.resizing import mean_area
from finetune.runtime.console import report_progress
from finetune.runtime.precision import Precision

WARM_UP, TIMED = 1, 2
LONG_S = 2.0
"""A step that takes this long is timed once."""
MAX_BATCH = 32
"""Images of a timed step; larger batches give the same speed on a processor."""


def forecast_plan(setup: Setup, plan: Plan) -> Forecast:
    """Time steps of the plan on a copy of the network and compute how long the whole run takes.

    Where the outputs of frozen stages are cached, their pass over each view and the steps above them are
    timed separately; so is a teacher's forward pass.
    Raises: GraftError where the spec's teacher is not a finished run.
    """
    report_progress(f"timing a few steps of {plan.strategy}")
    net, images = _copy_net(setup, plan)
    settings, size = setup.settings, (setup.spec.input.height, setup.spec.input.width)
    speed_of = partial(images_per_s, images=images, precision=plan.precision)
    train = len(setup.train) * mean_area(settings.progressive_resizing, *size)
    epoch = train + len(setup.val) / 3  # a forward pass is a third of a step
    views = count_views(settings.partial.views, plan.epochs, augmented=setup.train.augment is not None)
    cached = not any(reasons_not_to_cache(settings, views))
    frozen = find_frozen_stages(net, setup.anatomy.stages, images, plan.precision) if cached else None
    if frozen is None:
        speed = speed_of(_forward(setup, net, images))
        seconds = plan.epochs * epoch / speed
    else:
        with torch.no_grad(), plan.precision.context(images.device):
            stored = frozen.outputs(net, images)
        speed = speed_of(lambda: frozen.run_above(net, stored))
        below = speed_of(lambda: frozen.outputs(net, images), learning=False)
        seconds = plan.epochs * epoch / speed + (views * len(setup.train) + len(setup.val)) / below
    if settings.distill is not None:
        teacher = load_teacher(settings.distill, setup.classes, setup.preprocess, images.device)
        passes = len(setup.train) if settings.distill.cached else plan.epochs * train
        seconds += passes / speed_of(lambda: teacher.predict(images, ()), learning=False)
    trainings = float((settings.ensemble and settings.ensemble.bagging) or 1)
    if settings.after_stopping == "retrain":
        trainings += 1
    elif settings.after_stopping == "continue":  # on training and validation images, with validation
        trainings += (train + 4 / 3 * len(setup.val)) / epoch
    return Forecast(plan.epochs, round(speed, 1), round(trainings * seconds / 60, 4), trainings)


def _copy_net(setup: Setup, plan: Plan) -> tuple[nn.Module, Tensor]:
    """Return a copy of the network as the plan trains it, and a batch for it."""
    device, shape = PartialState().device, setup.spec.input
    net = copy.deepcopy(setup.net).to(device)
    prepare_net(net, setup, plan)
    set_training(net)
    batch = min(plan.batch_size, MAX_BATCH)
    pixels = torch.zeros(batch, 3, shape.height, shape.width, dtype=torch.uint8, device=device)
    return net, plan.precision.arrange(setup.preprocess.to(device).normalise(pixels))


def _forward(setup: Setup, net: nn.Module, images: Tensor) -> Callable[[], Any]:
    """Return the forward part of a training step: the network, or an adversarial attack on the images."""
    adversarial = setup.settings.adversarial
    if adversarial is None or adversarial.fgsm is None:
        return partial(net, images)
    low, high = setup.preprocess.bounds()
    return partial(
        adversarial_loss,
        net,
        lambda inputs: _scalar(net(inputs)),
        images,
        adversarial.fgsm,
        low=low,
        high=high,
    )


def _scalar(output: Any) -> Tensor:  # noqa: ANN401  (as the network's own forward)
    """Return a scalar to differentiate; networks with an auxiliary head give two parts."""
    parts = [output] if isinstance(output, Tensor) else output
    return torch.stack([part.float().square().mean() for part in parts]).sum()


def images_per_s(
    forward: Callable[[], Any], images: Tensor, precision: Precision, *, learning: bool = True
) -> float:
    """Return how many images per second pass through `forward`, and backward where it is `learning`."""
    best, device = 0.0, images.device
    with torch.random.fork_rng(), torch.set_grad_enabled(learning):
        for run in range(WARM_UP + TIMED):
            start = time.perf_counter()
            with precision.context(device):
                output = forward()
            if learning:
                _scalar(output).backward()  # type: ignore[no-untyped-call]
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = time.perf_counter() - start
            if run >= WARM_UP:
                best = max(best, len(images) / seconds)
                if seconds > LONG_S:
                    break
    return best


def cut_to_budget(plan: Plan, forecast: Forecast, minutes: float) -> Plan:
    """Return the plan with as many epochs as fit into so many minutes, at least one."""
    if forecast.minutes <= minutes:
        return plan
    epochs = math.floor(60 * minutes / forecast.trainings / forecast.epoch_s)
    left = f"finetune.budget_minutes leaves {max(minutes, 0):.2g} minutes for training"
    if epochs > 0:
        reason = f"{left}: {epochs} of {plan.epochs} epochs fit, at {forecast.images_per_s:g} images/s"
    else:
        needed = forecast.trainings * forecast.epoch_s / 60
        reason = f"{left}, and {plan.strategy} takes at least {needed:.2g}: the budget is exceeded"
    return replace(plan, epochs=max(epochs, 1), reasons=(*plan.reasons, reason))
