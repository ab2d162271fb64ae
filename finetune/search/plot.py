"""The plot of a search: the scores in the order of the trials, and over the values of each key."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from finetune.config.search import Range
from finetune.search.record import ENDED, Trial, best_trials
from finetune.search.show import show_value
from finetune.search.space import Space, label

COLUMNS = 3
PANEL_WIDTH, PANEL_HEIGHT = 4.2, 3.2
"""Inches."""
COLOURS = {"coarse": "#4477aa", "fine": "#ee7733"}
OTHER_COLOUR = "#4477aa"
INK = "#222222"
SHOWN_TIMES = 4.0
"""The plot reaches this many times as far below the best score as the median is."""
NAME_CHARACTERS = 24
EDGE = 0.03
MARGIN = 0.04
"""Shares of an axis: where trials below it are marked, and the room beside the ends of a range."""


@dataclass(frozen=True)
class _Points:
    """The trials that are drawn, and the score below which they are only marked at the edge."""

    trials: Sequence[Trial]
    best: Trial | None
    floor: float

    def draw(self, axis: Any, places: Sequence[Any]) -> None:  # noqa: ANN401  matplotlib has no types here
        """A mark for each trial, at these places along the axis."""
        edge = axis.get_xaxis_transform()
        for trial, x in zip(self.trials, places, strict=True):
            below = trial.score is None or trial.score < self.floor
            marker = "x" if trial.outcome != "whole" else "v" if below else "o"
            place = (x, EDGE) if below else (x, trial.score)
            where = {"transform": edge} if below else {}
            colour = COLOURS.get(trial.phase, OTHER_COLOUR)
            axis.scatter(*place, color=colour, marker=marker, s=24, zorder=3, **where)
            if trial is self.best:
                axis.scatter(*place, facecolors="none", edgecolors=INK, s=110, zorder=4)


def plot_search(
    trials: Sequence[Trial], space: Space, importance: Mapping[str, float], score: str, path: Path
) -> None:
    """Write the plot as a PNG: the best trial has a ring, those far below it stand at the lower edge."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = _choose_points(trials)
    panels = len(space) + 1
    columns = min(panels, COLUMNS)
    rows = -(-panels // columns)
    figure = Figure(figsize=(PANEL_WIDTH * columns, PANEL_HEIGHT * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    _draw_course(axes[0], points)
    for axis, (key, given) in zip(axes[1:], space.items(), strict=False):
        axis.set_xlabel(f"{key}  (importance {importance[key]:.2f})" if key in importance else key)
        _draw_key(axis, points, key, given)
    for axis in axes[:panels]:
        axis.grid(alpha=0.3)
    for axis in axes[panels:]:
        axis.set_axis_off()
    for axis in axes[:panels:columns]:
        axis.set_ylabel(f"validation {score}")
    highest = max((trial.score for trial in points.trials if trial.score is not None), default=1.0)
    room = max(highest - points.floor, 0.01) * 2 * MARGIN
    axes[0].set_ylim(points.floor - room, highest + room)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, dpi=120, format="png")
    temporary.replace(path)


def _choose_points(trials: Sequence[Trial]) -> _Points:
    ended = [trial for trial in trials if trial.outcome in ENDED]
    scores = [trial.score for trial in ended if trial.outcome == "whole" and trial.score is not None]
    if not scores:
        return _Points(ended, None, 0.0)
    reach = SHOWN_TIMES * (max(scores) - statistics.median(scores))
    return _Points(ended, best_trials(ended, 1)[0], max(min(scores), max(scores) - reach))


def _draw_course(axis: Any, points: _Points) -> None:  # noqa: ANN401
    """The trials in their order, and the best so far as a line."""
    axis.set_xlabel("trial")
    whole = [trial for trial in points.trials if trial.outcome == "whole"]
    course = list(accumulate((trial.score or 0.0 for trial in whole), max))
    axis.step([trial.number for trial in whole], course, where="post", color=INK, linewidth=1)
    points.draw(axis, [trial.number for trial in points.trials])
    axis.set_xlim(-0.5, max(trial.number for trial in points.trials) + 0.5)
    axis.xaxis.get_major_locator().set_params(integer=True)
    for name in dict.fromkeys(trial.phase for trial in points.trials if trial.phase in COLOURS):
        axis.scatter([], [], color=COLOURS[name], label=name)
    axis.scatter([], [], color="grey", marker="x", label="ended early")
    axis.scatter([], [], color="grey", marker="v", label="lower")
    axis.plot([], [], color=INK, linewidth=1, label="best so far")
    axis.legend(fontsize="small", loc="best")


def _draw_key(axis: Any, points: _Points, key: str, given: Range) -> None:  # noqa: ANN401
    """The trials over the values of one key."""
    kind, ends = given.chosen
    values = [trial.values[key] for trial in points.trials]
    if kind == "choice":
        names = [label(value) for value in ends]
        axis.set_xticks(range(len(names)), [textwrap.shorten(show_value(v), NAME_CHARACTERS) for v in ends])
        axis.set_xlim(-0.5, len(names) - 0.5)
        points.draw(axis, [names.index(label(value)) for value in values])
        return
    low, high = ends
    if kind == "log":
        axis.set_xscale("log")
        room = (high / low) ** MARGIN
        axis.set_xlim(low / room, high * room)
    else:
        room = (high - low) * MARGIN
        axis.set_xlim(low - room, high + room)
    points.draw(axis, values)
