"""What was found in a set of images, and the table of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

KINDS = {
    "broken": ("Cannot be read", "These files are left out of every run."),
    "leak": (
        "In several splits",
        "One picture in several splits makes scores look better than they are. In a run, such images are "
        "brought into one split, unless that would take more than half of a class.",
    ),
    "classes": (
        "In several classes",
        "One picture with two labels. One of the labels is wrong, or the classes overlap.",
    ),
    "label": (
        "Perhaps a wrong label",
        "A classifier that did not learn from the image gives it another class. The most doubtful are first.",
    ),
    "outlier": (
        "Unlike all others",
        "To the network, these images are far from all others: wrong files, drawings, rare views.",
    ),
    "copy": (
        "Copies in one class",
        "Equal files, or one picture stored again, resized or cropped. They stay in one split, and count "
        "several times in training.",
    ),
    "look": (
        "Odd size, brightness or colour",
        "Images that differ from the others, or show next to nothing.",
    ),
    "balance": (
        "Classes of very different size",
        "Rare classes are learned worse, and measured less exactly.",
    ),
}
"""Kinds of findings in the order in which they are shown, each with its title and what it means."""


@dataclass(frozen=True)
class Finding:
    """One finding about an image, or about a class where `image` is empty.

    `image` is the name that `data.exclude` understands; `other` is another image that it is compared with.
    `suggested` is another class. `score` sorts the findings of a kind, the most serious first: the highest.
    """

    kind: str
    image: str = ""
    label: str = ""
    split: str = ""
    detail: str = ""
    other: str = ""
    suggested: str = ""
    score: float = 0.0
    exclude: bool = False


COLUMNS = ("exclude", "kind", "image", "class", "split", "detail", "suggested", "other", "score")


def sort_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings by kind, and in a kind the most serious first."""
    order = [*KINDS]
    return sorted(findings, key=lambda each: (order.index(each.kind), -each.score, each.image))


def format_table(findings: Sequence[Finding]) -> str:
    """Return the findings as CSV; `exclude: yes` marks the images that `data.exclude` leaves out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in findings:
        values = (each.kind, each.image, each.label, each.split, each.detail, each.suggested, each.other)
        writer.writerow(["yes" if each.exclude else "", *values, f"{each.score:.4g}"])
    return text.getvalue()


def parse_table(text: str) -> list[Finding]:
    """Return the findings of `format_table`."""
    return [
        Finding(
            kind=row["kind"],
            image=row["image"],
            label=row["class"],
            split=row["split"],
            detail=row["detail"],
            other=row["other"],
            suggested=row["suggested"],
            score=float(row["score"]),
            exclude=row["exclude"] == "yes",
        )
        for row in csv.DictReader(io.StringIO(text))
    ]
