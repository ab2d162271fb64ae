"""What the tab says, as HTML. Pure functions; every name and message is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from graft.teach.lesson import Lesson

INTRODUCTION = (
    "<p class='graft-intro'>Name two or more classes, such as <b>cup</b> and <b>spoon</b>. Give each about "
    "ten photos that differ as much as the photos to name later. Then press Teach. The photos stay on the "
    "computer that runs this page.</p>"
)
HINT = "<div class='graft-hint'>The result appears here.</div>"
TRY = "<h3 class='graft-part'>Try it</h3>"


def step_card(text: str) -> str:
    """Return what is being done."""
    return f"<div class='graft-hint graft-step' role='status'><b>Learning</b><br>{escape(text)}</div>"


def fault_card(message: str) -> str:
    """Return why nothing was learned, a paragraph for each line."""
    lines = "".join(f"<p>{escape(line.strip())}</p>" for line in message.splitlines())
    return (
        "<div class='graft-card graft-error' role='alert'><figure>!</figure><div>"
        f"<p><strong>Nothing was learned yet.</strong></p>{lines}</div></div>"
    )


def describe_score(result: Mapping[str, Any]) -> str:
    """Return how many of the photos were named correctly, such as `19 of 20 right`."""
    images = result["images"]
    return f"{round(result['accuracy']['value'] * images)} of {images} right"


def result_card(lesson: Lesson, result: Mapping[str, Any], before: str | None = None) -> str:
    """Return how good the model is, by class and in all, and where it is; `before` is the last score."""
    found = result["accuracy"]
    rows = "".join(
        _row(label, counts[number], sum(counts))
        for number, (label, counts) in enumerate(zip(result["labels"], result["confusion"], strict=True))
    )
    notes = [
        f"{lesson.given.get(_key(file['path']), file['path'])} was left out: {file['reason']}"
        for file in result["broken"]
    ]
    earlier = f" The time before: {escape(before)}." if before else ""
    remarks = "".join(f"<p class='graft-note'>{escape(note)}</p>" for note in notes)
    return (
        "<div class='graft-result' role='status'>"
        f"<div class='graft-best'>{describe_score(result)}</div>"
        f"<p>Each photo was named by a model that had not learned from it. Of new photos like these, "
        f"{found['low']:.0%} to {found['high']:.0%} should be named correctly (95% interval).{earlier}</p>"
        f"{rows}{remarks}"
        f"<dl class='graft-facts'><dt>Network</dt><dd>{escape(result['network'])}</dd>"
        f"<dt>Took</dt><dd>{result['seconds']:.0f} seconds</dd>"
        f"<dt>Checked</dt><dd>{escape('; '.join(result['checked']))}</dd>"
        f"<dt>Folder</dt><dd>{escape(str(lesson.folder))}</dd></dl></div>"
    )


def _row(label: str, right: int, images: int) -> str:
    share = right / images if images else 0.0
    name = escape(label)
    return (
        f"<div class='graft-row'><span title='{name}'>{name}</span>"
        f"<div class='graft-bar'><i style='width:{share:.0%}'></i></div>"
        f"<span>{right} of {images}</span></div>"
    )


def _key(path: str) -> str:
    """Return the last two parts of a path: class and file."""
    return "/".join(path.replace("\\", "/").split("/")[-2:])
