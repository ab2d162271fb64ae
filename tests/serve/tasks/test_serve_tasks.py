"""What the tasks make of a model's output, and their registry."""

from __future__ import annotations

import re

import numpy as np
import pytest

from serve.tasks import Segmentation, find_task, register, task_names
from serve.tasks.comparison import Pair

LABELS = ("sky", "sea", "land")


def test_every_class_best_first_and_equals_in_order() -> None:
    task = find_task("classification")
    answer = task.answer(np.array([0.25, 0.5, 0.25], np.float32), LABELS)
    assert answer == [("sea", 0.5), ("sky", 0.25), ("land", 0.25)]
    assert task.to_json(answer)[0] == {"label": "sea", "probability": 0.5}


def test_shares_of_pixels() -> None:
    task = find_task("segmentation")
    answer = task.answer(np.array([[0, 0], [2, 0]], np.uint8), LABELS)
    assert answer == [("sky", 0.75), ("land", 0.25), ("sea", 0)]
    assert task.to_json(answer)[0] == {"label": "sky", "share": 0.75}


def test_mask_is_drawn_in_the_colours_of_its_labels() -> None:
    task = find_task("segmentation")
    drawn = task.draw(np.zeros((1, 3, 3), np.uint8), np.array([[0, 1, 2]], np.uint8))
    colours = task.colours(LABELS)
    for place, label in enumerate(LABELS):
        assert drawn[0, place].tolist() == [int(part) // 2 for part in re.findall(r"\d+", colours[label])]
    assert len(set(task.colours(tuple(map(str, range(50)))).values())) == 50


def test_infinite_margins_of_a_mask_are_a_fault() -> None:
    mask, margin = np.zeros((2, 2), np.uint8), np.full((2, 2), np.nan, np.float32)
    assert not find_task("segmentation").compare(Pair("a.png", mask, mask, margin), LABELS).allowed


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="'segmentation' is already registered"):
        register(Segmentation)
    assert task_names() == ("classification", "segmentation")
