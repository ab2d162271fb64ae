"""Losses are what their papers say, take soft targets where they can, and count no ignored pixel."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from finetune.losses.registry import LOSSES, Loss, LossContext, build_loss

CLASSES, IGNORED = 4, 255
COUNTS = (10, 20, 30, 0)


def make_loss(call: str | Mapping[str, object], smoothing: float = 0.0, ignore: int | None = None) -> Loss:
    context = LossContext(CLASSES, smoothing, ignore, lambda: COUNTS)
    return build_loss(LOSSES.read_call(call), context)


def make_images(smoothing: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, class indices, and the same as smoothed distributions."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, CLASSES, generator=generator, requires_grad=True)
    targets = torch.randint(0, CLASSES, (6,), generator=generator)
    return logits, targets, F.one_hot(targets, CLASSES) * (1 - smoothing) + smoothing / CLASSES


def make_masks() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, CLASSES, 5, 5, generator=generator, requires_grad=True)
    return logits, torch.randint(0, CLASSES - 1, (2, 5, 5), generator=generator)


@pytest.mark.parametrize("name", ["auto", "cross_entropy"])
def test_the_default_is_cross_entropy_to_the_bit(name: str) -> None:
    logits, targets, _ = make_images()
    expected = F.cross_entropy(logits, targets, label_smoothing=0.1)
    assert torch.equal(make_loss(name, 0.1)(logits, targets), expected)
    maps, masks = make_masks()
    masks[0, :2] = IGNORED
    expected = F.cross_entropy(maps, masks, label_smoothing=0.1, ignore_index=IGNORED)
    assert torch.equal(make_loss(name, 0.1, IGNORED)(maps, masks), expected)


def test_balanced_weights_are_inverse_frequencies() -> None:
    logits, targets, _ = make_images()
    weights = torch.tensor([60 / (4 * 10), 60 / (4 * 20), 60 / (4 * 30), 60 / 4])
    found = make_loss({"cross_entropy": {"class_weights": "balanced"}})(logits, targets)
    assert torch.allclose(found, F.cross_entropy(logits, targets, weight=weights))
    assert torch.allclose(
        make_loss({"focal": {"gamma": 0.0, "class_weights": "balanced"}})(logits, targets), found
    )


def test_balanced_weights_need_counts() -> None:
    with pytest.raises(ValueError, match="class counts"):
        build_loss(LOSSES.read_call({"focal": {"class_weights": "balanced"}}), LossContext(CLASSES))


def test_focal_multiplies_the_cross_entropy_of_each_image() -> None:
    logits, targets, _ = make_images()
    losses = F.cross_entropy(logits, targets, reduction="none")
    expected = (losses * (1 - (-losses).exp()) ** 1.5).mean()
    assert torch.allclose(make_loss({"focal": {"gamma": 1.5}})(logits, targets), expected)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_focal_takes_distributions_and_smooths_labels(gamma: float) -> None:
    logits, targets, soft = make_images(0.2)
    smoothed = make_loss({"focal": {"gamma": gamma}}, 0.2)(logits, targets)
    assert torch.allclose(make_loss({"focal": {"gamma": gamma}})(logits, soft), smoothed)
    if not gamma:
        assert torch.allclose(smoothed, F.cross_entropy(logits, targets, label_smoothing=0.2))


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_the_loss_of_mixed_labels_is_the_mixture_of_their_losses(name: str) -> None:
    logits, _, _ = make_images()
    first, second = torch.tensor([0] * 6), torch.tensor([1] * 6)
    loss, mixed = make_loss(name, 0.1), torch.tensor([[0.7, 0.3, 0.0, 0.0]] * 6)
    torch.testing.assert_close(loss(logits, mixed), 0.7 * loss(logits, first) + 0.3 * loss(logits, second))


def test_focal_has_a_finite_gradient_at_certainty() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0, 0.0]], requires_grad=True)
    make_loss({"focal": {"gamma": 0.5}})(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_dice_of_hard_answers_is_the_overlap_of_the_classes_present() -> None:
    truth = torch.tensor([[[0, 0, 1, 1]]])
    answer = torch.tensor([[[0, 1, 1, 1]]])
    logits = F.one_hot(answer, CLASSES).movedim(-1, 1) * 100.0
    expected = 1 - (2 * 1 / (1 + 2) + 2 * 2 / (3 + 2)) / 2
    assert make_loss("dice", ignore=IGNORED)(logits, truth).item() == pytest.approx(expected)
    perfect = F.one_hot(truth, CLASSES).movedim(-1, 1) * 100.0
    assert make_loss("dice", ignore=IGNORED)(perfect, truth).item() == pytest.approx(0)


def test_cross_entropy_dice_is_their_sum() -> None:
    logits, masks = make_masks()
    parts = [make_loss("cross_entropy", 0.1, IGNORED), make_loss("dice", ignore=IGNORED)]
    expected = sum(part(logits, masks) for part in parts)
    assert torch.allclose(make_loss("cross_entropy_dice", 0.1, IGNORED)(logits, masks), expected)


@pytest.mark.parametrize("name", LOSSES.names())
def test_ignored_pixels_count_nothing(name: str) -> None:
    logits, masks = make_masks()
    loss = make_loss(name, 0.0, IGNORED)
    masks[:, :2] = IGNORED
    found = loss(logits, masks)
    assert torch.allclose(found, loss(logits[:, :, 2:], masks[:, 2:]))
    found.backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, :2].any()
    assert logits.grad[:, :, 2:].all()


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_batch_of_ignored_pixels_has_no_loss_and_no_gradient(name: str) -> None:
    logits, masks = make_masks()
    found = make_loss(name, 0.1, IGNORED)(logits, torch.full_like(masks, IGNORED))
    found.backward()
    assert found.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()
