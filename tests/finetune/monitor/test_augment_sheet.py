"""The sheet of pictures that shows what an augmentation does."""

import numpy as np
import torch
from augment_kit import noise

from finetune.monitor.augment_sheet import augment_sheet
from finetune.transforms.augmentations import AUGMENTATIONS


def test_the_sheet_shows_the_original_and_eight_draws_of_each() -> None:
    calls = [
        AUGMENTATIONS.read_call({"horizontal_flip": {"p": 0.5}}),
        AUGMENTATIONS.read_call({"erasing": {"value": 200}}),
    ]
    image = noise(18, 24) // 2
    sheet = augment_sheet([image, noise(18, 24, seed=1)], calls, None, seed=3)
    pixels = np.asarray(sheet)
    tiles, top = {}, 15 + 4
    for row in range(6):  # two steps and all together, for two images
        for column in range(9):
            left = 180 + 4 + column * (72 + 4)  # enlarged threefold, to 72 pixels
            tiles[row, column] = pixels[top : top + 54 : 3, left : left + 72 : 3].transpose(2, 0, 1)
        top += 54 + 4
    assert sheet.size == (180 + 4 + 9 * 76, top)
    original = image.numpy()
    np.testing.assert_array_equal(tiles[0, 0], original)
    for column in range(1, 9):  # a single step is always applied
        np.testing.assert_array_equal(tiles[0, column], original[:, :, ::-1])
        assert (tiles[2, column] == 200).any()
    erased = [(tiles[4, column] == 200).any() for column in range(1, 9)]
    mirrored = [(tiles[4, column] == original[:, :, ::-1]).mean() > 0.5 for column in range(1, 9)]
    assert 0 < sum(erased) < 8  # all together: each with its own probability
    assert 0 < sum(mirrored) < 8
    images = [image, noise(18, 24, seed=1)]
    assert augment_sheet(images, calls, None, seed=3).tobytes() == sheet.tobytes()
    assert augment_sheet(images, calls, None, seed=4).tobytes() != sheet.tobytes()


def test_the_sheet_leaves_random_numbers_alone_and_needs_no_step() -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    sheet = augment_sheet([noise(80, 80)], [], None, seed=0)
    assert torch.equal(torch.rand(2), expected)
    assert sheet.size == (180 + 4 + 9 * 84, 15 + 4 + 84)
