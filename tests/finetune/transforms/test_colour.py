"""Steps that change values do what they say, by as much as they say."""

import numpy as np
import pytest
import torch
from augment_kit import draw, flat, noise, spans, statistics

from finetune.transforms.augment import build_augment, needs_statistics
from finetune.transforms.augmentations import AUGMENTATIONS


def test_brightness_multiplies() -> None:
    found = draw("brightness", flat(100, 50, 0), 300, strength=0.4)[:, :, 0, 0].float()
    assert spans(found[:, 0], 60, 140, 1)
    assert (found[:, 1] - found[:, 0] / 2).abs().max() <= 1
    assert found[:, 2].max() == 0


def test_contrast_stretches_about_the_mean() -> None:
    image = noise() // 4 + 96
    found = draw("contrast", image, 300, strength=0.4).float()
    assert spans(found.std((1, 2, 3)) / image.float().std(), 0.6, 1.4, 0.02)
    assert (found.mean((1, 2, 3)) - image.float().mean()).abs().max() < 2


def test_saturation_stretches_about_grey() -> None:
    image = flat(140, 100, 120)
    found = draw("saturation", image, 300, strength=0.5)[:, :, 0, 0].float()
    assert spans(found[:, 0] - found[:, 1], 20, 60, 2)
    grey = draw("saturation", flat(90, 90, 90), 20).float()
    assert (grey - 90).abs().max() <= 1  # torchvision rounds down


def test_hue_turns_the_wheel() -> None:
    found = draw("hue", flat(255, 0, 0), 300, strength=0.1)[:, :, 0, 0].float()
    assert (found[:, 0] == 255).all()
    turns = (found[:, 1] - found[:, 2]) / 255 / 6  # from red, green comes in one way and blue the other
    assert spans(turns, -0.1, 0.1, 0.005)


def test_grey_is_the_luma() -> None:
    found = draw("grey", flat(200, 100, 50), 1)[0]
    assert (found == found[:1]).all()
    assert abs(int(found[0, 0, 0]) - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) <= 1


def test_blur_takes_detail_and_keeps_the_mean() -> None:
    image = noise(32, 32)
    found = draw("blur", image, 100, sigma=3.0).float()
    kept = found.std((1, 2, 3)) / image.float().std()
    assert kept.max() > 0.8  # a narrow Gaussian
    assert kept.min() < 0.2  # white noise under sigma 3 keeps 1 / (2 sqrt(pi) 3) = 0.09
    assert (found.mean((1, 2, 3)) - image.float().mean()).abs().max() < 4


def test_noise_has_its_strength() -> None:
    image = flat(128, 128, 128, size=64)
    found = draw("gaussian_noise", image, 10, strength=0.05).float() - 128
    assert abs(float(found.std()) - 0.05 * 255) < 0.3
    assert abs(float(found.mean())) < 0.2
    assert float(torch.corrcoef(found[0].reshape(3, -1)).fill_diagonal_(0).abs().max()) < 0.08


def test_erasing_paints_a_rectangle_of_its_area() -> None:
    found = draw("erasing", flat(0, 0, 0, size=64), 300, largest=0.3, value=200)
    painted = found[:, 0] == 200
    assert ((found == 0) | (found == 200)).all()
    assert spans(painted.float().mean((1, 2)), 0.02, 0.3, 0.02)
    rows, columns = painted.any(2).sum(1), painted.any(1).sum(1)
    assert torch.equal(rows * columns, painted.sum((1, 2)))


def test_fancy_pca_draws_with_the_training_sets_covariance() -> None:
    known, sigma = statistics(), 0.5
    found = draw("fancy_pca", flat(128, 128, 128), 4000, sigma=sigma).double()
    assert (found == found[:, :, :1, :1]).all()  # one shift an image
    shifts = (found[:, :, 0, 0] - 128) / 255
    values, vectors = np.linalg.eigh(np.array(known.covariance))
    expected = vectors @ np.diag((sigma * values) ** 2) @ vectors.T
    # 4000 draws know a variance to 2%; the uint8 grid adds 1/12 of a level
    np.testing.assert_allclose(torch.cov(shifts.T).numpy(), expected, atol=0.1 * expected.max())
    assert expected.max() * 255**2 > 100 / 12
    along = (shifts @ torch.from_numpy(vectors)).std(0)
    assert along[2] / along[1] > 5  # most of it along the first component


def test_fancy_pca_without_statistics() -> None:
    calls = [AUGMENTATIONS.read_call("fancy_pca")]
    assert needs_statistics(calls)
    assert not needs_statistics([AUGMENTATIONS.read_call("crop")])
    with pytest.raises(ValueError, match="fancy_pca needs the statistics of the training images"):
        build_augment(calls, size=(8, 8))
