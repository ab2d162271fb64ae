"""Putting a training loop together from the spec."""

from __future__ import annotations

from accelerate import Accelerator
from rich.console import Console

from finetune.assemble import build_step
from finetune.features.caching import build_feed
from finetune.folder import RunFolder
from finetune.monitor.measure import Monitor
from finetune.plan import Plan
from finetune.recipe.plateau import build_plateau
from finetune.setup import Setup
from finetune.standing import Standing
from finetune.train import Loop


def build_loop(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Loop:
    """All parts of the loop on their device, before the first step."""
    standing = Standing(plateau=build_plateau(setup.settings.schedule))
    accelerator = Accelerator()  # mixed precision is the plan's: accelerate would fix it for the process
    feed = build_feed(setup, plan, build_step(setup, plan, accelerator))
    step = feed.step
    if feed.said:
        console.print(feed.said)
    averages = [step.ema] if step.ema is not None else []
    accelerator.register_for_checkpointing(standing, step.gauge, *averages)
    wanted = setup.settings.monitor
    monitor = Monitor(setup, step, wanted) if wanted is not None else None
    return Loop(
        setup=setup,
        plan=plan,
        folder=folder,
        console=console,
        accelerator=accelerator,
        net=step.net,
        step=step,
        standing=standing,
        train=feed.train,
        val=feed.val,
        monitor=monitor,
    )
