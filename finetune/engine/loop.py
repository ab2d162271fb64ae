"""Putting a training loop together from the spec."""

from __future__ import annotations

from accelerate import Accelerator
from rich.console import Console

from finetune.engine.build import build_step
from finetune.engine.cached_stages import build_feed
from finetune.engine.state import Standing
from finetune.engine.trainer import Loop
from finetune.experiment.setup import Setup
from finetune.monitor.measure import Monitor
from finetune.optim.plateau import build_plateau
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder


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
