"""Putting a training loop together from the spec: which part is on, and on which device."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator
from rich.console import Console

from finetune.distill import load_teacher
from finetune.ema import build_ema
from finetune.folder import RunFolder
from finetune.freeze import freeze
from finetune.groups import param_groups
from finetune.mix import Mix
from finetune.optim import build_optimizer
from finetune.plan import Plan
from finetune.plateau import build_plateau
from finetune.recompute import enable_checkpointing
from finetune.regularise import build_penalty, starting_point
from finetune.schedules import Schedule
from finetune.settings import FinetuneSettings
from finetune.setup import Setup
from finetune.standing import Standing
from finetune.step import Step
from finetune.train import Loop
from zoo.errors import GraftError


def build_loop(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Loop:
    """All parts of the loop on their device, before the first step."""
    settings, standing = setup.settings, Standing(plateau=build_plateau(setup.settings.schedule))
    accelerator = (
        Accelerator()
    )  # mixed precision is the plan's: accelerate would fix it for the whole process
    freeze(setup.net, plan.trains)
    if settings.gradient_checkpointing:
        enable_checkpointing(setup.net, setup.anatomy.stages)
    if plan.precision.channels_last:
        setup.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = param_groups(
        setup.net,
        learning_rate=plan.learning_rate,
        weight_decay=settings.weight_decay,
        rates=settings.stage_rates,
        layer_decay=settings.layer_decay,
        stages=setup.anatomy.stages,
    )
    net, optimizer = accelerator.prepare(setup.net, build_optimizer(settings.optimizer, groups))
    ema = build_ema(setup.net, settings.ema) if settings.ema is not None else None
    accelerator.register_for_checkpointing(standing, *([ema] if ema is not None else []))
    if settings.l2_sp is not None and setup.origin is None:
        raise GraftError(
            f"finetune.l2_sp ties weights to pretrained ones, and there are none: {setup.no_weights}"
        )
    start = starting_point(setup.net, new=[setup.anatomy.head]) if settings.l2_sp is not None else None
    teacher = None
    if settings.distill is not None:
        teacher = load_teacher(settings.distill, setup.classes, setup.preprocess, accelerator.device)
    step = Step(
        accelerator=accelerator,
        net=net,
        optimizer=optimizer,
        schedule=build_schedule(settings, len(setup.train), plan),
        loss=setup.task.loss(settings.label_smoothing),
        preprocess=setup.preprocess.to(accelerator.device),
        precision=plan.precision,
        settings=settings,
        head=setup.anatomy.head,
        mix=Mix(len(setup.classes), settings.mixup, settings.cutmix)
        if settings.mixup or settings.cutmix
        else None,
        penalty=build_penalty(setup.net, settings, start),
        ema=ema,
        teacher=teacher,
    )
    return Loop(setup, plan, folder, console, accelerator, net, step, standing)


def build_schedule(settings: FinetuneSettings, images: int, plan: Plan) -> Schedule:
    """The learning rate over all updates of the plan."""
    updates = math.ceil(math.ceil(images / plan.batch_size) / settings.accumulate)
    steps = updates * plan.epochs
    return Schedule(settings.schedule, steps, updates, settings.warm_up_steps(steps, updates))
