"""Putting one step of training together from the spec: which part is on, and on which device."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator

from finetune.config import FinetuneSettings
from finetune.data.dataset import count_batches
from finetune.engine.step import Step
from finetune.experiment.setup import Setup
from finetune.optim.freeze import freeze
from finetune.optim.groups import param_groups
from finetune.optim.optimizers import build_optimizer
from finetune.optim.schedules import Schedule
from finetune.records.plan import Plan
from finetune.regularization.distill import load_teacher
from finetune.regularization.ema import build_ema
from finetune.regularization.mixup import Mix
from finetune.regularization.penalties import build_penalty, starting_point
from finetune.regularization.recompute import enable_checkpointing
from finetune.regularization.resizing import build_resizing
from zoo.errors import GraftError


def build_step(setup: Setup, plan: Plan, accelerator: Accelerator) -> Step:
    """All that a batch passes through, on its device; `setup.net` learns what the plan says, and no more.

    Raises: GraftError when the spec asks for what this run has not, such as pretrained weights.
    """
    settings = setup.settings
    schedule = build_schedule(settings, len(setup.train), plan)
    spec, resized = setup.spec, settings.progressive_resizing
    resizing = build_resizing(resized, schedule.steps, setup.net, spec.input, spec.name)
    freeze(setup.net, plan.trains)
    if settings.gradient_checkpointing:
        enable_checkpointing(setup.net, setup.anatomy.stages)
    if plan.precision.channels_last:
        setup.net.to(memory_format=torch.channels_last)
    groups = param_groups(
        setup.net,
        learning_rate=plan.learning_rate,
        weight_decay=settings.weight_decay,
        rates=settings.stage_rates,
        layer_decay=settings.layer_decay,
        stages=setup.anatomy.stages,
    )
    net, optimizer = accelerator.prepare(setup.net, build_optimizer(settings.optimizer, groups))
    if settings.l2_sp is not None and setup.origin is None:
        raise GraftError(
            f"finetune.l2_sp ties weights to pretrained ones, and there are none: {setup.no_weights}"
        )
    start = starting_point(setup.net, new=[setup.anatomy.head]) if settings.l2_sp is not None else None
    teacher = None
    if settings.distill is not None:
        teacher = load_teacher(settings.distill, setup.classes, setup.preprocess, accelerator.device)
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
        teacher=teacher,
        resizing=resizing,
    )


def build_schedule(settings: FinetuneSettings, images: int, plan: Plan) -> Schedule:
    """The learning rate over all updates of the plan."""
    updates = math.ceil(count_batches(images, plan.batch_size) / settings.accumulate)
    steps = updates * plan.epochs
    return Schedule(settings.schedule, steps, updates, settings.warm_up_steps(steps, updates))
