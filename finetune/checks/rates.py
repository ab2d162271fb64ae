"""The learning rate: neither so low that nothing moves, nor so high that the loss runs away."""

from __future__ import annotations

from finetune.checks.rate_finder import RateCurve, endless_batches, find_rate
from finetune.checks.registry import check
from finetune.checks.result import Result, judge, skip
from finetune.checks.subject import Subject, position
from finetune.runtime.divergence import Divergence
from finetune.tasks.base import chance_loss

STEPS, CLIMB = 24, 8
"""Steps of the trial, on one batch; over the first of them the rate climbs, as it does in a run."""
LEAST_FALL = 0.01
SOLVED = 0.05
"""A loss below this share of ln C needs not fall."""
LARGEST_BATCH = 32


@check()
def learning_rate(subject: Subject) -> Result:
    """a few steps at the plan's rate make the loss fall, and do not blow it up"""
    rate, chance = subject.plan.learning_rate, chance_loss(subject.classes)
    if not rate:
        return skip("learning_rate", f"{subject.plan.strategy} fits a head and takes no steps")
    step, guard = subject.trial(learning_rate=rate), Divergence(chance)
    images, targets = subject.images()
    losses: list[float] = []
    broken: str | None = None
    for turn in range(STEPS):
        losses.append(float(step(images, targets, position(turn), min((turn + 1) / CLIMB, 1.0))[0]))
        broken = guard.observe(losses[-1])
        if broken is not None:
            break
    fall = 1 - min(losses) / losses[0] if losses[0] else 0.0
    flat = broken is None and fall < LEAST_FALL and losses[0] > SOLVED * chance
    found = broken.partition(";")[0] if broken is not None else f"the loss falls by {fall:.1%}"
    return judge(
        "learning_rate",
        broken is None and not flat,
        found=f"at {rate:g}, in {len(losses)} steps, {found}",
        expected=f"a fall by {LEAST_FALL:.0%} or more, and never three times the start",
        way_out="" if broken is None and not flat else advise(propose_rate(subject), rate, low=flat),
        numbers={"learning_rate": rate, "start": losses[0], "lowest": min(losses), "last": losses[-1]},
    )


def rate_curve(subject: Subject, *, budget_s: float) -> RateCurve:
    """The learning rate test on a copy of the network; its budget is in seconds."""
    step = subject.trial(learning_rate=1.0)
    size = min(subject.plan.batch_size, LARGEST_BATCH)
    batches = endless_batches(subject.setup.train, size, seed=subject.setup.settings.seed)
    return find_rate(step, batches, chance_loss(subject.classes), budget_s=budget_s)


def propose_rate(subject: Subject, *, budget_s: float = 30.0) -> float | None:
    """A learning rate for this network, data and optimiser, measured; None where none was found."""
    return rate_curve(subject, budget_s=budget_s).proposed


def advise(proposed: float | None, now: float, *, low: bool) -> str:
    """The way out of a rate that is too low, or too high."""
    fits = proposed is not None and (proposed > now if low else proposed < now)
    if fits:
        return f"finetune.learning_rate={proposed:g}, which a test of rates on this network proposes"
    return f"finetune.learning_rate={now * 10 if low else now / 10:g}"
