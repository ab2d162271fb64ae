"""health.html: the findings with their pictures, in one file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader

from finetune.data.thumbnail import embed_image
from finetune.health.check import Health
from finetune.health.finding import KINDS, Finding

MOST_SHOWN = 60
"""Findings of a kind with pictures; the table has them all."""


@dataclass(frozen=True)
class Section:
    """The findings of one kind; `count` of them, of which some are shown."""

    title: str
    text: str
    count: int
    shown: Sequence[Finding]


def write_page(health: Health) -> str:
    """Return the page as HTML."""
    environment = Environment(loader=PackageLoader("finetune.health", "."), autoescape=True)
    sections = []
    for kind, (title, text) in KINDS.items():
        found = [each for each in health.findings if each.kind == kind]
        if found:
            sections.append(Section(title, text, len(found), found[:MOST_SHOWN]))
    names = {name for part in sections for each in part.shown for name in (each.image, each.other)}
    pictures = {name: embed_image(image) for name, image in health.pictures.items() if name in names}
    return environment.get_template("page.html").render(
        health=health, sections=sections, pictures=pictures, most=MOST_SHOWN
    )
