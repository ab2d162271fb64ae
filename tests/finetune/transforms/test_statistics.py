"""Mean, deviation and covariance of the pixels of a set of images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.transforms.statistics import measure_statistics, principal_components


def images_of(count: int) -> list[NDArray[np.uint8]]:
    """Images uint8 (3, 16, 12)."""
    return list(np.random.default_rng(0).integers(0, 256, (count, 3, 16, 12), dtype=np.uint8))


def test_statistics_are_those_of_all_pixels() -> None:
    images = images_of(40)
    statistics = measure_statistics(images)
    pixels = np.stack(images) / 255
    flat = pixels.transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(statistics.mean, flat.mean(1), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, flat.std(1), rtol=1e-9)
    np.testing.assert_allclose(statistics.covariance, np.cov(flat, bias=True), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(statistics.mean_image, pixels.mean(0), rtol=1e-6)
    assert statistics.images == 40
    normal = (flat - np.array(statistics.mean)[:, None]) / np.array(statistics.std)[:, None]
    np.testing.assert_allclose(normal.std(1), 1, rtol=1e-6)


def test_statistics_do_not_depend_on_the_order() -> None:
    images = images_of(20)
    assert measure_statistics(images) == measure_statistics(images[::-1])


def test_statistics_need_an_image() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        measure_statistics(())


def test_principal_components_rebuild_the_covariance() -> None:
    statistics = measure_statistics(images_of(20))
    values, vectors = principal_components(statistics)
    assert values[0] >= values[1] >= values[2] >= 0
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, statistics.covariance, atol=1e-12)
