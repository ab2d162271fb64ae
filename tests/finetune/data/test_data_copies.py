"""Near duplicates are found, and stay in one split."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from copies_kit import copy_changed, draw_scene, save_scenes
from folder_kit import keys, load

from finetune.data.alike import find_alike
from finetune.data.look import look_at


def test_twenty_changed_copies_are_found_among_scenes(tmp_path: Path) -> None:
    root = save_scenes(tmp_path, ["train/a", "train/b", "test/a", "test/b"], 25)
    for i in range(20):
        name = "ab"[i % 2]
        copy_changed(root / f"train/{name}/{i}.jpg", root / f"test/{name}/copy{i}.jpg", i)
    splits = load(root, val=0.2)
    found = keys(splits)
    moved = {f"train/{'ab'[i % 2]}/{i}.jpg" for i in range(20)}
    assert moved <= {*found["test"]}
    assert not moved & {*found["train"], *found["val"]}
    assert len(found["test"]) == 50 + 20 + 20  # and no other image
    [told] = splits.warnings
    assert told.startswith(
        f"{root}: train images that show the same picture as test images, and are now test"
    )
    assert "too: 20, such as" in told


def test_changed_copies_stay_together_when_splits_are_cut(tmp_path: Path) -> None:
    root = save_scenes(tmp_path, ["a", "b"], 20)
    for i in range(20):
        copy_changed(root / f"a/{i}.jpg", root / f"a/copy{i}.jpg", i)
    splits = load(root)
    place = {Path(key).name: split for split, part in keys(splits).items() for key in part if key[0] == "a"}
    assert {*place.values()} == {"train", "val", "test"}
    assert all(place[f"{i}.jpg"] == place[f"copy{i}.jpg"] for i in range(20))
    [told] = splits.warnings
    assert "near duplicates, which are kept in one split: 40 images, such as" in told


def test_a_copy_of_a_whole_split_stays_and_is_told(tmp_path: Path) -> None:
    root = save_scenes(tmp_path, ["train/a", "train/b"], 5)
    shutil.copytree(root / "train", root / "val")
    splits = load(root)
    assert len(splits.val) == 10
    assert any(
        "images in more than one split" in told and ": 10, such as" in told for told in splits.warnings
    )


def test_near_duplicates_in_two_classes_are_told(tmp_path: Path) -> None:
    root = save_scenes(tmp_path, ["a", "b"], 8)
    copy_changed(root / "a/1.jpg", root / "b/x.jpg", 1)
    warnings = load(root).warnings
    assert any(told.endswith("(a, b)") and "images in more than one class: 1," in told for told in warnings)


def test_flat_and_tiny_images_are_never_near_duplicates() -> None:
    flat = [look_at(np.full((64, 64, 3), value, np.uint8)) for value in (10, 11, 200)]
    scene = np.asarray(draw_scene(1))
    tiny = [look_at(scene[:20, :20]), look_at(scene[:20, :20])]
    assert len(find_alike([*flat, *tiny])) == 0
    assert find_alike([None, look_at(scene), *flat, look_at(scene)]).tolist() == [[1, 5]]
    assert find_alike([]).shape == (0, 2)
