"""The score of unknown images: most images like the training images are below 1, others are above."""

from __future__ import annotations

import numpy as np
import torch
from novelty_kit import fit_novelty
from numpy.typing import NDArray

from finetune.models.novelty import Novelty, equalise

MIXING = np.random.default_rng(7).normal(size=(5, 40))


def draw(images: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    """Features after a ReLU, which vary in five directions and a little noise."""
    generator = np.random.default_rng(seed)
    values = generator.normal(shift, 1, (images, 5)) @ MIXING + generator.normal(0, 0.3, (images, 40))
    return np.maximum(values, 0).astype(np.float32)


def score(novelty: Novelty, features: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = novelty(torch.from_numpy(features)).numpy()
    return found


def test_promised_share_is_kept_and_others_are_seen() -> None:
    novelty = fit_novelty(draw(400, 0), held_out := draw(200, 1), kept=0.95)
    assert (score(novelty, held_out) <= 1).mean() == 0.955  # 191 of 200
    assert 0.92 < (score(novelty, draw(2000, 2)) <= 1).mean() < 0.98
    strange = np.abs(np.random.default_rng(3).normal(size=(300, 40))).astype(np.float32)
    assert (score(novelty, strange) > 1).mean() > 0.99


def test_fewer_images_than_features_and_features_that_never_vary() -> None:
    reference = draw(12, 0)
    reference[:, :3] = 0
    novelty = fit_novelty(reference, draw(30, 1), kept=0.95)
    assert np.isfinite(score(novelty, draw(50, 2))).all()
    assert novelty.directions.shape == (40, 11)


def test_state_gives_the_same_module() -> None:
    novelty = fit_novelty(draw(60, 0), draw(30, 1), kept=0.95)
    again, features = Novelty(novelty.state_dict()), draw(20, 2)
    assert (score(again, features) == score(novelty, features)).all()


def test_rows_have_unit_length_and_nothing_is_divided_by_zero() -> None:
    rows = equalise(torch.tensor([[4.0, -9.0], [0.0, 0.0]]))
    torch.testing.assert_close(
        rows, torch.tensor([[2.0, -3.0], [0.0, 0.0]]) / torch.tensor([[13.0**0.5], [1.0]])
    )


def test_features_that_are_equal_for_all_images_make_no_image_unlike_the_others() -> None:
    rng = np.random.default_rng(0)
    equal = np.full((40, 12), 0.3, dtype=np.float32)
    noise = equal + rng.normal(0, 1e-7, equal.shape).astype(np.float32)  # as another runtime rounds
    novelty = fit_novelty(equal, equal, 0.95)
    assert np.abs(score(novelty, noise) - score(novelty, equal)).max() < 1e-4
