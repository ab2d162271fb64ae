"""Folders of images and masks: layouts, values of masks, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finetune.config.data import DataSettings
from finetune.data import DataError, Splits, load_splits, read_splits

GROUND = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]], np.uint8)
"""A mask of three classes."""
COLOURS = [[0, 0, 0], [128, 0, 0], [0, 128, 64]]


def settings(root: Path, **values: object) -> DataSettings:
    return DataSettings.model_validate({"folder": str(root), **values})


def load_masks(root: Path, **values: object) -> Splits:
    return load_splits(settings(root, **values), 0, target="mask")


def save_pairs(
    root: Path, count: int = 6, mask: Image.Image | None = None, folder: str = "", suffix: str = ".png"
) -> Path:
    """Write images of noise, all different, in images/, and the mask of each in masks/."""
    rng = np.random.default_rng(sum(str(root / folder).encode()))
    for kind in ("images", "masks"):
        (root / kind / folder).mkdir(parents=True, exist_ok=True)
    mask = mask or Image.fromarray(GROUND)
    for i in range(count):
        pixels = rng.integers(0, 256, (mask.height, mask.width, 3), np.uint8)
        Image.fromarray(pixels).save(root / "images" / folder / f"{i}{suffix}")
        mask.save(root / "masks" / folder / f"{i}.png")
    return root


def spread(values: Sequence[int]) -> NDArray[np.uint8]:
    """The mask with these values for its classes."""
    return np.array(values, np.uint8)[GROUND]


def palette(values: Sequence[Sequence[int]]) -> Image.Image:
    picture = Image.fromarray(GROUND)
    picture.putpalette([number for colour in values for number in colour])
    return picture


def coloured(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.array(COLOURS, np.uint8)[GROUND]).convert(mode)


@pytest.mark.parametrize("name", ["val", "VALID", "Validation", "dev"])
def test_splits_have_the_names_of_all_tasks(name: str, tmp_path: Path) -> None:
    for split, count in {"Train": 4, name: 2, "TESTING": 1}.items():
        save_pairs(tmp_path / split, count)
    splits = load_masks(tmp_path)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (4, 2, 1)
    assert splits.warnings == ()


@pytest.mark.parametrize("part", ["", "Train"])
def test_names_may_be_in_upper_case(part: str, tmp_path: Path) -> None:
    root = save_pairs(tmp_path / part)
    (root / "images").rename(root / "IMAGES")
    masks = (root / "masks").rename(root / "Masks")
    for path in [*masks.iterdir()][::2]:
        path.rename(path.with_suffix(".PNG"))
    splits = load_masks(tmp_path)
    assert sum(map(len, (splits.train, splits.val, splits.test))) == 6
    assert splits.warnings == ()
    again = read_splits(splits.to_record(), settings(tmp_path), "mask")
    assert len(again.train) == len(splits.train)


def test_masks_that_are_not_png_files_are_told(tmp_path: Path) -> None:
    for path in [*(save_pairs(tmp_path) / "masks").iterdir()]:
        path.rename(path.with_suffix(".jpg"))
    with pytest.raises(DataError, match=r"no mask NAME.png .* must be PNG files, and there are .jpg files"):
        load_masks(tmp_path)
    (tmp_path / "masks").rename(tmp_path / "labels")
    with pytest.raises(DataError, match=r"masks: no such folder; expected a mask NAME.png in it"):
        load_masks(tmp_path)


def test_two_names_of_one_split_are_an_error(tmp_path: Path) -> None:
    for split in ("train", "val", "valid"):
        save_pairs(tmp_path / split, 2)
    with pytest.raises(DataError, match="val/ and valid/ are both val"):
        load_masks(tmp_path)


@pytest.mark.parametrize("where", ["", "train"])
def test_folders_within_images_and_masks_are_read(where: str, tmp_path: Path) -> None:
    save_pairs(tmp_path / where, 3)
    save_pairs(tmp_path / where, 4, folder="city/images")
    splits = load_masks(tmp_path)
    again = read_splits(splits.to_record(), settings(tmp_path), "mask")
    for parts in (splits, again):
        images = [image.key for part in (parts.train, parts.val, parts.test) for image in part.images]
        assert len(images) == 7
        assert sum("city/images/" in key for key in images) == 4
        assert parts.train.targets[0].read().tolist() == GROUND.tolist()
    assert splits.warnings == ()


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    save_pairs(tmp_path, 6)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    (tmp_path / "images" / "@eaDir").mkdir()
    (tmp_path / "images" / "new").mkdir()
    Image.fromarray(GROUND).save(tmp_path / "masks" / "without.png")
    (tmp_path / "val").mkdir()
    (tmp_path / "loose.jpg").write_bytes(b"")
    splits = load_masks(tmp_path)
    assert len(splits.train) + len(splits.val) + len(splits.test) == 6
    assert splits.warnings == (
        f"{tmp_path}: left out: 1 folder beside images/ and masks/, such as val; "
        "1 image without a mask, such as loose.jpg; 1 system folder, such as images/@eaDir; "
        "1 empty folder, such as images/new; 1 .txt file, such as images/notes.txt; "
        "1 mask without an image, such as masks/without.png",
    )


def test_linked_folders_are_read(tmp_path: Path) -> None:
    root = save_pairs(tmp_path / "data", 3)
    save_pairs(tmp_path / "more", 4)
    for kind in ("images", "masks"):
        (root / kind / "more").symlink_to(tmp_path / "more" / kind)
    (root / "images" / "loop").symlink_to(root)
    splits = load_masks(root)
    assert len(splits.train) + len(splits.val) + len(splits.test) == 7
    [warning] = splits.warnings
    assert "1 link to a folder that they are in, such as images/loop" in warning


def test_values_with_gaps_are_told_and_mapped(tmp_path: Path) -> None:
    save_pairs(tmp_path, mask=Image.fromarray(spread([0, 38, 113])))
    with pytest.raises(
        DataError, match=r"values 0, 38, 113; .* 114 classes, .*data.mask_values: \[0, 38, 113\]"
    ):
        load_masks(tmp_path)
    splits = load_masks(tmp_path, mask_values=[0, 38, 113])
    assert splits.classes == ("0", "38", "113")
    assert splits.given_names == ()
    assert splits.warnings == ()
    assert splits.train.targets[0].read().tolist() == GROUND.tolist()
    assert load_masks(tmp_path, mask_values=[113, 0, 38]).train.targets[0].read()[0].tolist() == [1, 1, 2, 2]


def test_values_that_are_not_listed_do_not_count_and_are_told(tmp_path: Path) -> None:
    save_pairs(tmp_path, mask=Image.fromarray(spread([0, 38, 113])))
    splits = load_masks(tmp_path, mask_values=[0, 38, 7])
    assert splits.train.targets[0].read()[2].tolist() == [255] * 4
    assert "does not list, and that do not count: 6, such as" in splits.warnings[0]
    assert "(the values are 113)" in splits.warnings[0]
    assert "no mask holds a pixel of the classes 7" in splits.warnings[1]
    with pytest.raises(DataError, match="no mask holds a value of"):
        load_masks(tmp_path, mask_values=[1, 2])


def test_a_class_or_two_without_a_pixel_are_only_told(tmp_path: Path) -> None:
    save_pairs(tmp_path, mask=Image.fromarray(spread([0, 1, 3])))
    splits = load_masks(tmp_path)
    assert splits.classes == ("0", "1", "2", "3")
    assert splits.warnings == (f"{tmp_path}: no mask holds a pixel of the classes 2",)


@pytest.mark.parametrize(
    "mask",
    [
        lambda: palette(COLOURS),
        lambda: Image.merge("RGB", [Image.fromarray(GROUND)] * 3),
        lambda: Image.merge("RGBA", [Image.fromarray(GROUND)] * 3 + [Image.new("L", (4, 3), 255)]),
        lambda: Image.merge("LA", [Image.fromarray(GROUND), Image.new("L", (4, 3), 255)]),
        lambda: Image.fromarray(GROUND.astype(np.uint16)),
    ],
    ids=["palette", "rgb", "rgba", "grey with alpha", "16 bits"],
)
def test_class_indices_are_read_in_every_mode(mask: Callable[[], Image.Image], tmp_path: Path) -> None:
    splits = load_masks(save_pairs(tmp_path, mask=mask()))
    assert splits.classes == ("0", "1", "2")
    assert splits.train.targets[0].read().tolist() == GROUND.tolist()


@pytest.mark.parametrize(
    "mask", [lambda: coloured("RGB"), lambda: coloured("RGBA"), lambda: palette(COLOURS)]
)
def test_colours_are_mapped(mask: Callable[[], Image.Image], tmp_path: Path) -> None:
    save_pairs(tmp_path, mask=mask())
    splits = load_masks(tmp_path, mask_values=COLOURS)
    assert splits.classes == ("#000000", "#800000", "#008040")
    assert splits.train.targets[0].read().tolist() == GROUND.tolist()
    splits = load_masks(tmp_path, mask_values=COLOURS[:2])
    assert "(the values are #008040)" in splits.warnings[0]
    assert splits.train.targets[0].read()[2].tolist() == [255] * 4


def test_colours_without_a_legend_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"found colours \(mode RGBA\); .*data.mask_values with the colour of"
    ):
        load_masks(save_pairs(tmp_path, mask=coloured("RGBA")))


def test_masks_of_0_and_255_can_be_mapped(tmp_path: Path) -> None:
    save_pairs(tmp_path, mask=Image.fromarray(spread([0, 255, 0])))
    splits = load_masks(tmp_path, mask_values=[0, 255])
    assert splits.train.targets[0].read()[0].tolist() == [0, 0, 1, 1]
    save_pairs(tmp_path, mask=Image.fromarray(spread([0, 255, 0])).convert("1"))
    assert load_masks(tmp_path).train.targets[0].read()[0].tolist() == [0, 0, 1, 1]
    assert load_masks(tmp_path, mask_values=[0, 255]).train.targets[0].read()[0].tolist() == [0, 0, 1, 1]


def test_masks_of_255_alone_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the values 255 alone, which marks pixels to leave out"):
        load_masks(save_pairs(tmp_path, mask=Image.new("L", (4, 3), 255)))


def test_names_go_by_the_listed_values(tmp_path: Path) -> None:
    save_pairs(tmp_path, mask=Image.fromarray(spread([0, 38, 113])))
    (tmp_path / "classes.json").write_text('["ground", "tree", "lake"]')
    with pytest.raises(DataError, match=r"found 3 names for the values 0, 38, 113; .*data\.mask_values"):
        load_masks(tmp_path)
    splits = load_masks(tmp_path, mask_values=[0, 38, 113])
    assert splits.classes == splits.given_names == ("ground", "tree", "lake")
    with pytest.raises(DataError, match="found 3 names for the 2 values"):
        load_masks(tmp_path, mask_values=[0, 38])


@pytest.mark.parametrize(
    "values", [[0], [0, 0], [0, [1, 2, 3]], [0, 70000], [[0, 0, 0], [0, 0, 256]], ["a", "b"]]
)
def test_wrong_lists_of_values(values: object) -> None:
    with pytest.raises(ValueError, match="mask_values"):
        DataSettings.model_validate({"folder": "x", "mask_values": values})
