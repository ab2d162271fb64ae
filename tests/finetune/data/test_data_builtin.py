"""The built-in digits."""

import numpy as np

from finetune.config.data import DataSettings
from finetune.data import load_splits, read_splits


def test_the_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    splits = load_splits(DataSettings(), 0)
    assert splits.classes == tuple("0123456789")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (1252, 291, 254)
    values, targets = load_digits(return_X_y=True)
    names = set()
    for split in (splits.train, splits.val, splits.test):
        for image, target in zip(split.images, split.targets, strict=True):
            row = int(image.name.removeprefix("digits/"))
            names.add(image.name)
            pixels = image.read()
            assert pixels.shape == (8, 8, 3)
            assert pixels.dtype == np.uint8
            np.testing.assert_array_equal(np.rint(pixels[..., 1] / 255 * 16).reshape(-1), values[row])
            assert target == targets[row]
    assert len(names) == 1797


def test_they_can_be_written_down_and_read_again() -> None:
    splits = load_splits(DataSettings(), 1)
    again = read_splits(splits.to_record(), DataSettings())
    assert [image.name for image in again.test.images] == [image.name for image in splits.test.images]
    assert again.test.images[7].digest() == splits.test.images[7].digest()
    np.testing.assert_array_equal(again.test.images[7].read(), splits.test.images[7].read())
    assert len({image.digest() for image in splits.train.images}) == len(splits.train)


def test_pixels_given_out_are_nobody_elses() -> None:
    image = load_splits(DataSettings(), 0).train.images[0]
    first = image.read()
    first[:] = 7
    assert (image.read() != 7).any()
