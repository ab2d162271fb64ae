"""The result of a comparison: a table, the networks worth choosing from, and the command that trains one."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from finetune.networks.choose import find_best
from finetune.records.estimate import wilson_interval
from finetune.records.network import NetworkScore
from graft.compare.measure import Compared

COLUMNS = ("  network", "accuracy", "interval", "MB", "ms/photo", "images/s", "min")


def show_comparison(networks: Sequence[Compared], console: Console) -> NetworkScore:
    """Print the networks in a table, the most accurate first. Out: the one that would be chosen.

    Raises: GraftError when none was measured.
    """
    best = find_best([each.score for each in networks])
    marked = find_trade_offs(networks)
    table = Table(*COLUMNS, box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "right" if column.header in COLUMNS[1:] else "left"
    measured = [each for each in networks if each.score.accuracy]
    for each in sorted(measured, key=accuracy_of, reverse=True):
        low, high = wilson_interval(accuracy_of(each), each.score.images)
        assert each.training is not None
        table.add_row(
            Text(f"{'*' if each.score.spec in marked else ' '} {each.score.spec}"),
            f"{accuracy_of(each):.1%}",
            f"{100 * low:.1f} to {100 * high:.1f}",
            f"{each.file_mb:.1f}",
            f"{ms_of(each):.1f}",
            f"{each.training.images_per_s:.0f}",
            f"{each.training.minutes:.1f}",
            style="bold green" if each.score is best else "",
        )
    console.print(table)
    console.print(
        "accuracy, with its 95% interval: of a linear classifier on the frozen network, when each\n"
        "  training image is held out once; MB, ms/photo: the exported model, and one photo in it\n"
        "images/s, min: speed of training the whole network, and how long that would take\n"
        "*: no other network is both faster and more accurate"
    )
    left_out: dict[str, list[str]] = {}
    for each in networks:
        if each.score.accuracy is None:
            left_out.setdefault(each.score.left_out, []).append(each.score.spec)
    for reason, specs in left_out.items():
        console.print(f"left out: {', '.join(specs)}: {reason}", markup=False)
    return best


def accuracy_of(network: Compared) -> float:
    """Return the held-out accuracy of a network that was measured."""
    assert network.score.accuracy is not None
    return network.score.accuracy.value


def ms_of(network: Compared) -> float:
    """Return the milliseconds of one photo in the exported model of a network that was measured."""
    assert network.file_ms is not None
    return network.file_ms


def find_trade_offs(networks: Sequence[Compared]) -> tuple[str, ...]:
    """Return the specs that no other beats in both accuracy and time for an image, the fastest first."""
    measured = [each for each in networks if each.score.accuracy]
    found: list[Compared] = []
    for each in sorted(measured, key=lambda each: (ms_of(each), -accuracy_of(each))):
        if not found or accuracy_of(each) > accuracy_of(found[-1]):
            found.append(each)
    return tuple(each.score.spec for each in found)
