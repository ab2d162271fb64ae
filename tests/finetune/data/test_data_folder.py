"""Folders of image files: layouts, broken files, and what is said when something is wrong."""

from pathlib import Path

import numpy as np
import pytest
from folder_kit import keys, load, photos, save_images

from finetune.config.data import DataSettings
from finetune.data import DataError, load_splits, read_splits
from pixels import ImageError


def test_a_folder_a_class_is_cut_by_class(tmp_path: Path) -> None:
    splits = load(photos(tmp_path, {"class10": 20, "class2": 40, "Class1": 7}))
    assert splits.classes == ("Class1", "class2", "class10")  # as a person counts
    for part in (splits.val, splits.test):
        for count, size in zip(part.counts(3), (7, 40, 20), strict=True):
            assert max(0, 0.5 * 0.15 * size - 1) < count <= 2 * 0.15 * size
    every = [key for names in keys(splits).values() for key in names]
    assert len(every) == len(set(every)) == 67
    for split in (splits.train, splits.val, splits.test):
        for image, target in zip(split.images, split.targets, strict=True):
            assert image.key.startswith(splits.classes[target] + "/")
            assert image.name == str(tmp_path / image.key)
        assert split.targets.dtype == np.int64


def test_the_seed_alone_decides(tmp_path: Path) -> None:
    root = photos(tmp_path, {"a": 20, "b": 20})
    assert keys(load(root, seed=3)) == keys(load(root, seed=3))
    assert keys(load(root, seed=3))["val"] != keys(load(root, seed=4))["val"]


def test_one_class_more_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    root = photos(tmp_path, {"a": 20, "b": 20})
    before = keys(load(root))["test"]
    photos(tmp_path, {"c": 20})
    assert [key for key in keys(load(root))["test"] if key[0] != "c"] == before


def test_given_splits_are_kept_and_missing_ones_cut_from_train(tmp_path: Path) -> None:
    photos(tmp_path / "train", {"a": 20, "b": 20})
    photos(tmp_path / "Validation", {"a": 3, "b": 4})
    splits = load(tmp_path)
    assert splits.val.counts(2) == [3, 4]
    assert all(1 <= count <= 6 for count in splits.test.counts(2))
    assert len(splits.train) + len(splits.test) == 40
    assert all(key.startswith("train/") for key in keys(splits)["test"])
    photos(tmp_path / "test", {"a": 1, "b": 2})
    splits = load(tmp_path)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (40, 7, 3)


def test_without_test_images(tmp_path: Path) -> None:
    splits = load(photos(tmp_path, {"a": 10, "b": 2}), test=0)
    assert len(splits.test) == 0
    assert splits.val.counts(2)[1] == splits.train.counts(2)[1] == 1
    assert 1 <= splits.val.counts(2)[0] <= 3


def test_files_are_found_however_deep_and_by_their_suffix(tmp_path: Path) -> None:
    photos(tmp_path, {"a/2021/summer": 3, "a": 2, "b": 5})
    save_images(tmp_path / "b", 3, ".JPEG", start=100)
    save_images(tmp_path / "b" / ".thumbs", 3)
    save_images(tmp_path / "__MACOSX", 3)
    for name in ("notes.txt", ".DS_Store", "._0.png", "Thumbs.db"):
        (tmp_path / "a" / name).write_bytes(b"not an image")
    splits = load(tmp_path)
    assert splits.classes == ("a", "b")
    assert sum(map(len, keys(splits).values())) == 13
    assert splits.broken == ()
    assert splits.warnings == (
        f"{tmp_path}: left out: 1 system folder, such as __MACOSX; 2 hidden files, such as a/._0.png; "
        "1 hidden folder, such as b/.thumbs; 1 .txt file, such as a/notes.txt; "
        "1 .db file, such as a/Thumbs.db",
    )


def test_broken_images_are_left_out_and_named(tmp_path: Path) -> None:
    root = photos(tmp_path, {"a": 30, "b": 30})
    whole = (root / "a" / "3.png").read_bytes()
    (root / "a" / "3.png").write_bytes(whole[: len(whole) // 2])
    (root / "b" / "text.jpg").write_text("this is no image")
    (root / "b" / "empty.gif").write_bytes(b"")
    splits = load(root)
    reasons = {each.path: each.reason for each in splits.broken}
    assert reasons.pop(str(root / "a" / "3.png")).startswith("truncated image")
    assert reasons == {
        str(root / "b" / "empty.gif"): "empty file",
        str(
            root / "b" / "text.jpg"
        ): "not a JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC or AVIF image: it starts with b'this is no i'",
    }
    assert sum(map(len, keys(splits).values())) == 59


def test_too_many_broken_images_stop(tmp_path: Path) -> None:
    root = photos(tmp_path, {"a": 30, "b": 30})
    for i in range(7):
        (root / "a" / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load(root)
    message = str(caught.value)
    assert message.startswith(
        f"{root}: 7 of 60 images are broken, more than data.max_broken allows (0.05 of all):\n"
        f"  {root / 'a' / '0.png'}: empty file\n"
    )
    assert message.endswith("\n  and 2 more")
    assert len(load(root, max_broken=0.2).broken) == 7


def test_exactly_the_allowed_share_goes_on(tmp_path: Path) -> None:
    root = photos(tmp_path, {"a": 10, "b": 10})
    (root / "a" / "0.png").write_bytes(b"")
    assert len(load(root, max_broken=0.05).broken) == 1
    with pytest.raises(DataError, match="1 of 20 images are broken"):
        load(root, max_broken=0.0)


def test_copies_stay_together(tmp_path: Path) -> None:
    root = photos(tmp_path, {"a": 12, "b": 12})
    for name in ("a", "b"):
        for i in range(12):
            for copy in range(3):
                (root / name / f"{i}_{copy}.png").write_bytes((root / name / f"{i}.png").read_bytes())
    splits = load(root)
    digests = [{image.digest() for image in part.images} for part in (splits.train, splits.val, splits.test)]
    assert digests[0] & digests[1] == digests[0] & digests[2] == digests[1] & digests[2] == set()
    assert splits.warnings == ()
    assert all(count in (4, 8, 12) for count in splits.val.counts(2))  # whole groups of four


def test_copies_across_given_splits_are_mended_and_across_classes_told(tmp_path: Path) -> None:
    photos(tmp_path / "train", {"a": 10, "b": 10})
    photos(tmp_path / "test", {"a": 2, "b": 2})
    (tmp_path / "test" / "a" / "x.png").write_bytes((tmp_path / "train" / "a" / "0.png").read_bytes())
    (tmp_path / "train" / "b" / "y.png").write_bytes((tmp_path / "train" / "b" / "0.png").read_bytes())
    (tmp_path / "test" / "a" / "z.png").write_bytes((tmp_path / "test" / "b" / "0.png").read_bytes())
    splits = load(tmp_path)
    assert "train/a/0.png" in keys(splits)["test"]
    assert len(splits.test) == 7
    mended, clash = splits.warnings
    assert mended == (
        f"{tmp_path}: train images that show the same picture as test images, and are now test images "
        f"too: 1, such as {tmp_path}/train/a/0.png = {tmp_path}/test/a/x.png"
    )
    assert "more than one class: 1, such as" in clash
    assert "z.png" in clash
    assert clash.endswith("(a, b)") or clash.endswith("(b, a)")


def test_what_lies_beside_is_told(tmp_path: Path) -> None:
    root = photos(tmp_path, {"a": 5, "b": 5})
    save_images(root, 1, ".jpg")
    (root / "a" / "raw.NEF").write_bytes(b"")
    assert load(root).warnings == (
        f"{root}: left out: 1 .nef file, such as a/raw.NEF; 1 image beside the class folders, such as 0.jpg",
    )


def test_written_down_and_read_again(tmp_path: Path) -> None:
    root = photos(tmp_path / "here", {"a": 20, "b": 20})
    (root / "a" / "bad.png").write_bytes(b"")
    settings = DataSettings(folder=str(root))
    splits = load_splits(settings, 5)
    record = splits.to_record()
    again = read_splits(record, settings)
    assert keys(again) == keys(splits)
    assert again.classes == splits.classes
    assert again.broken == splits.broken
    np.testing.assert_array_equal(again.test.targets, splits.test.targets)
    np.testing.assert_array_equal(again.test.images[0].read(), splits.test.images[0].read())
    assert again.test.images[0].digest() == splits.test.images[0].digest()
    moved = root.rename(tmp_path / "there")
    read_splits(record, DataSettings(folder=str(moved))).val.images[0].read()
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        again.val.images[0].read()


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (
            {},
            r"no images found \(there are: no files at all\); JPEG, PNG, .*, HEIC and AVIF files are read",
        ),
        ({"only": 9}, "one class only, only/; expected two or more$"),
        (
            {"photos/cat": 5, "photos/dog": 5},
            r"one class only, photos/.* Did you mean .*photos, which holds cat/, dog/",
        ),
        ({"": 4}, r"4 images, but no class folders: put each class in a folder of its name"),
        (
            {"a": 9, "b": 2, "c": 1},
            r"each class needs 3 different images or more, one each for train and test and val; "
            r"too few in b \(2\), c \(1\)\. Add images; data\.test: 0 does without test images",
        ),
        (
            {"train/a": 5, "train/b": 5, "val/a": 3, "val/c": 3},
            "the classes differ between the splits: train has no image of c; val has no image of b",
        ),
        ({"train/a": 5, "val/a": 5, "valid/a": 5}, "val/ and valid/ are both val; keep one of them"),
        (
            {"train/a": 5, "train/b": 5, "cat": 5},
            "train/ reads as a split, but stands beside cat/, which reads as",
        ),
        ({"test/a": 5, "val/b": 5}, "found test/, val/, but no train/ beside it"),
        ({"train": 5, "val": 5}, "split folders: 10 images, but no class folders"),
        (
            {"Images": 5, "masks": 5},
            "Images/ and masks/ are images and masks, for segmentation; expected a spec",
        ),
    ],
)
def test_wrong_layouts(layout: dict[str, int], message: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(DataError, match=message) as caught:
        load(photos(root, layout))
    assert str(root) in str(caught.value)


def test_phone_photos_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for i in range(3):
        (tmp_path / "cat" / f"{i}.nef").write_bytes(b"")
    with pytest.raises(DataError, match=r"no images found \(there are: 3 \.nef\)"):
        load(tmp_path)


def test_missing_folder_and_file_for_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder; expected a folder of images in"):
        load(tmp_path / "nowhere")
    (tmp_path / "file.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"file\.png: is a file"):
        load(tmp_path / "file.png")


def test_a_class_broken_altogether_is_named(tmp_path: Path) -> None:
    root = photos(tmp_path, {"a": 5, "b": 5})
    for path in (root / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="train has no image of b"):
        load(root, max_broken=1.0)


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    photos(tmp_path / "photos", {"a": 5, "b": 5})
    assert load(Path("~/photos")).train.images[0].read().shape == (6, 7, 3)
