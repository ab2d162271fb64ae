"""The learning rate test: the rate grows from step to step until the loss diverges."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from finetune.data.dataset import ImageDataset, batch_indices
from finetune.data.subset import read_rows
from finetune.engine.callbacks import Divergence
from finetune.engine.step import BatchPosition

LOWEST, HIGHEST = 1e-5, 10.0
STEPS = 61
MEMORY = 0.8
"""Weight of the past in the running mean of the loss."""
MARGIN = 10.0
"""The proposed rate is this many times lower than the rate with the lowest loss."""
START_STEPS = 5
"""Steps whose mean loss counts as the start: their rates are too low to change it."""
MIN_FALL = 0.05
"""The share by which the loss must fall for a rate to be proposed."""

Learn = Callable[[Tensor, Tensor, BatchPosition, float], tuple[Tensor, bool]]


@dataclass(frozen=True)
class RateCurve:
    """The loss at each learning rate, in the order of steps; `smooth` is its running mean.

    `proposed` is None if no rate lowered the loss. `ended` says why the test stopped.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]
    proposed: float | None
    ended: str


def find_rate(
    learn: Learn, batches: Iterator[tuple[Tensor, Tensor]], chance: float, *, budget_s: float = math.inf
) -> RateCurve:
    """Train with a rate that grows by the same factor each step, until the loss is three times its start.

    In: `learn` takes a batch, its position and the rate (a `Step` whose own rate is 1); `chance` is the loss
    of an even guess. Source: Smith 2015, Cyclical learning rates, arXiv:1506.01186, section 3.3.
    """
    rates, losses, guard = [], [], Divergence(chance)
    deadline, ended = time.monotonic() + budget_s, "the highest rate was reached"
    for step, rate in enumerate(np.geomspace(LOWEST, HIGHEST, STEPS).tolist()):
        images, targets = next(batches)
        loss = float(learn(images, targets, BatchPosition(0, step, step, last=True), rate)[0])
        if guard.observe(loss) is not None:
            ended = "the loss diverged"
            break
        rates.append(rate)
        losses.append(loss)
        if time.monotonic() > deadline:
            ended = "time was up"
            break
    smooth = smoothed(losses)
    return RateCurve(tuple(rates), tuple(losses), smooth, propose(rates, smooth), ended)


def smoothed(losses: Sequence[float]) -> tuple[float, ...]:
    """Return the running mean, with the bias correction of Kingma & Ba 2014, arXiv:1412.6980."""
    mean, means = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = MEMORY * mean + (1 - MEMORY) * loss
        means.append(mean / (1 - MEMORY**step))
    return tuple(means)


def propose(rates: Sequence[float], smooth: Sequence[float]) -> float | None:
    """Return a tenth of the rate with the lowest loss, to two digits; None if the loss has not fallen."""
    if len(smooth) <= START_STEPS:
        return None
    lowest = START_STEPS + int(np.argmin(smooth[START_STEPS:]))
    if smooth[lowest] > (1 - MIN_FALL) * sum(smooth[:START_STEPS]) / START_STEPS:
        return None
    return float(f"{rates[lowest] / MARGIN:.1e}")


def endless_batches(dataset: ImageDataset, batch_size: int, *, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of a data set, not augmented, epoch after epoch, each in another order."""
    for epoch in itertools.count():
        for rows in batch_indices(len(dataset), batch_size, seed, epoch):
            yield read_rows(dataset, np.array(rows))


def plot_rates(curve: RateCurve, path: Path, *, current: float | None = None) -> None:
    """Draw the curve as a PNG; `current` marks the rate of the recipe."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.rates, curve.losses, color="0.75", label="each step")
    axes.plot(curve.rates, curve.smooth, color="tab:blue", label="running mean")
    if curve.proposed is not None:
        axes.axvline(curve.proposed, color="tab:green", label=f"proposed: {curve.proposed:g}")
    if current is not None:
        axes.axvline(current, color="tab:red", linestyle=":", label=f"the recipe's: {current:g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title=f"Learning rate test ({curve.ended})")
    axes.set_ylim(top=1.5 * max(curve.smooth[: len(curve.smooth) // 2 + 1], default=1.0), bottom=0)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
