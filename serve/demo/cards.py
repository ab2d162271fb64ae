"""The demo's answers as HTML: one card per image, with bars. Pure functions; every name is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serve.artifact import Metadata
from serve.codec import encode_png
from serve.runs import format_score
from serve.tasks import Answer

THUMBNAIL_PX = 320
SHOWN_PX = 152  # the size in style.css; smaller images are shown pixel by pixel
SHOWN_CLASSES = 12
FIRST_COMMAND = "make finetune SPEC=specs/resnet_small.yaml"

HEAD = "<div class='graft-head'><h1>Graft</h1><p>Models that name what a photo shows.</p></div>"
NO_TEACHING = (
    "<div class='graft-empty'><h2>Teaching needs more packages</h2><p>This installation can only use models. "
    "In a checkout of Graft, this command installs what training needs, and opens this page again:</p>"
    "<code>make demo</code></div>"
)
HINT = "<div class='graft-hint'>Answers appear here.</div>"


def answer_card(
    name: str,
    picture: NDArray[np.uint8],
    answer: Answer,
    colours: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Return one image with its best classes as bars, in the labels' `colours` if they have any."""
    rows = "".join(_row(label, value, (colours or {}).get(label)) for label, value in answer)
    remarks = "".join(f"<p class='graft-note'>{escape(note)}</p>" for note in notes)
    kind = "graft-pixels" if max(picture.shape) < SHOWN_PX else "graft-photo"
    return (
        f"<div class='graft-card'><figure>"
        f"<img class='{kind}' src='{_data_uri(picture)}' alt='{escape(name)}'></figure>"
        f"<div><div class='graft-name'>{escape(name)}</div>"
        f"<div class='graft-best'>{escape(answer[0][0])}</div>{remarks}{rows}</div></div>"
    )


def error_card(name: str, reason: str) -> str:
    """Return a file that could not be read, and why."""
    return (
        f"<div class='graft-card graft-error' role='alert'><figure>!</figure><div>"
        f"<div class='graft-name'>{escape(name)}</div>"
        f"<p><strong>This file could not be read as an image.</strong></p><p>{escape(reason)}</p></div></div>"
    )


def stack_cards(cards: Sequence[str]) -> str:
    """Return the cards below one another, or the hint if there are none."""
    return f"<div class='graft-cards'>{''.join(cards)}</div>" if cards else HINT


def pair_cards(cards: Sequence[str]) -> str:
    """Return the cards for one image side by side."""
    return f"<div class='graft-pair'>{''.join(cards)}</div>"


def facts_card(metadata: Metadata) -> str:
    """Return a model's spec, score, classes, origin of the weights, and check."""
    parity, weights, labels = metadata.parity, metadata.weights, metadata.labels
    more = f" and {len(labels) - SHOWN_CLASSES} more" if len(labels) > SHOWN_CLASSES else ""
    facts = {
        "Spec": " · ".join(filter(None, (metadata.spec, metadata.spec_sha256[:8]))),
        "Score": format_score(metadata),
        "Classes": f"{len(labels)}: {', '.join(labels[:SHOWN_CLASSES])}{more}",
        "Weights": str(weights.get("origin") or ("trained from scratch" if "none" in weights else "")),
        "Licence": str(weights.get("licence") or ""),
        "Checked": f"equal to the trained network on {parity['images']} images" if "images" in parity else "",
    }
    rows = "".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in facts.items() if value)
    return f"<dl class='graft-facts'>{rows}</dl>"


def empty_page(runs: str) -> str:
    """Return what to show if there is no model yet."""
    return (
        f"<div class='graft-empty'><h2>No model yet</h2>"
        f"<p>There is no exported model in <b>{escape(runs)}/</b>. This command trains one in minutes:</p>"
        f"<code>{FIRST_COMMAND}</code><p style='margin:16px 0 0'>Then reload this page.</p></div>"
    )


def unreadable_note(messages: Sequence[str]) -> str:
    """Return the model files that could not be read, one line each."""
    return "".join(f"<p class='graft-warning'>Skipped: {escape(message)}</p>" for message in messages)


def _row(label: str, value: float, colour: str | None) -> str:
    paint = f";background:{colour}" if colour else ""
    return (
        f"<div class='graft-row'><span title='{escape(label)}'>{escape(label)}</span>"
        f"<div class='graft-bar'><i style='width:{value:.1%}{paint}'></i></div><span>{value:.1%}</span></div>"
    )


def _data_uri(picture: NDArray[np.uint8]) -> str:
    """Return a small copy of the picture, embedded in the page."""
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return f"data:image/png;base64,{base64.b64encode(encode_png(np.asarray(image))).decode()}"
