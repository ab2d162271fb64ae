"""Statistics of the training images, for normalisation and Fancy PCA."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

WHITE = 255.0
LUMA = (0.299, 0.587, 0.114)
SMALLEST_STD = 1 / 255  # for images of one colour, where dividing by less would amplify rounding


@dataclass(frozen=True)
class Statistics:
    """Statistics of RGB values from 0 to 1, over all pixels of all training images.

    `mean` and `std` hold three numbers, `covariance` is (3, 3), `mean_image` float32 (3, height, width).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    images: int
    mean_image: NDArray[np.float32] = field(compare=False, repr=False)

    def normalisation(self, channels: int) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of three channels, or of grey (ITU-R BT.601 luma)."""
        if channels == len(self.mean):
            return list(self.mean), [max(value, SMALLEST_STD) for value in self.std]
        luma = np.array(LUMA)
        grey = float(np.sqrt(max(luma @ np.asarray(self.covariance) @ luma, 0.0)))
        return [float(luma @ np.array(self.mean))], [max(grey, SMALLEST_STD)]

    def mean_pixels(self, channels: int) -> NDArray[np.float32]:
        """Return the mean image (channels, height, width); its luma for a network with one channel."""
        if channels == len(self.mean_image):
            return self.mean_image
        return np.tensordot(np.array([LUMA], np.float32), self.mean_image, axes=1)


def measure_statistics(images: Iterable[NDArray[np.uint8]]) -> Statistics:
    """Compute statistics in one pass over images of one size, each uint8 (3, height, width).

    The sums are exact integers, so the result does not depend on the order.
    Raises: ValueError when there are no images.
    """
    count, total, squares = 0, np.zeros((), np.int64), np.zeros((3, 3), np.int64)
    for image in images:
        pixels = image.astype(np.int64)
        flat = image.reshape(3, -1).astype(np.float64)  # sums of one image stay below 2**53: exact
        squares = squares + (flat @ flat.T).astype(np.int64)
        total = total + pixels
        count += 1
    if not count:
        raise ValueError("statistics need at least one image")
    area = count * total[0].size
    mean = total.reshape(3, -1).sum(1) / area / WHITE
    covariance = squares / area / WHITE**2 - np.outer(mean, mean)
    return Statistics(
        mean=_numbers(mean),
        std=_numbers(np.sqrt(np.diag(covariance).clip(min=0))),
        covariance=tuple(_numbers(row) for row in covariance),
        images=count,
        mean_image=(total / count / WHITE).astype(np.float32),
    )


def principal_components(statistics: Statistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the eigenvalues and eigenvectors of the covariance of RGB.

    Out: eigenvalues (3,), largest first; eigenvectors (3, 3), one per column.
    """
    values, vectors = np.linalg.eigh(np.asarray(statistics.covariance))
    return values[::-1].clip(min=0), vectors[:, ::-1]


def _numbers(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
