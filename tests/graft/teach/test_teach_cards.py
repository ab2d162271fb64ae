"""What the tab says of a lesson, with names of strangers in it."""

from __future__ import annotations

from pathlib import Path

from graft.teach.cards import describe_score, fault_card, result_card
from graft.teach.lesson import Lesson

RESULT = {
    "network": "resnet_tiny",
    "accuracy": {"value": 0.85, "low": 0.64, "high": 0.948},
    "images": 20,
    "labels": ["<b>cup", "spoon"],
    "confusion": [[9, 1], [2, 8]],
    "broken": [{"path": "runs/data/spoon/003.jpg", "reason": "not <a> photo"}],
    "checked": ["the same answers"],
    "seconds": 7.6,
}
LESSON = Lesson(Path("runs/teach/1"), {"spoon/003.jpg": "<i>notes.txt"})


def test_a_result_in_words() -> None:
    card = result_card(LESSON, RESULT, "15 of 20 right")
    assert describe_score(RESULT) == "17 of 20 right"
    assert "<div class='graft-best'>17 of 20 right</div>" in card
    assert "64% to 95% should be named correctly (95% interval). The time before: 15 of 20 right." in card
    assert "9 of 10" in card and "8 of 10" in card and "8 seconds" in card and "runs/teach/1" in card
    assert "&lt;i&gt;notes.txt was left out: not &lt;a&gt; photo" in card
    assert not [tag for tag in ("<b>", "<i>", "<a>") if tag in card]
    assert "before" not in result_card(LESSON, RESULT)


def test_each_fault_is_a_paragraph() -> None:
    card = fault_card("<u>cup has 1 image.\n  expected: more")
    assert "<p>&lt;u&gt;cup has 1 image.</p><p>expected: more</p>" in card
