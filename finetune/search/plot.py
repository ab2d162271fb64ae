"""The plot of a search: the scores of the trials in order, and over the values of each key."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from finetune.config.search import Range
from finetune.search.record import INFORMATIVE, Trial, best_trials
from finetune.search.show import format_value
from finetune.search.space import Space, label

COLUMNS = 3
PANEL_WIDTH_IN, PANEL_HEIGHT_IN = 4.2, 3.2
COLOURS = {"": "#4477aa", "coarse": "#4477aa", "fine": "#ee7733"}
INK = "#222222"
SHOWN_MEDIANS = 4.0
"""Scores are shown down to this many times the distance of the median from the best."""
MAX_LABEL_CHARACTERS = 24
EDGE = 0.03
"""Where trials below the shown scores are marked, as a share of the axis."""

Place = Callable[[Trial], Any]
"""The place of a trial along the horizontal axis."""


def plot_search(
    trials: Sequence[Trial], space: Space, importance: Mapping[str, float], score: str, path: Path
) -> None:
    """Write the plot as a PNG. The best trial has a ring; those far below it are at the lower edge."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [trial for trial in trials if trial.outcome in INFORMATIVE]
    completed = [trial for trial in shown if trial.outcome == "completed"]
    scores = [trial.score or 0.0 for trial in completed]
    lowest = max(scores) - SHOWN_MEDIANS * (max(scores) - statistics.median(scores))
    floor = max(min(scores), lowest)
    columns = min(len(space) + 1, COLUMNS)
    rows = -(-(len(space) + 1) // columns)
    figure = Figure(figsize=(PANEL_WIDTH_IN * columns, PANEL_HEIGHT_IN * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axis in axes[len(space) + 1 :]:
        axis.set_axis_off()
    _draw_trials(axes[0], shown, lambda trial: trial.number, floor)
    axes[0].step(
        [trial.number for trial in completed], list(accumulate(scores, max)), where="post", color=INK
    )
    axes[0].set_xlabel("trial")
    axes[0].legend(handles=_legend({trial.phase for trial in shown}), fontsize="small", loc="best")
    for axis, (key, given) in zip(axes[1:], space.items(), strict=False):
        axis.set_xlabel(f"{key}  (importance {importance[key]:.2f})" if key in importance else key)
        _draw_trials(axis, shown, _place_by(axis, key, given), floor)
    for axis in axes[: len(space) + 1 : columns]:
        axis.set_ylabel(f"validation {score}")
    room = max(max(scores) - floor, 0.01) / 10
    axes[0].set_ylim(floor - room, max(scores) + room)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, dpi=120, format="png")
    temporary.replace(path)


def _draw_trials(axis: Any, trials: Sequence[Trial], place: Place, floor: float) -> None:  # noqa: ANN401
    """Draw a mark for each trial; matplotlib has no types here."""
    axis.grid(alpha=0.3)
    best = best_trials(trials, 1)[0]
    for trial in trials:
        below = trial.score is None or trial.score < floor
        marker = "x" if trial.outcome != "completed" else "v" if below else "o"
        at = {"x": place(trial), "y": EDGE if below else trial.score, "zorder": 3}
        at |= {"transform": axis.get_xaxis_transform()} if below else {}
        axis.scatter(**at, color=COLOURS[trial.phase], marker=marker, s=24)
        if trial is best:
            axis.scatter(**at, facecolors="none", edgecolors=INK, s=110)


def _place_by(axis: Any, key: str, given: Range) -> Place:  # noqa: ANN401
    """Prepare the axis of a key. Out: the place of a trial on it."""
    kind, ends = given.chosen
    if kind != "choice":
        axis.set_xscale("log" if kind == "log" else "linear")
        return lambda trial: trial.values[key]
    names = [label(value) for value in ends]
    shown = [textwrap.shorten(format_value(value), MAX_LABEL_CHARACTERS) for value in ends]
    axis.set_xticks(range(len(names)), shown)
    return lambda trial: names.index(label(trial.values[key]))


def _legend(phases: set[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    marks = [(COLOURS[phase], "o", phase) for phase in sorted(phases) if phase]
    marks += [("grey", "x", "ended early"), ("grey", "v", "lower")]
    points = [Line2D([], [], linestyle="", color=color, marker=m, label=text) for color, m, text in marks]
    return [*points, Line2D([], [], color=INK, label="best so far")]
