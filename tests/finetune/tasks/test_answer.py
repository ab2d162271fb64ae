"""The last step of an exported model, and its margins."""

from __future__ import annotations

import pytest
import torch

from finetune.tasks import find_task
from finetune.tasks.segmentation import resize_nearest

CLASSES, PIXELS = find_task("classification"), find_task("segmentation")


def test_nearest_resize_is_exact_where_sizes_divide() -> None:
    small = torch.arange(6, dtype=torch.uint8).reshape(1, 2, 3)
    large = resize_nearest(small, torch.zeros(1, 4, 9, 3))
    assert torch.equal(large, small.repeat_interleave(2, 1).repeat_interleave(3, 2))
    assert torch.equal(resize_nearest(large, torch.zeros(1, 2, 3, 3)), small)


def test_margin_is_between_the_two_best() -> None:
    probabilities = torch.tensor([[0.2, 0.5, 0.3], [1 / 3, 1 / 3, 1 / 3]])
    image = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    assert torch.allclose(CLASSES.answer(probabilities.log(), image), probabilities)
    assert CLASSES.margin(probabilities.log(), image).tolist() == pytest.approx([0.2, 0])
    assert CLASSES.margin(torch.zeros(4, 1), image).tolist() == [1, 1, 1, 1]
    assert CLASSES.margin(torch.tensor([[0.0, float("nan"), 0.0]]), image).isnan().all()


def test_each_pixel_has_its_class_and_margin() -> None:
    logits = torch.tensor([0.25, 0.75]).log().reshape(1, 2, 1, 1).expand(1, 2, 2, 2)
    image = torch.zeros(1, 3, 5, 3, dtype=torch.uint8)
    assert PIXELS.answer(logits, image).tolist() == torch.ones(1, 3, 5).tolist()
    assert torch.allclose(PIXELS.margin(logits, image), torch.full((1, 3, 5), 0.5))
