"""The check of the learning rate, and the error of a run whose loss diverged."""

from __future__ import annotations

import torch

import zoo
from finetune.checks.check import Result, check, judge, skip
from finetune.checks.rate_finder import RateCurve, endless_batches, find_rate
from finetune.checks.subject import Subject, position
from finetune.engine.callbacks import Divergence
from finetune.experiment.setup import Setup
from finetune.records.plan import Plan
from finetune.runtime.seeds import keep_random_state
from zoo.errors import GraftError

STEPS, WARM_UP = 24, 8
"""Steps of the trial, on one batch; over the first of them the rate rises, as in a run."""
MIN_FALL = 0.01
SOLVED = 0.05
"""A loss below this share of ln C does not have to fall."""
MAX_BATCH = 32


@check()
def learning_rate(subject: Subject) -> Result:
    """a few steps at the plan's rate lower the loss and do not let it diverge"""
    rate, chance = subject.plan.learning_rate, subject.chance_loss
    if not rate:
        return skip(f"{subject.plan.strategy} fits a head and takes no steps")
    step, guard = subject.trial(learning_rate=rate), Divergence(chance)
    images, targets = subject.images()
    losses: list[float] = []
    diverged: str | None = None
    for turn in range(STEPS):
        losses.append(float(step(images, targets, position(turn), min((turn + 1) / WARM_UP, 1.0))[0]))
        diverged = guard.observe(losses[-1])
        if diverged is not None:
            break
    fall = 1 - min(losses) / losses[0] if losses[0] else 0.0
    flat = diverged is None and fall < MIN_FALL and losses[0] > SOLVED * chance
    passed = diverged is None and not flat
    found = diverged.partition(";")[0] if diverged is not None else f"the loss falls by {fall:.1%}"
    return judge(
        passed,
        found=f"at {rate:g}, in {len(losses)} steps, {found}",
        expected=f"a fall by {MIN_FALL:.0%} or more, and never three times the start",
        advice="" if passed else advise(propose_rate(subject), rate, low=flat),
        numbers={"learning_rate": rate, "start": losses[0], "lowest": min(losses), "last": losses[-1]},
    )


def rate_curve(subject: Subject, *, budget_s: float) -> RateCurve:
    """Run the learning rate test on a copy of the network."""
    step = subject.trial(learning_rate=1.0)
    size = min(subject.plan.batch_size, MAX_BATCH)
    batches = endless_batches(subject.setup.train, size, seed=subject.setup.settings.seed)
    return find_rate(step, batches, subject.chance_loss, budget_s=budget_s)


def propose_rate(subject: Subject, *, budget_s: float = 30.0) -> float | None:
    """Return a learning rate measured for this network, data and optimiser; None if none lowers the loss."""
    return rate_curve(subject, budget_s=budget_s).proposed


def advise(proposed: float | None, current: float, *, low: bool) -> str:
    """Return the advice for a learning rate that is too low (`low`) or too high."""
    if proposed is not None and (proposed > current if low else proposed < current):
        return f"finetune.learning_rate={proposed:g}, which the learning rate test on this network proposes"
    return f"finetune.learning_rate={current * 10 if low else current / 10:g}"


def divergence_error(setup: Setup, plan: Plan, device: torch.device, where: str, reason: str) -> GraftError:
    """Return the error that ends a run, with a learning rate that was tried on its first weights.

    In: `where` names the epoch and step, `reason` says what the loss did. The setup's network, which is not
    needed any more, is reset to its first weights.
    """
    start = setup.settings.weights
    net, _ = zoo.load(setup.spec, weights=None if start == "none" else start, seed=setup.settings.seed)
    setup.net.load_state_dict(net.state_dict())  # needs less memory than a second network
    with keep_random_state(device):
        proposed = propose_rate(Subject(setup, plan, device))
    rate = plan.learning_rate
    return GraftError(
        f"training diverged in {where}: {reason}\n"
        f"  the learning rate was {rate:g}; try {advise(proposed, rate, low=False)}"
    )
