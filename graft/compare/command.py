"""`graft compare`: measure, print, draw, and name the command that trains the chosen network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from finetune.records.network import NetworkScore
from finetune.runtime.console import Terminal
from finetune.runtime.console_text import format_command, show_path
from graft.compare.measure import BASE, compare_networks
from graft.compare.plot import draw_comparison
from graft.compare.show import show_comparison


def compare(
    names: Sequence[str | Path],
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    *,
    console: Console | None = None,
) -> NetworkScore:
    """Compare networks on the user's images, as `compare_networks`, and show the result.

    Raises: as compare_networks, and GraftError when no network could be measured.
    """
    console = console or Terminal()
    folder, networks = compare_networks(names, data, set, console=console)
    best, plot = show_comparison(networks, console), folder / "compare.png"
    draw_comparison(networks, Path(data or BASE).name, plot)
    console.print(
        f"files: {show_path(plot)}, and a model of each network in {show_path(folder)}", markup=False
    )
    spec = next((name for name in names if Path(name).stem == best.spec), best.spec)
    pairs = [part for key, value in (set or {}).items() for part in ("--set", f"{key}={value}")]
    source = () if data is None else ("--data", data)
    console.print(f"next: {format_command('finetune', spec, *source, *pairs)}", markup=False)
    return best
