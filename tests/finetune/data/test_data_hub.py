"""Data sets in the hub's layout."""

from pathlib import Path

import datasets
import pytest
from table_kit import hub, settings

from finetune.data import DataError, load_splits


@pytest.fixture(autouse=True)
def cache_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_the_hubs_layout(tmp_path: Path) -> None:
    folder = hub(tmp_path / "pets", {"train": [0, 2] * 10, "validation": [0, 2, 2]}, ["cat", "cow", "dog"])
    splits = load_splits(settings(hub=folder), 0)
    assert splits.classes == ("cat", "dog")
    assert splits.warnings == (f"{folder}: 1 named classes have no image and were dropped: cow",)
    assert splits.val.targets.tolist() == [0, 1, 1]
    assert all(1 <= count <= 3 for count in splits.test.counts(2))
    assert splits.val.images[2].name == f"{folder} validation row 2"
    assert splits.val.images[2].read().shape == (5, 4, 3)


def test_a_test_split_without_labels_is_left_out(tmp_path: Path) -> None:
    folder = hub(tmp_path / "pets", {"train": [0, 1] * 10, "test": [-1] * 4}, ["cat", "dog"])
    splits = load_splits(settings(hub=folder), 0)
    assert splits.warnings == (f"{folder}: the test split has no labels and was left out",)
    assert all(1 <= count <= 3 for count in splits.test.counts(2))


def test_a_data_set_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data set .*pets cannot be read: "):
        load_splits(settings(hub=tmp_path / "pets"), 0)


def test_a_hub_data_set_without_train(tmp_path: Path) -> None:
    folder = hub(tmp_path / "pets", {"validation": [0, 1] * 4}, ["cat", "dog"])
    with pytest.raises(DataError, match="no split named train; its splits: validation"):
        load_splits(settings(hub=folder), 0)
