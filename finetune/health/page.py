"""health.html: the findings with their pictures, in one file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from finetune.data.images import ImageSource
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


def make_sections(findings: Sequence[Finding], most: int) -> list[Section]:
    """Return the findings by kind, in the order of KINDS; of each at most so many are shown."""
    found = {kind: [each for each in findings if each.kind == kind] for kind in KINDS}
    return [
        Section(title, text, len(found[kind]), found[kind][:most])
        for kind, (title, text) in KINDS.items()
        if found[kind]
    ]


def embed_pictures(sections: Sequence[Section], images: Mapping[str, ImageSource]) -> dict[str, Markup]:
    """Return the pictures of the findings that are shown, by name. In: images by name."""
    names = {name for part in sections for each in part.shown for name in (each.image, each.other)}
    return {name: embed_image(images[name]) for name in sorted(names) if name in images}


def write_page(health: Health) -> str:
    """Return the page as HTML."""
    environment = Environment(loader=PackageLoader("finetune.health", "."), autoescape=True)
    sections = make_sections(health.findings, MOST_SHOWN)
    pictures = embed_pictures(sections, health.pictures)
    return environment.get_template("page.html").render(
        health=health, sections=sections, pictures=pictures, most=MOST_SHOWN
    )
