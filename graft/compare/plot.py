"""Accuracy against the time of one image, one point for each network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from finetune.records.estimate import wilson_interval
from finetune.records.files import replacing
from graft.compare.measure import Compared
from graft.compare.show import accuracy_of, find_trade_offs, ms_of

SIZE_IN, DPI = (7.2, 4.6), 130
MARKED, OTHER = "#1a7f5a", "#8a8f98"


def draw_comparison(networks: Sequence[Compared], title: str, path: Path) -> None:
    """Draw the networks that were measured into a PNG, with 95% intervals and the best trade-offs joined."""
    measured = [each for each in networks if each.score.accuracy]
    by_name = {each.score.spec: each for each in measured}
    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    marked = [by_name[name] for name in find_trade_offs(networks)]
    axes.plot(
        [ms_of(each) for each in marked],
        [100 * accuracy_of(each) for each in marked],
        color=MARKED,
        alpha=0.5,
    )
    for number, each in enumerate(sorted(measured, key=ms_of), start=1):
        value, color = 100 * accuracy_of(each), MARKED if each in marked else OTHER
        low, high = (100 * bound for bound in wilson_interval(accuracy_of(each), each.score.images))
        axes.errorbar(
            [ms_of(each)],
            [value],
            yerr=[[max(value - low, 0)], [max(high - value, 0)]],
            fmt="o",
            color=color,
            capsize=3,
            label=f"{number}  {each.score.spec}",
        )
        axes.annotate(
            str(number), (ms_of(each), value), xytext=(6, -12), textcoords="offset points", color=color
        )
    axes.legend(loc="lower right")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(ScalarFormatter())
    axes.margins(x=0.25)
    axes.set_xlabel("milliseconds for one photo in the exported model, on this machine")
    axes.set_ylabel("held-out accuracy of a linear classifier, %")
    axes.set_title(title)
    axes.grid(alpha=0.25)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
