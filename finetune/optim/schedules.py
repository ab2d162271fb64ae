"""Learning rate schedules by name; the keyword arguments of a function are its keys in a spec.

A schedule is a pure function of the step and of its span. It returns the factor by which every group's
initial learning rate is multiplied. Warm-up precedes all but `one_cycle`, which has its own.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from finetune.optim.ranges import Count, Decay, Factor, NonNegative, Pair, Positive, Share
from zoo.registry import Call, Registry

SCHEDULES = Registry("schedule")

Milestones = Annotated[list[Share], Field(min_length=1)]


@dataclass(frozen=True)
class Span:
    """What a schedule extends over, in optimiser steps."""

    steps: int
    steps_per_epoch: int

    def share(self, step: float) -> float:
        """Return the share of the span before `step`, from 0 to 1."""
        return min(max(step / max(self.steps, 1), 0.0), 1.0)

    def epochs(self, step: float) -> float:
        """Return `step` in epochs, as a fraction."""
        return step / self.steps_per_epoch


@SCHEDULES.register
def constant(step: int, span: Span) -> float:
    """The same rate throughout."""
    return 1.0


@SCHEDULES.register
def linear(step: int, span: Span, *, final: Share = 0.01, until: Factor = 1.0) -> float:
    """Decrease linearly to `final` at the share `until` of the run, then constant.

    Source: Goodfellow et al. 2016, Deep Learning, equation 8.14.
    """
    done = min(span.share(step) / until, 1.0)
    return (1 - done) + done * final


@SCHEDULES.register
def step(step: int, span: Span, *, milestones: Milestones = [0.5, 0.75], factor: Factor = 0.1) -> float:  # noqa: B006
    """Multiply by `factor` at each milestone; milestones are shares of the run."""
    return factor ** sum(span.share(step) >= milestone for milestone in milestones)


@SCHEDULES.register
def halve(step: int, span: Span, *, every: Positive = 5.0) -> float:
    """Halve after every `every` epochs."""
    return 0.5 ** math.floor(span.epochs(step) / every)


@SCHEDULES.register
def exponential(step: int, span: Span, *, rate: NonNegative = 0.1) -> float:
    """Decrease as exp(-rate · epochs)."""
    return math.exp(-rate * span.epochs(step))


@SCHEDULES.register
def inverse_time(step: int, span: Span, *, rate: NonNegative = 0.1) -> float:
    """Decrease as 1 / (1 + rate · epochs), the 1/t decay."""
    return 1 / (1 + rate * span.epochs(step))


@SCHEDULES.register
def cosine(step: int, span: Span, *, final: Share = 0.0) -> float:
    """Decrease along half a cosine from 1 to `final`. Source: Loshchilov & Hutter 2016, arXiv:1608.03983."""
    return _descend(span.share(step), final)


@SCHEDULES.register
def cosine_restarts(
    step: int, span: Span, *, cycles: Count = 3, growth: Positive = 1.0, final: Share = 0.0
) -> float:
    """Repeat `cosine` for a number of cycles, each `growth` times as long as the one before.

    Source: Loshchilov & Hutter 2016, arXiv:1608.03983 (SGDR).
    """
    ends = cycle_ends(span.steps, cycles=cycles, growth=growth)
    starts = (0, *ends[:-1])
    cycle = min(sum(step >= end for end in ends), cycles - 1)
    length = max(ends[cycle] - starts[cycle], 1)
    return _descend(min((step - starts[cycle]) / length, 1.0), final)


@SCHEDULES.register
def one_cycle(
    step: int,
    span: Span,
    *,
    warm_up: Decay = 0.3,
    initial: Share = 0.04,
    final: Share = 0.001,
    momentum: Pair | None = None,
) -> float:
    """Increase from `initial` to 1 in the share `warm_up` of the run, then decrease to `final`.

    `momentum: [0.85, 0.95]` moves the optimiser's momentum between these two, in the opposite direction.
    Source: Smith & Topin 2017, arXiv:1708.07120.
    """
    risen, fallen = _one_cycle_phases(span.share(step), warm_up)
    return initial + (1 - initial) * (1 - _descend(risen, 0.0)) if risen < 1 else _descend(fallen, final)


@SCHEDULES.register
def plateau(
    step: int, span: Span, *, factor: Factor = 0.1, patience: Count = 3, min_delta: NonNegative = 0.0
) -> float:
    """Multiply by `factor` after `patience` epochs without a better validation score."""
    return 1.0


def cycle_ends(steps: int, *, cycles: int, growth: float = 1.0) -> tuple[int, ...]:
    """Return the steps at which the cycles of cosine_restarts end; the last one is `steps`."""
    lengths = [growth**cycle for cycle in range(cycles)]
    total = math.fsum(lengths)
    return tuple(round(steps * math.fsum(lengths[: cycle + 1]) / total) for cycle in range(cycles))


@dataclass(frozen=True)
class Schedule:
    """A schedule over a run of `steps` optimiser steps, the first `warm_up` of which are the warm-up."""

    call: Call
    steps: int
    steps_per_epoch: int
    warm_up: int = 0

    @property
    def span(self) -> Span:
        """The steps after the warm-up."""
        return Span(self.steps - self.warm_up, self.steps_per_epoch)

    def rate(self, step: int) -> float:
        """Return the factor for a step, counted from 0; in the warm-up, (step + 1) / (warm_up + 1)."""
        if step < self.warm_up:
            return (step + 1) / (self.warm_up + 1)
        factor: float = SCHEDULES[self.call.op].function(step - self.warm_up, self.span, **self.call.args)
        return factor

    def momentum(self, step: int) -> float | None:
        """Return the momentum for a step; None where the schedule does not change it."""
        if self.call.op != "one_cycle" or self.call.args["momentum"] is None:
            return None
        low, high = self.call.args["momentum"]
        risen, fallen = _one_cycle_phases(self.span.share(step), self.call.args["warm_up"])
        height: float = _descend(risen, 0.0) if risen < 1 else 1 - _descend(fallen, 0.0)
        return float(low + (high - low) * height)

    def cycle_ends(self) -> tuple[int, ...]:
        """Return the numbers of steps after which cosine cycles end and snapshots are taken."""
        if self.call.op != "cosine_restarts":
            return (self.steps,)
        args = self.call.args
        ends = cycle_ends(self.span.steps, cycles=args["cycles"], growth=args["growth"])
        return tuple(self.warm_up + end for end in ends)


def _descend(share: float, final: float) -> float:
    """Return half a cosine: 1 at share 0, `final` at share 1."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share))


def _one_cycle_phases(share: float, warm_up: float) -> tuple[float, float]:
    """Return how much of the increase and of the decrease is done, each from 0 to 1."""
    risen = 1.0 if share >= warm_up else share / warm_up
    fallen = 0.0 if share <= warm_up else (share - warm_up) / (1 - warm_up)
    return risen, fallen


@dataclass(frozen=True)
class Plateau:
    """The state of the `plateau` schedule; `multiplier` is its present factor.

    Scores are better when higher by more than `min_delta`.
    """

    patience: int
    min_delta: float = 0.0
    factor: float = 0.1
    best: float = -math.inf
    waited: int = 0
    multiplier: float = 1.0

    def observe(self, score: float) -> Plateau:
        """Return the state after one more epoch; NaN is no improvement."""
        if score > self.best + self.min_delta:
            return dataclasses.replace(self, best=score, waited=0)
        if self.waited + 1 < self.patience:
            return dataclasses.replace(self, waited=self.waited + 1)
        return dataclasses.replace(self, waited=0, multiplier=self.multiplier * self.factor)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> Plateau:
        """Return the state of a checkpoint, with the settings of this one."""
        return dataclasses.replace(self, **{name: state[name] for name in ("best", "waited", "multiplier")})


def build_plateau(schedule: Call) -> Plateau | None:
    """Return the initial state of a `plateau` schedule; None for every other schedule."""
    return Plateau(**schedule.args) if schedule.op == "plateau" else None
