"""Weights as people read them: a card, or a line for each entry of a spec."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from zoo.errors import WeightsError
from zoo.pretrained.card import Card, StageStatistics, find_card
from zoo.pretrained.load import obtain
from zoo.pretrained.place import LocalFile, hash_in_words
from zoo.pretrained.sources import Source, find_source
from zoo.pretrained.tensors import check_hash
from zoo.spec.header import TrainedInput
from zoo.spec.spec import Spec


def card_of(spec: Spec, name: str) -> Card | None:
    """Give the card of an entry of a spec's weights, None without one. Raises WeightsError, SpecError."""
    place = find_source(spec, name).place
    return find_card(place.path) if isinstance(place, LocalFile) else None


def render_card(card: Card) -> RenderableType:
    """Lay out a card: what the weights are, where they come from, how good they are, what stages give."""
    rows = _rows()
    for name, value in _facts(card):
        rows.add_row(name, value)
    parts: list[RenderableType] = [rows]
    if card.stages:
        parts += [Text(), _stages(card)]
    parts += [Text(f"\n{note}") for note in card.notes]
    return Panel(Group(*parts), title=card.name, title_align="left", expand=False)


def render_weights(spec: Spec) -> RenderableType:
    """Lay out every entry of a spec's weights: its card, else what its publisher tells of it."""
    if not spec.weights:
        return Text("no weights are declared")
    parts: list[RenderableType] = []
    for names in _alike(spec):
        title = ", ".join(names)
        try:
            source, card = find_source(spec, names[0]), card_of(spec, names[0])
            if card:
                check_hash(obtain(source), source.place)  # what a card says is of that file alone
            parts.append(render_card(card) if card else _render_source(title, source))
        except WeightsError as error:
            parts.append(Panel(str(error), title=title, title_align="left", expand=False))
    return Group(*parts)


def input_in_words(trained: TrainedInput) -> str:
    """Say how images were brought to the network: '224x224, crop, mean 0.485 0.456 0.406, std …'."""
    words = [f"{trained.height}x{trained.width}"] if trained.height and trained.width else []
    words += [trained.resize] if trained.resize else []
    words += [f"mean {_numbers(trained.mean)}"] if trained.mean else []
    words += [f"std {_numbers(trained.std)}"] if trained.std else []
    return ", ".join(words) or "not stated"


def _alike(spec: Spec) -> list[list[str]]:
    """Put names of the same weights together: those of a library have its default among them."""
    alike: list[list[str]] = []
    for name, entry in spec.weights.items():
        known = next((names for names in alike if spec.weights[names[0]] == entry), None)
        if known is None:
            alike.append([name])
        else:
            known.append(name)
    return alike


def _facts(card: Card) -> list[tuple[str, str]]:
    score = card.score
    top5 = f", top-5 {100 * score.top5:.1f}%" if score.top5 is not None else ""
    facts = [
        ("spec", card.spec),
        ("accuracy", f"top-1 {100 * score.top1:.1f}%{top5} on {score.images:,} images ({score.split})"),
        ("classes", f"{card.classes}"),
        ("parameters", f"{card.params:,}, {card.dtype}"),
        ("input", input_in_words(card.input)),
        ("data", card.data),
        ("licence", card.licence),
        ("recipe", card.recipe),
        ("command", card.command),
        ("sha256", card.sha256),
    ]
    if card.choices:
        facts.insert(1, ("choices", ", ".join(f"{key} {value}" for key, value in card.choices.items())))
    return facts


def _stages(card: Card) -> Table:
    table = Table("stage", box=None, pad_edge=False)
    for column in ("channels", "mean", "spread", "at rest"):
        table.add_column(column, justify="right")
    for name, stage in card.stages.items():
        table.add_row(name, *_stage_row(stage))
    return table


def _stage_row(stage: StageStatistics) -> tuple[str, str, str, str]:
    """Give the number of channels, the averages of their means and deviations, and how many hardly move."""
    count = max(len(stage.mean), 1)
    spread = sum(stage.std) / count
    idle = sum(std < spread / 100 for std in stage.std)
    return str(len(stage.mean)), f"{sum(stage.mean) / count:.3f}", f"{spread:.3f}", str(idle)


def _render_source(name: str, source: Source) -> RenderableType:
    rows = _rows()
    found = source.place.find()
    rows.add_row("from", source.origin)
    rows.add_row("classes", str(source.classes or "not stated"))
    rows.add_row("input", input_in_words(source.input))
    rows.add_row("licence", source.licence)
    rows.add_row("hash", hash_in_words(source.place.sha256))
    rows.add_row("to hand", str(found) if found else f"no; it belongs at {source.place.home}")
    return Panel(rows, title=name, title_align="left", expand=False)


def _rows() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
