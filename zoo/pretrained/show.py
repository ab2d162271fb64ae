"""Show weights to people: a card, or what is known about each entry of a spec."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from zoo.errors import WeightsError
from zoo.pretrained.card import Card, StageStatistics, find_card
from zoo.pretrained.load import fetch_weights
from zoo.pretrained.sources import find_source
from zoo.pretrained.sources.base import Source, describe_hash
from zoo.spec.header import TrainedInput
from zoo.spec.spec import Spec


def render_weights(spec: Spec) -> RenderableType:
    """Show every entry of a spec's weights: its card, else what its publisher says about it."""
    if not spec.weights:
        return Text("no weights are declared")
    return Group(*(_render_entry(spec, names) for names in _same_weights(spec)))


def render_card(card: Card) -> RenderableType:
    """Show a card: what the weights are, where they come from, how good they are, and their stages."""
    parts: list[RenderableType] = [_rows(_facts(card))]
    if card.stages:
        parts += [Text(), _stages(card)]
    parts += [Text(f"\n{note}") for note in card.notes]
    return _panel(Group(*parts), card.name)


def card_of(spec: Spec, name: str) -> Card | None:
    """Return the card of an entry of a spec's weights, None without one. Raises WeightsError, SpecError."""
    file = find_source(spec, name).file
    return find_card(file.path) if file.is_local else None


def describe_input(trained: TrainedInput) -> str:
    """Return the preprocessing in one line: '224x224, crop, mean 0.485 0.456 0.406, std …'."""
    parts = [f"{trained.height}x{trained.width}"] if trained.height and trained.width else []
    parts += [trained.resize] if trained.resize else []
    for name, values in (("mean", trained.mean), ("std", trained.std)):
        parts += [f"{name} {' '.join(f'{value:g}' for value in values)}"] if values else []
    return ", ".join(parts) or "not stated"


def _render_entry(spec: Spec, names: list[str]) -> RenderableType:
    title = ", ".join(names)
    try:
        source, card = find_source(spec, names[0]), card_of(spec, names[0])
        if card is None:
            return _panel(_rows(_source_facts(source)), title)
        source.file.verify(fetch_weights(spec, names[0]))  # a card describes this very file
        return render_card(card)
    except WeightsError as error:
        return _panel(str(error), title)


def _same_weights(spec: Spec) -> list[list[str]]:
    """Group names of the same weights: `default` is often one of the others."""
    groups: list[list[str]] = []
    for name, entry in spec.weights.items():
        same = next((names for names in groups if spec.weights[names[0]] == entry), None)
        if same is None:
            groups.append([name])
        else:
            same.append(name)
    return groups


def _facts(card: Card) -> list[tuple[str, str]]:
    score = card.score
    top5 = f", top-5 {100 * score.top5:.1f}%" if score.top5 is not None else ""
    choices = ", ".join(f"{key} {value}" for key, value in card.choices.items())
    return [
        ("spec", card.spec),
        *([("choices", choices)] if choices else []),
        ("accuracy", f"top-1 {100 * score.top1:.1f}%{top5} on {score.images:,} images ({score.split})"),
        ("classes", f"{card.classes}"),
        ("parameters", f"{card.params:,}, {card.dtype}"),
        ("input", describe_input(card.input)),
        ("data", card.data),
        ("licence", card.licence),
        ("recipe", card.recipe),
        ("command", card.command),
        ("sha256", card.sha256),
    ]


def _source_facts(source: Source) -> list[tuple[str, str]]:
    found = source.file.find()
    return [
        ("from", source.origin),
        ("classes", str(source.classes or "not stated")),
        ("input", describe_input(source.input)),
        ("licence", source.licence),
        ("hash", describe_hash(source.file.sha256)),
        ("available", str(found) if found else f"no; the file belongs at {source.file.path}"),
    ]


def _stages(card: Card) -> Table:
    table = Table("stage", box=None, pad_edge=False)
    for column in ("channels", "mean", "std", "constant"):
        table.add_column(column, justify="right")
    for name, stage in card.stages.items():
        table.add_row(name, *_stage_row(stage))
    return table


def _stage_row(stage: StageStatistics) -> tuple[str, str, str, str]:
    """Return the number of channels, their average mean and std, and how many are nearly constant."""
    count = max(len(stage.mean), 1)
    std = sum(stage.std) / count
    constant = sum(channel < std / 100 for channel in stage.std)
    return str(len(stage.mean)), f"{sum(stage.mean) / count:.3f}", f"{std:.3f}", str(constant)


def _rows(rows: list[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _panel(content: RenderableType, title: str) -> Panel:
    return Panel(content, title=title, title_align="left", expand=False)
