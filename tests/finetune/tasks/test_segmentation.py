"""Segmentation walks the same way through the same files: masks in, a checked file that gives masks out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import zoo
from finetune.api import run
from finetune.config import DataSettings
from finetune.data import DataError, Splits, load_splits
from finetune.data.masked_dataset import MaskedDataset, shrink_mask
from finetune.finished import load_run
from finetune.tasks import find_task
from finetune.transforms.preprocess import Preprocess
from serve import Predictor
from zoo.errors import GraftError

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures of a bright disc on a dark, noisy ground, each with its mask."""
    root, rng = tmp_path_factory.mktemp("discs"), np.random.default_rng(0)
    (root / "images").mkdir()
    (root / "masks").mkdir()
    (root / "classes.json").write_text('["ground", "disc"]')
    for i in range(40):
        height, width = rng.integers(40, 70, 2)
        y, x = np.mgrid[:height, :width]
        radius = rng.uniform(8, 16)
        inside = (y - rng.uniform(15, height - 15)) ** 2 + (x - rng.uniform(15, width - 15)) ** 2 < radius**2
        pixels = np.where(inside[..., None], (200, 180, 60), (40, 60, 90)) + rng.normal(
            0, 12, (height, width, 3)
        )
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{i}.png")
        Image.fromarray(inside.astype(np.uint8)).save(root / "masks" / f"{i}.png")
    return root


def load_masks(root: Path, **settings: object) -> Splits:
    """The splits of a folder of images and masks."""
    return load_splits(DataSettings.model_validate({"folder": str(root), **settings}), 0, target="mask")


def test_a_unet_learns_to_find_discs(discs: Path, tmp_path: Path) -> None:
    quick = {
        "finetune.epochs": 4,
        "finetune.batch_size": 8,
        "finetune.precision": "float32",
        "finetune.loss": {"cross_entropy_dice": {"class_weights": "balanced"}},
        "input.height": 32,
    }
    report = run(
        "specs/examples/unet.yaml",
        data=str(discs),
        set=quick | {"input.width": 32},
        run=tmp_path / "run",
        console=QUIET,
    )
    assert report.plan.strategy == "scratch"
    assert float(str(report.metrics["mean_iou"])) > 0.7  # all ground would be about 0.4
    assert set(json.loads((report.folder / "report.json").read_text())["classes"]) == {"ground", "disc"}
    finished = load_run(report.folder)
    image, truth = finished.val.images[0].read(), finished.val.targets[0].read()
    mask = Predictor(report.onnx).output(image)
    assert mask.shape == truth.shape
    assert (mask == truth).mean() > 0.8


def test_masks_move_with_their_images(discs: Path) -> None:
    splits = load_masks(discs)
    assert splits.classes == ("ground", "disc")
    assert len(splits.train) + len(splits.val) + len(splits.test) == 40
    assert 3 <= len(splits.val) <= 12
    assert 3 <= len(splits.test) <= 12
    from torchvision.transforms import v2

    flip = v2.RandomHorizontalFlip(p=1.0)
    plain = MaskedDataset(splits.train, Preprocess(height=32, width=32))
    flipped = MaskedDataset(splits.train, Preprocess(height=32, width=32), augment=flip)
    for (image, mask), (turned, along) in [(plain[0], flipped[0])]:
        assert torch.equal(image.flip(-1), turned)
        assert torch.equal(torch.as_tensor(mask).flip(-1), torch.as_tensor(along))


def test_ignored_pixels_count_neither_in_the_loss_nor_in_the_metrics() -> None:
    task = find_task("segmentation")
    logits = torch.randn(2, 3, 4, 4)
    targets = torch.randint(0, 3, (2, 4, 4))
    partly = targets.clone()
    partly[:, :2] = 255
    loss = task.evaluation_loss()
    assert torch.allclose(loss(logits, partly), loss(logits[:, :, 2:], targets[:, 2:]))
    metrics, cut = task.build_metrics(3), task.build_metrics(3)
    metrics.update(logits, partly)
    cut.update(logits[:, :, 2:], targets[:, 2:])
    assert metrics.compute()["pixel_accuracy"] == cut.compute()["pixel_accuracy"]


def test_a_mask_is_read_at_the_middles_of_the_new_pixels() -> None:
    mask = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert shrink_mask(mask, 2, 2).tolist() == [[5, 7], [13, 15]]
    assert np.array_equal(shrink_mask(mask, 4, 4), mask)
    assert shrink_mask(mask, 8, 8).shape == (8, 8)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "masks" / "3.png").unlink(), "no mask NAME.png for 3.png"),
        (
            lambda root: (root / "classes.json").write_text('["one"]'),
            "found 1 names for the values 0, 1",
        ),
        (lambda root: (root / "classes.json").write_text("one"), "not a JSON list of names"),
        (lambda root: (root / "classes.json").write_text('["a", "a"]'), "must differ; repeated: a"),
        (lambda root: (root / "classes.json").write_bytes('["é", "a"]'.encode("latin-1")), "not a JSON list"),
        (
            lambda root: [m.write_bytes(m.read_bytes()[:40]) for m in (root / "masks").iterdir()],
            "40 of 40 images are broken",
        ),
        (
            lambda root: [m.write_bytes(b"no picture") for m in (root / "masks").iterdir()],
            "40 of 40 images are broken",
        ),
    ],
)
def test_bad_folders_are_told(spoil: object, message: str, discs: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(discs, root)
    spoil(root)  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        load_masks(root)


def test_a_split_without_images_is_told(discs: Path, tmp_path: Path) -> None:
    shutil.copytree(discs, tmp_path / "train")
    (tmp_path / "val" / "images").mkdir(parents=True)
    with pytest.raises(DataError, match="val/images: no images; expected some, or no such folder"):
        load_masks(tmp_path)


def test_masks_of_0_and_255_are_told_what_255_means(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=4, value=255)
    with pytest.raises(DataError, match="values 0 and 255 alone, and 255 marks pixels to leave out"):
        load_masks(tmp_path)


def test_copies_stay_together_and_every_split_has_images(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=4, value=1)
    for i in range(10):
        for kind in ("images", "masks"):
            shutil.copy(tmp_path / kind / "0.png", tmp_path / kind / f"copy{i}.png")
    splits = load_masks(tmp_path, val=0.45, test=0.5)
    assert all(len(part) for part in (splits.train, splits.val, splits.test))
    assert not splits.warnings
    shutil.rmtree(tmp_path)
    write_pairs(tmp_path / "train", count=4, value=1)
    write_pairs(tmp_path / "val", count=4, value=1)
    [warning] = load_masks(tmp_path, test=0).warnings
    assert "images in more than one split" in warning


def test_images_that_a_tag_turns_are_told(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=6, value=1)
    place = tmp_path / "images" / "0.png"
    with Image.open(place) as picture:
        tag = picture.getexif()
        tag[274] = 3
        picture.save(place, exif=tag)
    [warning] = load_masks(tmp_path).warnings
    assert "turned upright by their EXIF tag: 1, such as" in warning


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s", "fcn_resnet50"])
def test_no_weights_crop_what_a_mask_covers(name: str) -> None:
    spec = zoo.read_spec(name)
    for weights in spec.weights:
        assert zoo.trained_input(spec, weights).resize is None


def write_pairs(root: Path, *, count: int, value: int) -> None:
    """Pictures of noise, the left half of each masked with the value."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :4] = value
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(root / "images" / f"{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")


def test_what_has_no_meaning_for_masks_is_refused(discs: Path, tmp_path: Path) -> None:
    spec = "specs/examples/unet.yaml"
    with pytest.raises(
        GraftError, match=r"finetune\.mixup: has no meaning for segmentation[^$]*\n.*trivial_augment: has no"
    ):
        run(
            spec,
            data=str(discs),
            set={"finetune.mixup": 0.2, "augment": ["trivial_augment"]},
            run=tmp_path / "run",
            console=QUIET,
        )
