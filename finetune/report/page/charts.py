"""The charts of a page, as SVG that is part of it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from finetune.records.metrics_log import EpochRecord

BLUE, ORANGE, GREY = "#2563eb", "#d97706", "#9ca3af"
BINS = 10
SIZE = (4.2, 2.9)
FEWEST = 5
"""Images of a bin whose share is drawn."""
FEW = 15
"""Points of a curve that are marked one by one."""


def draw_learning(records: Sequence[EpochRecord], score: str) -> list[Markup]:
    """Draw the loss and the score of each epoch; nothing without epochs."""
    records = [record for record in records if record.member in (None, 1)]
    if not records:
        return []
    marker = "o" if len(records) <= FEW else ""
    loss, left = _figure("passes over the images", "loss (nats)")
    scores, right = _figure("passes over the images", score.replace("_", " ").replace("iou", "IoU"))
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    def draw(axes: Axes, values: Sequence[float | None], colour: str, label: str) -> None:
        pairs = [(one.epoch, y) for one, y in zip(records, values, strict=True) if y is not None]
        x, y = zip(*pairs, strict=True) if pairs else ((), ())
        axes.plot(x, y, color=colour, label=label, marker=marker, markersize=3)

    draw(left, [one.train_loss for one in records], BLUE, "training")
    draw(left, [one.val_loss for one in records], ORANGE, "validation")
    left.legend(frameon=False)
    draw(right, [one.val_score for one in records], ORANGE, "validation")
    for one in [one for one in records if one.best][-1:]:
        right.axvline(one.epoch, color=GREY, linewidth=1, linestyle=":")
    return [_svg(loss), _svg(scores)]


def draw_reliability(
    before: NDArray[np.float64] | None, after: NDArray[np.float64], correct: NDArray[np.float64]
) -> Markup:
    """Draw how often answers are right against how probable they are said to be.

    The points are as large as the number of images that they stand for. In, each (N,): the probability of
    each image's answer before and after the temperature, and 1 where it is right. `before` is None where they
    are the same.
    """
    figure, axes = _figure("probability of the answer", "share that is right")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    for confidence, colour, label in ((before, GREY, "before"), (after, BLUE, "after")):
        if confidence is None:
            continue
        bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        used = counts >= FEWEST
        sums = [np.bincount(bins, values, minlength=BINS)[used] for values in (confidence, correct)]
        x, y = (one / counts[used] for one in sums)
        axes.plot(x, y, color=colour, label=label, linewidth=1.5)
        axes.scatter(x, y, s=8 + 60 * counts[used] / counts.max(), color=colour)
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.05))
    if before is not None:
        axes.legend(frameon=False, loc="lower right")
    return _svg(figure)


def _figure(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> Markup:
    """Return the figure as an SVG element, without what only a file of its own has."""
    file = io.StringIO()
    with rc_context({"svg.hashsalt": "graft"}):  # the same figure gives the same text
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = file.getvalue()
    return Markup(text[text.index("<svg") :])
