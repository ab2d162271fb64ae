"""ImageDataset and its loader: the same bits every time, whatever way they are asked for."""

import io
import os
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from finetune.data import ArrayImage, DataError, FileImage, Split, shared_memory
from finetune.data.dataset import ImageDataset, batch_indices, count_batches, loader
from finetune.data.pixels import Room
from finetune.transforms.augment import build_augment
from finetune.transforms.augmentations import AUGMENTATIONS
from finetune.transforms.preprocess import Preprocess

SIZE = (16, 12)
STEPS: list[object] = ["horizontal_flip", {"crop": {"padding": 2}}, "rotation", "gaussian_noise"]


def split_of(count: int, seed: int = 0) -> Split:
    rng = np.random.default_rng(seed)
    images = tuple(
        ArrayImage(f"image/{i}", rng.integers(0, 256, (20 + i % 5, 15 + i % 3, 3), dtype=np.uint8))
        for i in range(count)
    )
    targets = rng.integers(0, 4, count)
    return Split(images, targets, targets)


def dataset_of(count: int, **arguments: Any) -> ImageDataset:  # noqa: ANN401
    return ImageDataset(split_of(count), Preprocess(height=SIZE[0], width=SIZE[1]), **arguments)


def augmented(count: int, seed: int = 0, **arguments: Any) -> ImageDataset:  # noqa: ANN401
    augment = build_augment([AUGMENTATIONS.read_call(step) for step in STEPS], size=SIZE)
    return dataset_of(count, augment=augment, seed=seed, **arguments)


def collect(batches: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
    images, targets = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(targets)


def test_items_are_resized_pixels_and_targets() -> None:
    dataset = dataset_of(7)
    for i, source in enumerate(dataset.split.images):
        pixels, target = dataset[i]
        expected = dataset.preprocess.resize(torch.from_numpy(source.read()).permute(2, 0, 1)[None])[0]
        assert torch.equal(pixels, expected)
        assert pixels.dtype == torch.uint8
        assert target == dataset.split.targets[i]
    assert len(dataset) == 7


@pytest.mark.parametrize("cache_mb", [0, 100])
def test_in_memory_or_not_the_pixels_are_the_same(cache_mb: int) -> None:
    plain, dataset = augmented(30), augmented(30, room=Room(cache_mb))
    dataset.fill()
    assert len(dataset.stored.kept) == (30 if cache_mb else 0)
    expected, targets = collect(loader(plain, 7, shuffle_seed=1))
    found, same_targets = collect(loader(dataset, 7, shuffle_seed=1))
    assert torch.equal(found, expected)
    assert torch.equal(same_targets, targets)


def test_memory_is_filled_once_and_shared_by_copies() -> None:
    dataset = dataset_of(50)
    dataset.fill()
    filled = dict(dataset.stored.kept)
    dataset.fill()
    assert all(dataset.stored.kept[row] is image for row, image in filled.items())
    copy = replace(dataset, seed=3)
    assert copy.stored is dataset.stored
    assert len(filled) == 50
    assert not any(image.is_shared() for image in filled.values())


@pytest.mark.parametrize("free", [10**9, 0])
def test_workers_share_the_images_where_there_is_room(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, late = dataset_of(20), dataset_of(20)
    expected = [image for image, _ in (dataset_of(20)[i] for i in range(20))]
    monkeypatch.setattr(shared_memory, "free_bytes", lambda: free)
    late.fill()  # in ordinary memory, from where it moves
    for each in (dataset, late):
        each.stored.share()
        each.fill()
        kept = [each.stored.kept[row] for row in range(20)]
        assert all(image.is_shared() for image in kept)
        assert all(torch.equal(*pair) for pair in zip(kept, expected, strict=True))
    warning = shared_memory.shared_memory_warning(dataset.stored.kept_bytes, 2)
    assert (warning is None) == (free > 0)
    assert shared_memory.shared_memory_warning(dataset.stored.kept_bytes, 0) is None


def test_memory_in_a_file_is_seen_by_processes_that_start_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "free_bytes", lambda: 1000)
    mapped = shared_memory.allocate_shared((3, 50, 40))
    mapped.fill_(7)
    if process := os.fork():
        assert os.waitpid(process, 0)[1] == 0
        assert mapped[0, 0, 0] == 9  # one memory, not a copy for each process
    else:
        mapped[0, 0, 0] = 9
        os._exit(0)


def test_a_full_disk_leaves_ordinary_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared_memory, "free_bytes", lambda: 0)
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert shared_memory.allocate_shared((2, 3, 4, 5)).shape == (2, 3, 4, 5)


def test_workers_without_room_for_batches_are_told_and_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "free_bytes", lambda: 1000)
    with pytest.warns(UserWarning, match="the main process loads the images"):
        batches = loader(dataset_of(9), 4, shuffle_seed=0, workers=2)
    assert batches.num_workers == 0
    assert torch.equal(collect(batches)[0], collect(loader(dataset_of(9), 4, shuffle_seed=0))[0])


def test_what_does_not_fit_stays_out_of_memory() -> None:
    dataset = dataset_of(2000, room=Room(1))  # 2000 x 3 x 16 x 12 bytes are 1.1 MiB
    dataset.fill()
    assert not dataset.stored.kept
    assert dataset_of(1800, room=Room(1)).stored.fits


def test_splits_share_the_room_for_images() -> None:
    room = Room(1)
    first, second, small = (dataset_of(count, room=room) for count in (1500, 1000, 300))
    assert (first.stored.fits, second.stored.fits, small.stored.fits) == (True, False, True)
    assert replace(first, seed=5).stored is first.stored


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_no_bit(workers: int) -> None:
    dataset = augmented(40, seed=5)
    expected = list(loader(dataset, 8, shuffle_seed=2, epoch=3))
    found = list(loader(dataset, 8, shuffle_seed=2, epoch=3, workers=workers))
    assert len(found) == 5
    for (images, targets), (same_images, same_targets) in zip(expected, found, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(targets, same_targets)


def test_an_epoch_can_be_taken_up_in_the_middle() -> None:
    dataset = augmented(40)
    whole = list(loader(dataset, 8, shuffle_seed=2, epoch=1))
    rest = list(loader(dataset, 8, shuffle_seed=2, epoch=1, start_batch=3))
    assert len(rest) == 2
    for (images, targets), (same_images, same_targets) in zip(whole[3:], rest, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(targets, same_targets)
    assert list(loader(dataset, 8, start_batch=5)) == []


def test_pixels_follow_from_seed_epoch_and_index_alone() -> None:
    dataset = augmented(10, seed=1)
    first = dataset[4][0]
    torch.rand(1000)
    dataset[7]
    assert torch.equal(dataset[4][0], first)
    assert torch.equal(replace(dataset, room=Room(0), pixels=None)[4][0], first)
    assert not torch.equal(replace(dataset, seed=2)[4][0], first)
    dataset.set_epoch(1)
    assert not torch.equal(dataset[4][0], first)
    dataset.set_epoch(0)
    assert torch.equal(dataset[4][0], first)


def test_two_images_are_not_augmented_alike() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    images = tuple(ArrayImage(f"{i}", pixels) for i in range(8))
    split = Split(images, np.zeros(8, np.int64), np.zeros(8, np.int64))
    dataset = replace(augmented(1), split=split, pixels=None)
    assert len({dataset[i][0].numpy().tobytes() for i in range(8)}) == 8


def test_random_numbers_outside_are_left_as_they_are() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for workers in (0, 1):
        list(loader(augmented(9), 4, shuffle_seed=0, workers=workers))
    assert torch.equal(torch.rand(3), expected)


def test_random_numbers_are_restored_after_an_error() -> None:
    def fail(image: torch.Tensor) -> torch.Tensor:
        torch.rand(1)
        raise RuntimeError("no")

    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="no"):
        dataset_of(3, augment=fail)[0]
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_order_follows_from_seed_and_epoch() -> None:
    first = batch_indices(23, 5, 1, 0)
    assert [len(batch) for batch in first] == [5, 5, 5, 5, 3]
    order = list(chain.from_iterable(first))
    assert sorted(order) == list(range(23))
    assert batch_indices(23, 5, 1, 0) == first
    assert batch_indices(23, 5, 1, 1) != first
    assert batch_indices(23, 5, 2, 0) != first
    assert (
        list(chain.from_iterable(batch_indices(23, 4, 1, 0))) == order
    )  # the batch size cuts, and does not shuffle
    assert batch_indices(5, 3, None, 7) == [[0, 1, 2], [3, 4]]
    assert batch_indices(0, 3, None, 0) == batch_indices(0, 3, 1, 0) == []


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7])
def test_no_image_is_left_alone(count: int) -> None:
    batches = batch_indices(count, 3, None, 0)
    assert list(chain.from_iterable(batches)) == list(range(count))
    assert len(batches) == count_batches(count, 3)
    assert count == 1 or all(len(batch) > 1 for batch in batches)


def test_the_last_batch() -> None:
    dataset = dataset_of(10)
    assert [len(targets) for _, targets in loader(dataset, 4)] == [4, 4, 2]
    assert [len(targets) for _, targets in loader(dataset, 4, drop_last=True)] == [4, 4]
    assert [len(targets) for _, targets in loader(dataset, 5, drop_last=True)] == [5, 5]
    assert [len(targets) for _, targets in loader(dataset, 64, drop_last=True)] == [10]
    images, targets = next(iter(loader(dataset, 4)))
    assert (images.shape, images.dtype) == ((4, 3, *SIZE), torch.uint8)
    assert targets.dtype == torch.int64


@pytest.mark.parametrize("cache_mb", [0, 10])
def test_an_image_that_vanished_is_named(cache_mb: int, tmp_path: Path) -> None:
    path = tmp_path / "gone.png"
    zeros = np.zeros(2, np.int64)
    split = Split((FileImage(str(path), path, tmp_path),) * 2, zeros, zeros)
    dataset = ImageDataset(split, Preprocess(height=4, width=4), room=Room(cache_mb))
    with pytest.raises(
        DataError, match=r"gone\.png: cannot be read: .* It could be read when it was checked"
    ):
        list(loader(dataset, 2))


def test_files_are_decoded_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 4), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    zero = np.zeros(1, np.int64)
    split = Split((FileImage("a.png", tmp_path / "a.png", tmp_path),), zero, zero)
    pixels = ImageDataset(split, Preprocess(height=8, width=4))[0][0]
    assert pixels[:, 0, 0].tolist() == [0, 0, 255]
    assert pixels[:, 7, 0].tolist() == [255, 0, 0]
