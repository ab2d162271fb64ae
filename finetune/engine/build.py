"""Building a trainer from the spec: the step with its parts, the data, and the state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from accelerate import Accelerator
from rich.console import Console
from torch import nn
from torch.optim import Optimizer

from finetune.config import FinetuneSettings
from finetune.config.optim import EMA
from finetune.data.dataset import count_batches
from finetune.engine.cached_stages import cache_frozen_stages
from finetune.engine.state import TrainState
from finetune.engine.step import Step
from finetune.engine.trainer import Trainer
from finetune.experiment.setup import Setup
from finetune.optim.freeze import freeze, use_stored_statistics
from finetune.optim.groups import param_groups
from finetune.optim.optimizers import build_optimizer
from finetune.optim.schedules import Schedule, build_plateau
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.regularization.distill import find_teacher
from finetune.regularization.gradients import enable_checkpointing
from finetune.regularization.mixup import Mix
from finetune.regularization.penalties import build_penalty, starting_point
from finetune.regularization.resizing import build_resizing
from finetune.runtime.console import details
from zoo.errors import GraftError

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3


def build_trainer(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Trainer:
    """Return a trainer before its first step, without callbacks.

    Raises: GraftError when the spec asks for what this run does not have, such as pretrained weights.
    """
    accelerator = Accelerator()  # mixed precision is the plan's: accelerate would fix it for the process
    data = cache_frozen_stages(setup, plan, build_step(setup, plan, accelerator))
    if data.message:
        details(console).print(data.message)
    state = TrainState(
        batches_per_epoch=count_batches(len(data.train), plan.batch_size),
        plateau=build_plateau(setup.settings.schedule),
    )
    return Trainer(
        setup=setup,
        plan=plan,
        folder=folder,
        console=console,
        accelerator=accelerator,
        step=data.step,
        state=state,
        train=data.train,
        val=data.val,
    )


def build_step(setup: Setup, plan: Plan, accelerator: Accelerator) -> Step:
    """Return the training step, on its device. Of `setup.net`, only what the plan trains stays trainable.

    Raises: GraftError when the spec asks for what this run does not have, such as pretrained weights.
    """
    settings, spec = setup.settings, setup.spec
    schedule = build_schedule(settings, len(setup.train), plan)
    resizing = build_resizing(settings.progressive_resizing, schedule.steps, setup.net, spec.input, spec.name)
    prepare_net(setup.net, setup, plan)
    net, optimizer = accelerator.prepare(setup.net, _build_optimizer(setup, plan))
    start = None
    if settings.l2_sp is not None:
        if setup.origin is None:
            raise GraftError(
                f"finetune.l2_sp ties weights to pretrained ones, and there are none: {setup.no_weights}"
            )
        start = starting_point(setup.net, new=setup.anatomy.head)
    mixes = settings.mixup or settings.cutmix
    return Step(
        accelerator=accelerator,
        net=net,
        optimizer=optimizer,
        schedule=schedule,
        loss=setup.task.training_loss(settings, setup.train, len(setup.classes)),
        preprocess=setup.preprocess.to(accelerator.device),
        precision=plan.precision,
        settings=settings,
        head=setup.anatomy.head,
        mix=Mix(len(setup.classes), settings.mixup, settings.cutmix) if mixes else None,
        penalty=build_penalty(setup.net, settings, start),
        ema=build_ema(setup.net, settings.ema) if settings.ema is not None else None,
        teacher=find_teacher(setup, accelerator.device),
        resizing=resizing,
    )


def build_schedule(settings: FinetuneSettings, images: int, plan: Plan) -> Schedule:
    """Return the schedule of learning rates over all updates of the plan."""
    updates = math.ceil(count_batches(images, plan.batch_size) / settings.accumulate)
    steps = updates * plan.epochs
    return Schedule(settings.schedule, steps, updates, settings.warm_up_steps(steps, updates))


def _build_optimizer(setup: Setup, plan: Plan) -> Optimizer:
    settings, net = setup.settings, setup.net
    groups = param_groups(
        net,
        learning_rate=plan.learning_rate,
        weight_decay=settings.weight_decay,
        rates=settings.stage_rates,
        layer_decay=settings.layer_decay,
        stages=setup.anatomy.stages,
    )
    return build_optimizer(settings.optimizer, groups)


def build_ema(net: nn.Module, settings: EMA) -> ModelEmaV3:
    """Return a moving average of the network's weights; `.module` is the averaged network.

    After optimiser step n (from 1) call `.update(net, step=n)`. The first call copies the weights, later ones
    move the average by 1 - decay; with `warm_up` the decay is at most 1 - n^-0.75.
    """
    from timm.utils import ModelEmaV3

    # A power for runs of thousands of steps: the decay is 0.99 after 500 steps and 0.999 after 10,000.
    return ModelEmaV3(net, settings.decay, use_warmup=settings.warm_up, warmup_power=0.75, foreach=True)


def prepare_net(net: nn.Module, setup: Setup, plan: Plan) -> None:
    """Freeze what the plan does not train, and arrange the weights in memory."""
    freeze(net, plan.trains)
    use_stored_statistics(net, plan.batch_norm == "stored")
    if setup.settings.gradient_checkpointing:
        enable_checkpointing(net, setup.anatomy.stages)
    plan.precision.arrange_weights(net)
