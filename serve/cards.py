"""The demo's answers as HTML: one card a picture, with bars. Pure functions; every name is escaped."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serve.artifact import Metadata
from serve.infer import Answer
from serve.runs import score_text

THUMBNAIL_PX = 320
SHOWN_PX = 152  # the style sheet's size; smaller pictures keep their pixels
GOLDEN_RATIO = 0.618034  # steps round the colour circle that keep neighbours apart
FIRST_COMMAND = "make finetune SPEC=specs/resnet_small.yaml"

HEAD = "<div class='graft-head'><h1>Graft</h1><p>Upload pictures; a model you trained names them.</p></div>"
HINT = "<div class='graft-hint'>Answers appear here.</div>"


def answer_card(
    name: str, picture: NDArray[np.uint8], answer: Answer, colours: Mapping[str, str] | None = None
) -> str:
    """One picture with its best classes as bars; `colours` gives a label's bar the colour of its mask."""
    rows = "".join(_row(label, value, (colours or {}).get(label)) for label, value in answer)
    kind = "graft-pixels" if max(picture.shape) < SHOWN_PX else "graft-photo"
    return (
        f"<div class='graft-card'><figure>"
        f"<img class='{kind}' src='{_data_uri(picture)}' alt='{escape(name)}'></figure>"
        f"<div><div class='graft-name'>{escape(name)}</div>"
        f"<div class='graft-best'>{escape(answer[0][0])}</div>{rows}</div></div>"
    )


def error_card(name: str, reason: str) -> str:
    """A file that could not be read, and why."""
    return (
        f"<div class='graft-card graft-error' role='alert'><figure>!</figure><div>"
        f"<div class='graft-name'>{escape(name)}</div>"
        f"<p><strong>This file could not be read as an image.</strong></p><p>{escape(reason)}</p></div></div>"
    )


def stack_cards(cards: Sequence[str]) -> str:
    """Cards below one another, or the hint when there are none."""
    return f"<div class='graft-cards'>{''.join(cards)}</div>" if cards else HINT


def facts_card(metadata: Metadata) -> str:
    """What a model is: spec, score, classes, where its weights come from, how it was checked."""
    parity, weights = metadata.parity, metadata.weights
    facts = {
        "Spec": " · ".join(part for part in (metadata.spec, metadata.spec_sha256[:8]) if part),
        "Score": score_text(metadata),
        "Classes": _classes(metadata.labels),
        "Weights": str(weights.get("origin") or ("trained from scratch" if "none" in weights else "")),
        "Licence": str(weights.get("licence") or ""),
        "Checked": f"equal to the trained network on {parity['images']} images" if "images" in parity else "",
    }
    rows = "".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in facts.items() if value)
    return f"<dl class='graft-facts'>{rows}</dl>"


def empty_page(runs: str) -> str:
    """What a machine without a run shows."""
    return (
        f"<div class='graft-empty'><h2>No model yet</h2>"
        f"<p>There is no exported model under <b>{escape(runs)}/</b>. This command trains one in minutes:</p>"
        f"<code>{FIRST_COMMAND}</code><p style='margin:16px 0 0'>Then reload this page.</p></div>"
    )


def warn_unreadable(messages: Sequence[str]) -> str:
    """Model files that were left out, one line each."""
    return "".join(f"<p class='graft-warning'>Left out: {escape(message)}</p>" for message in messages)


def paint_mask(picture: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each class's colour laid over the picture, half transparent. In: (H, W, 3) and (H, W)."""
    palette = np.array([_rgb(number) for number in range(256)], np.uint8)
    return ((picture.astype(np.uint16) + palette[mask]) // 2).astype(np.uint8)


def class_colours(labels: Sequence[str]) -> dict[str, str]:
    """The CSS colour of each label's mask."""
    return {label: "rgb({},{},{})".format(*_rgb(number)) for number, label in enumerate(labels)}


def _rgb(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, 0.65, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _row(label: str, value: float, colour: str | None) -> str:
    paint = f";background:{colour}" if colour else ""
    return (
        f"<div class='graft-row'><span title='{escape(label)}'>{escape(label)}</span>"
        f"<div class='graft-bar'><i style='width:{value:.1%}{paint}'></i></div><span>{value:.1%}</span></div>"
    )


def _classes(labels: Sequence[str], shown: int = 12) -> str:
    more = f" and {len(labels) - shown} more" if len(labels) > shown else ""
    return f"{len(labels)}: {', '.join(labels[:shown])}{more}"


def _data_uri(picture: NDArray[np.uint8]) -> str:
    """A small copy of the picture, inside the page."""
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
