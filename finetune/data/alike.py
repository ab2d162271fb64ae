"""Near duplicates: images that show the same picture, stored again, resized or cropped a little.

First the low frequencies of all images are compared with each other, which leaves few pairs. Of each pair the
grey copies are compared, the one cropped in several ways to fit the other; at last their details alone, since
many photographs share a soft background.
Source of the first step: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from finetune.data.look import SIDE, Look
from finetune.runtime.console import report_progress

Array = NDArray[np.float32]
Pairs = NDArray[np.int64]

LEAST_SIDE = 32
"""Smaller images have too few pixels to be told apart this way; only equal files are duplicates."""
LEAST_CONTRAST = 4.0
"""Standard deviation of the grey values below which an image shows nothing to compare."""
FREQUENCIES = 8
CANDIDATE, SIMILAR, SAME = 0.75, 0.9, 0.9
"""Correlations of low frequencies, of grey copies and of their details above which a pair stays.

Of photographs that were encoded again, resized or cropped by 5%, 99% correlate more; hands of different
people in one pose correlate at most 0.87."""
DETAIL = 2.0
"""Deviation of the Gauss filter, in pixels of the grey copy; details are what it takes away."""
CROPS = ((0.0, 0.0), (0.05, 0.0), (0.0, 0.05), (0.025, 0.025), (0.05, 0.05), (0.1, 0.0), (0.0, 0.1))
"""What may be cut from the two ends of an axis, as shares of its length."""
CENTRES = ((0.025, 0.025), (0.05, 0.05))
MANY = 30_000
"""Of more images than this, only whole ones are compared in the first step: cropped copies are missed."""
MOST_CANDIDATES = 50_000
BLOCK_BYTES, PAIRS_PER_BLOCK = 64 * 2**20, 64


def find_alike(looks: Sequence[Look | None]) -> Pairs:
    """Return the pairs of near duplicates, int64 (P, 2), the smaller row first."""
    rows = np.array([row for row, look in enumerate(looks) if _is_distinct(look)], np.int64)
    if len(rows) < 2:  # noqa: PLR2004
        return np.zeros((0, 2), np.int64)
    grey = np.array([cast("Look", looks[row]).grey for row in rows], np.float32)
    pairs = _find_candidates(grey)
    small = grey.reshape(len(grey), SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
    pairs = pairs[_best_correlation(small, pairs) >= SIMILAR]
    pairs = pairs[_best_correlation(_details(grey), pairs) >= SAME]
    return rows[pairs]


def _is_distinct(look: Look | None) -> bool:
    if look is None:
        return False
    return min(look.width, look.height) >= LEAST_SIDE and float(look.grey.std()) >= LEAST_CONTRAST


def _details(grey: Array) -> Array:
    from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

    return cast("Array", grey - gaussian_filter(grey, (0, DETAIL, DETAIL)))


def _low_frequencies(grey: Array) -> Array:
    """Return the low frequencies of each image as a vector of length 1, (N, 63).

    Photographs have less of the higher frequencies; the weights make up for it.
    """
    from scipy.fft import dctn  # type: ignore[import-untyped]

    found = dctn(grey, axes=(1, 2), norm="ortho")[:, :FREQUENCIES, :FREQUENCIES]
    steps = np.arange(FREQUENCIES)
    vectors = (found * np.hypot(steps[:, None], steps)).reshape(len(grey), -1)[:, 1:].astype(np.float32)
    return cast("Array", vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6))


def _find_candidates(grey: Array) -> Pairs:
    """Return the pairs whose low frequencies are alike, whole or with the border of one cut off."""
    whole, count = _low_frequencies(grey), len(grey)
    cuts = crop_matrices(CENTRES, SIDE) if count <= MANY else np.zeros((0, SIDE, SIDE), np.float32)
    centres = [_low_frequencies(cast("Array", cut @ grey @ cut.T)) for cut in cuts]
    step = max(1, BLOCK_BYTES // (4 * count))
    found, alike = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.float32)]
    for start in range(0, count, step):
        rows = slice(start, start + step)
        near = whole[rows] @ whole[start:].T
        for centre in centres:
            np.maximum(near, whole[rows] @ centre[start:].T, out=near)
            np.maximum(near, centre[rows] @ whole[start:].T, out=near)
        left, right = np.nonzero(np.triu(near > CANDIDATE, 1))
        found.append(np.stack([left, right], axis=1) + start)
        alike.append(near[left, right])
        report_progress("comparing the images", min(start + step, count), count)
    best = np.argsort(-np.concatenate(alike), kind="stable")[:MOST_CANDIDATES]
    return np.concatenate(found)[np.sort(best)]


def _best_correlation(images: Array, pairs: Pairs) -> Array:
    """Return the correlation of each pair, (P,), with the one cropped so that it fits the other best."""
    best, crops = np.zeros(len(pairs), np.float32), crop_matrices(CROPS, images.shape[1])
    for start in range(0, len(pairs), PAIRS_PER_BLOCK):
        rows = slice(start, start + PAIRS_PER_BLOCK)
        first, second = images[pairs[rows, 0]], images[pairs[rows, 1]]
        best[rows] = np.maximum(_correlate(first, second, crops), _correlate(second, first, crops))
    return best


def _correlate(whole: Array, part: Array, crops: Array) -> Array:
    """Return the highest correlation of each image `part` (P, S, S) with the crops of `whole`, (P,)."""
    rows = crops[:, None] @ whole  # (C, P, S, S)
    both = rows[:, None] @ crops.transpose(0, 2, 1)[None, :, None]  # (C, C, P, S, S)
    cut = _standardise(both.reshape(len(crops) ** 2, len(whole), -1).astype(np.float32))
    return cast("Array", np.einsum("cpv,pv->cp", cut, _standardise(part.reshape(len(part), -1))).max(axis=0))


def _standardise(values: Array) -> Array:
    centred = values - values.mean(axis=-1, keepdims=True)
    return cast("Array", centred / np.linalg.norm(centred, axis=-1, keepdims=True).clip(1e-6))


def crop_matrices(crops: Sequence[tuple[float, float]], side: int) -> Array:
    """Return the matrices that cut the ends of an axis and stretch the rest again, (crops, side, side)."""
    found = []
    for before, after in crops:
        at = side * before + (np.arange(side) + 0.5) * (1 - before - after) - 0.5
        distance = np.abs(at.clip(0, side - 1)[:, None] - np.arange(side))
        found.append((1 - distance).clip(0).astype(np.float32))  # linear between two pixels
    return np.stack(found)
